"""What the owner of a slot may count on: chunks, limits, ends, priorities, figures."""

import threading
from contextlib import closing

import numpy as np
import pytest

from ancestral.models.scheduler import End, Scheduler
from tests.models.scheduler.support import PATIENCE, RATE, Sink, Solo, engine, held, request, solo, speak


def samplers():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("sampler-")]


def test_chunks_begin_small_and_the_last_one_says_so():
    made = engine()
    with closing(Scheduler(1)) as scheduler:
        sink = Sink()
        slot = speak(scheduler, made, request(190), sink)
        assert sink.wait() is End.COMPLETED
        assert sink.sizes == [20, 40, 50, 50, 30]
        assert [chunk.end for chunk in sink.chunks] == [None] * 4 + [End.COMPLETED]
        assert [chunk.snapshot for chunk in sink.chunks] == [None] * 5
        assert slot.position == 190
    assert slot.ended


def test_a_limit_holds_and_is_moved():
    made = engine()
    with closing(Scheduler(2)) as scheduler:
        sink = Sink()
        slot = speak(scheduler, made, request(300), sink, limit=70)
        sink.wait_for(70)
        assert sink.sizes == [20, 40, 10]
        # Whoever comes later is served meanwhile: the paused slot does not stand in the way.
        other = Sink()
        speak(scheduler, made, request(500, seed=1), other)
        assert other.wait() is End.COMPLETED
        assert slot.position == 70
        assert scheduler.figures().waiting == 1
        slot.extend_limit(69)
        slot.extend_limit(71)
        sink.wait_for(71)
        slot.extend_limit(None)
        assert sink.wait() is End.COMPLETED
    assert sink.sizes[:4] == [20, 40, 10, 1]
    np.testing.assert_array_equal(sink.symbols(), solo(made, request(300)))


def test_streams_follow_each_other_and_may_come_late():
    made, wanted = engine(), [request(70, seed=1), request(1, seed=2), request(130, seed=3)]
    with closing(Scheduler(1)) as scheduler:
        sink = Sink()
        slot = scheduler.open(made, RATE, sink, realtime=True)
        assert scheduler.figures().waiting == 1
        slot.feed(made.open(wanted[0]))
        slot.feed(made.open(wanted[1]))
        sink.wait_for(71)
        slot.feed(made.open(wanted[2]))
        sink.wait_for(201)
        assert sink.end is None
        assert slot.index == 3
        slot.finish()
        assert sink.wait() is End.COMPLETED
    assert sink.sizes[-1] == 0
    for index, one in enumerate(wanted):
        np.testing.assert_array_equal(sink.symbols(index), solo(made, one))


def test_a_slot_without_streams_completes():
    with closing(Scheduler(1)) as scheduler:
        sink = Sink()
        scheduler.open(engine(), RATE, sink, realtime=False).finish()
        assert sink.wait() is End.COMPLETED
    assert len(sink.chunks) == 1


def test_a_cancelled_slot_ends_at_the_next_chunk_with_its_state():
    made, took = engine(), []
    now = [5.0]
    with closing(Scheduler(1, on_cancel=took.append, clock=lambda: now[0])) as scheduler:
        sink = Sink()
        slot = speak(scheduler, made, request(10_000), sink, limit=60)
        sink.wait_for(60)
        with held(scheduler):
            slot.extend_limit(None)
            slot.cancel()
            now[0] = 7.5
            slot.cancel()
        assert sink.wait() is End.CANCELLED
    last = sink.chunks[-1]
    assert (last.index, last.start, len(last.symbols)) == (0, 60, 0)
    assert last.snapshot is not None
    assert made.restore(request(10_000), last.snapshot).position == 60
    assert took == [2.5]


def test_a_running_slot_is_cancelled_between_chunks():
    made = engine()
    with closing(Scheduler(1)) as scheduler:
        sink = Sink()

        def cancel_after_two(chunk):
            sink(chunk)
            if len(sink.chunks) == 2:
                slot.cancel()

        slot = scheduler.open(made, RATE, cancel_after_two, realtime=True)
        slot.feed(made.open(request(10_000)))
        assert sink.wait() is End.CANCELLED
    assert sink.sizes == [20, 40, 0]


def test_a_slot_that_never_began_is_cancelled_without_a_snapshot():
    made = engine()
    with closing(Scheduler(1)) as scheduler:
        empty, fresh, between = Sink(), Sink(), Sink()
        scheduler.open(made, RATE, empty, realtime=True).cancel()
        with held(scheduler):
            speak(scheduler, made, request(100), fresh).cancel()
        slot = scheduler.open(made, RATE, between, realtime=True)
        slot.feed(made.open(request(20)))
        between.wait_for(20)
        slot.cancel()
        for sink in (empty, fresh, between):
            assert sink.wait() is End.CANCELLED
            assert sink.chunks[-1].snapshot is None
    assert (between.chunks[-1].index, between.chunks[-1].start) == (1, 20)


def test_a_slot_that_was_cancelled_before_its_last_stream_came_is_not_complete():
    made = engine()
    with closing(Scheduler(1)) as scheduler:
        sinks = [Sink(), Sink()]
        for sink, before in zip(sinks, (0, 20), strict=True):
            slot = scheduler.open(made, RATE, sink, realtime=True)
            if before:
                slot.feed(made.open(request(before)))
                sink.wait_for(before)
            with held(scheduler):
                slot.cancel()
                slot.feed(made.open(request(100)))
                slot.finish()
            assert sink.wait() is End.CANCELLED


def test_what_is_asked_of_a_slot_after_its_end_has_no_effect():
    made = engine()
    with closing(Scheduler(1)) as scheduler:
        sinks = [Sink(), Sink()]
        slots = [speak(scheduler, made, request(30), sink) for sink in sinks]
        slots[1].cancel()
        ends = [sink.wait() for sink in sinks]
        with held(scheduler):  # by now both have been let go
            pass
        for slot in slots:
            assert slot.ended
            slot.feed(made.open(request(30)))
            slot.finish()
            slot.extend_limit(None)
            slot.cancel()
        after = Sink()
        speak(scheduler, made, request(30), after)
        after.wait()
    assert [sink.end for sink in sinks] == ends
    assert ends[0] is End.COMPLETED


def test_a_stream_after_the_last_is_a_mistake():
    with closing(Scheduler(1)) as scheduler, held(scheduler):
        slot = speak(scheduler, engine(), request(30), Sink())
        with pytest.raises(AssertionError, match="a stream after finish"):
            slot.feed(engine().open(request(30)))


def test_closing_cancels_what_is_open_and_ends_the_threads():
    made = engine()
    scheduler = Scheduler(3)
    assert len(samplers()) == 3
    running, paused, waiting = Sink(), Sink(), Sink()
    speak(scheduler, made, request(10**6), running)
    speak(scheduler, made, request(10**6), paused, limit=20)
    scheduler.open(made, RATE, waiting, realtime=False)
    running.wait_for(110)
    paused.wait_for(20)
    scheduler.close()
    assert samplers() == []
    for sink in (running, paused, waiting):
        assert sink.end is End.CANCELLED
    for sink in (running, paused):
        snapshot = sink.chunks[-1].snapshot
        assert snapshot is not None
        assert made.restore(request(10**6), snapshot).position == sink.position
    assert waiting.chunks[-1].snapshot is None
    with pytest.raises(RuntimeError, match="closed"):
        scheduler.open(made, RATE, Sink(), realtime=True)
    scheduler.close()


def test_a_listener_is_served_before_a_batch_until_it_is_a_second_ahead():
    """Time stands still, so it is the symbols made that decide."""
    made, order = engine(make=Solo), []
    with closing(Scheduler(1, clock=lambda: 0.0)) as scheduler:
        batch, listener = Sink(), Sink()
        with held(scheduler):
            for name, sink in (("batch", batch), ("listener", listener)):

                def note(chunk, name=name, sink=sink):
                    order.append((name, chunk.start + len(chunk.symbols)))
                    sink(chunk)

                slot = scheduler.open(made, RATE, note, realtime=name == "listener")
                slot.feed(made.open(request(1500)))
                slot.finish()
        assert batch.wait() is End.COMPLETED
        assert listener.wait() is End.COMPLETED
    names = [name for name, _ in order]
    turns = names.index("batch")
    assert names == ["listener"] * turns + ["batch"] * (len(batch.chunks)) + ["listener"] * (len(names) - turns - 31)
    assert order[turns - 1] == ("listener", 1010)


def test_no_lock_is_held_while_an_engine_samples_or_a_sink_is_called():
    """Else another thread that asks something of the scheduler would wait for the chunk."""
    asked = []

    def ask(where):
        thread = threading.Thread(target=lambda: (slot.extend_limit(None), scheduler.figures(), asked.append(where)))
        thread.start()
        thread.join(PATIENCE)

    class Asking(type(engine())):
        def step(self, streams, samples):
            ask("engine")
            return super().step(streams, samples)

    made = engine(make=Asking)
    with closing(Scheduler(1)) as scheduler:
        sink = Sink()

        def sink_that_asks(chunk):
            ask("sink")
            sink(chunk)

        slot = scheduler.open(made, RATE, sink_that_asks, realtime=True)
        slot.feed(made.open(request(20)))
        slot.finish()
        assert sink.wait() is End.COMPLETED
    assert asked == ["engine", "sink"]


def test_figures_count_calls_lanes_and_symbols():
    made = engine()
    now = [0.0]

    def tick():
        now[0] += 1.0
        return now[0]

    with closing(Scheduler(1, clock=tick)) as scheduler:
        before = scheduler.figures()
        assert (before.running, before.waiting, before.calls, before.busy_seconds) == (0, 0, 0, 0.0)
        sinks = [Sink() for _ in range(5)]
        with held(scheduler):
            held_at = scheduler.figures()
            assert held_at.running == 1
            for number, sink in enumerate(sinks):
                speak(scheduler, made, request(20, seed=number), sink, realtime=False)
            assert scheduler.figures().running == 6
        for sink in sinks:
            sink.wait()
        with held(scheduler):
            after = scheduler.figures()
        assert (after.running, after.waiting) == (1, 0)
        # The holder's call, four together, the fifth; the second holder's is still going on.
        assert (after.calls, after.lanes, after.symbols) == (3, 6, 5 * 20 + 2)
        assert after.busy_seconds > 0.0
