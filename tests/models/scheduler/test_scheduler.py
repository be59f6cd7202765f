"""The scheduler: whom it samples next, and what slots deliver."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import numpy as np
import pytest

from ancestral_models.engines.speech.native import NativeEngine
from ancestral_models.scheduler import Chunk, End, Scheduler, SlotState, choose
from tests.models.random_models import requests
from tests.models.scheduler.support import PATIENCE, RATE, Sink, Solo, engine, held, request, solo, speak

# Whose turn it is, by a clock that is turned by hand.

FOUR, ONE = engine(), engine(make=Solo)


def state(made=ONE, *, realtime=True, since=0.0, out=0.0, weights=None):
    """A slot whose listener runs out of sound at ``out``."""
    return SlotState(made, 16000, realtime, weights, since, out)


def waiting(since):
    """A slot without a listener, since its last turn."""
    return state(realtime=False, since=since)


AHEAD = state(out=11.01, since=9.5)
TURNS = {
    "the listener who runs dry first": ([state(out=out) for out in (10.4, 10.1, 9.7, 10.2)], 1, 10.0, [2]),
    "of two as urgent the earlier": ([state(out=1.0), state(out=1.0)], 1, 1.0, [0]),
    "who waits for longer than one who has a second in hand": ([waiting(9.4), AHEAD], 1, 10.0, [0]),
    "one who has a second in hand and waits for longer": ([waiting(9.6), AHEAD], 1, 10.0, [1]),
    "one who has not a second in hand any more": ([waiting(9.4), AHEAD], 1, 10.02, [1]),
    "of two without a listener who waits for longer": ([waiting(9.0), waiting(8.9)], 1, 10.0, [1]),
    "a listener, before two seconds without a turn": ([state(out=3.0), waiting(8.0)], 1, 9.99, [0]),
    "who had no turn for two seconds": ([state(out=3.0), waiting(8.0)], 1, 10.0, [1]),
    "who listens before who does not": ([waiting(8.1), state(out=11.0)], 1, 10.0, [1]),
    "not who is far ahead, however long ago the last turn was": ([state(out=100.0), state(out=50.5)], 1, 50.0, [1]),
    "one, of an engine of one lane": ([state(out=1.0) for _ in range(9)], 1, 0.0, [0]),
    "none of another engine": (
        [state(FOUR, out=0.3), state(ONE, out=0.2), state(FOUR, out=0.1), state(FOUR, out=0.2)], 1, 0.0, [2, 3, 0],
    ),
    "none of other weights": (
        [state(FOUR, out=number / 10, weights=name) for number, name in enumerate(["men", "women", "men"])], 1, 0.0,
        [0, 2],
    ),
    **{
        f"{lanes} of {ready}, with {idle} idle threads": (
            [state(FOUR, out=float(-i)) for i in range(ready)], idle, 0.0, [*range(ready)][::-1][:lanes],
        )
        for ready, idle, lanes in ((1, 2, 1), (2, 2, 1), (3, 2, 3), (2, 1, 2), (5, 2, 4), (8, 2, 4), (30, 1, 4))
    },
}  # fmt: skip
"""Slots, idle threads and the time; and who is served."""


@pytest.mark.parametrize(("states", "idle", "now", "served"), TURNS.values(), ids=TURNS)
def test_whose_turn_it_is(states, idle, now, served):
    assert choose(states, idle, now) == served


def test_time_without_anything_to_sample_is_no_debt():
    paused, ahead, batch = state(out=2.0), state(out=10.7), state(realtime=False, since=1.0)
    for one in (paused, ahead, batch):
        one.wake(10.0)
    assert (paused.runs_out_at, ahead.runs_out_at, batch.since) == (10.0, 10.7, 10.0)


def test_who_ran_dry_goes_on_from_the_next_sound():
    late = state(out=3.0)
    late.serve(10.0, 1600)
    assert late.runs_out_at == pytest.approx(10.1)
    late.serve(10.05, 1600)
    assert late.runs_out_at == pytest.approx(10.2)
    assert late.since == 10.05, "and waits for its next turn from now on"


def test_the_first_chunks_are_short():
    def sizes(rate, chunk_ms):
        wishes = []
        slot = SlotState(ONE, rate, True)
        for _ in range(4):
            wishes.append(slot.chunk_size(chunk_ms))
            slot.serve(0.0, wishes[-1])
        return wishes

    assert sizes(16000, 50) == [320, 640, 800, 800]
    assert sizes(16000, 30) == [320, 480, 480, 480]
    assert sizes(16000, 10) == [160] * 4
    assert sizes(1, 50) == [1] * 4


# Slots: chunks, limits, cancelling, failures; that who shares a batch, pauses or is taken up again changes no bit.


def samplers():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("sampler-")]


@pytest.fixture
def scheduler():
    with closing(Scheduler(1)) as one:
        yield one


@pytest.fixture
def made():
    return engine()


def test_chunks_begin_small_and_the_last_one_says_so(scheduler, made):
    sink = Sink()
    slot = speak(scheduler, made, sink, request(190))
    assert sink.wait() is End.COMPLETED
    assert sink.sizes == [20, 40, 50, 50, 30]
    assert [chunk.end for chunk in sink.chunks] == [None] * 4 + [End.COMPLETED]
    assert [chunk.snapshot for chunk in sink.chunks] == [None] * 5
    assert slot.position == 190


def test_a_limit_holds_and_is_moved(scheduler, made):
    sink, other = Sink(), Sink()
    slot = speak(scheduler, made, sink, request(300), limit=70)
    sink.wait_for(70)
    assert sink.sizes == [20, 40, 10]
    # Whoever comes later is served meanwhile: the paused slot does not stand in the way.
    speak(scheduler, made, other, request(500, seed=1))
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


def test_a_cancelled_slot_ends_at_the_next_chunk_with_its_state():
    made, took = engine(), []
    now = [5.0]
    with closing(Scheduler(1, on_cancel=took.append, clock=lambda: now[0])) as scheduler:
        sink = Sink()
        slot = speak(scheduler, made, sink, request(10_000), limit=60)
        sink.wait_for(60)
        with held(scheduler):
            slot.extend_limit(None)
            slot.cancel()
            now[0] = 7.5
            slot.cancel()
        assert sink.wait() is End.CANCELLED
    last = sink.chunks[-1]
    assert (last.index, last.start, len(last.symbols)) == (0, 60, 0)
    assert made.restore(request(10_000), last.snapshot).position == 60
    assert took == [2.5]


def test_a_slot_that_never_began_is_cancelled_without_a_snapshot(scheduler, made):
    empty, fresh, between = Sink(), Sink(), Sink()
    scheduler.open(made, RATE, empty, realtime=True).cancel()
    with held(scheduler):
        speak(scheduler, made, fresh, request(100)).cancel()
    slot = speak(scheduler, made, between, request(20), finish=False)
    between.wait_for(20)
    slot.cancel()
    for sink in (empty, fresh, between):
        assert sink.wait() is End.CANCELLED
        assert sink.chunks[-1].snapshot is None
    assert (between.chunks[-1].index, between.chunks[-1].start) == (1, 20)


def test_a_slot_that_was_cancelled_before_its_last_stream_came_is_not_complete(scheduler, made):
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


def test_what_is_asked_of_a_slot_after_its_end_has_no_effect(scheduler, made):
    sinks = [Sink(), Sink()]
    slots = [speak(scheduler, made, sink, request(30)) for sink in sinks]
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
    speak(scheduler, made, after, request(30))
    after.wait()
    assert [sink.end for sink in sinks] == ends
    assert ends[0] is End.COMPLETED


def test_closing_cancels_what_is_open_and_ends_the_threads():
    made, before = engine(), samplers()  # servers in threads of this process have some, too
    scheduler = Scheduler(3)
    assert len(samplers()) == len(before) + 3
    running, paused, waiting = Sink(), Sink(), Sink()
    speak(scheduler, made, running, request(10**6))
    speak(scheduler, made, paused, request(10**6), limit=20)
    scheduler.open(made, RATE, waiting, realtime=False)
    running.wait_for(110)
    paused.wait_for(20)
    scheduler.close()
    assert samplers() == before
    for sink in (running, paused, waiting):
        assert sink.end is End.CANCELLED
    for sink in (running, paused):
        snapshot = sink.chunks[-1].snapshot
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

                speak(scheduler, made, note, request(1500), realtime=name == "listener")
        assert batch.wait() is End.COMPLETED
        assert listener.wait() is End.COMPLETED
    names = [name for name, _ in order]
    turns = names.index("batch")
    assert names == ["listener"] * turns + ["batch"] * (len(batch.chunks)) + ["listener"] * (len(names) - turns - 31)
    assert order[turns - 1] == ("listener", 1010)


def test_no_lock_is_held_while_an_engine_samples_or_a_sink_is_called(scheduler):
    """Else another thread that asks something of the scheduler would wait for the chunk."""
    asked = []

    def ask(where):
        thread = threading.Thread(target=lambda: (slot.extend_limit(None), scheduler.figures(), asked.append(where)))
        thread.start()
        thread.join(PATIENCE)

    class Asking(NativeEngine):
        def step(self, streams, samples):
            ask("engine")
            return super().step(streams, samples)

    made = engine(make=Asking)
    sink = Sink()

    def sink_that_asks(chunk):
        ask("sink")
        sink(chunk)

    slot = scheduler.open(made, RATE, sink_that_asks, realtime=True)
    slot.feed(made.open(request(20)))
    slot.finish()
    assert sink.wait() is End.COMPLETED
    assert asked == ["engine", "sink"]


class Torn(NativeEngine):
    """Breaks off after the first stream of several."""

    def step(self, streams, samples):
        made = super().step(streams[:1], samples)
        if len(streams) > 1:
            raise MemoryError("no room for the second")
        return made


class Forgetful(NativeEngine):
    """Cannot be snapshotted."""

    def snapshot(self, stream):
        raise OSError("no snapshot")


class StreamOfNoEngine:
    """Anything but a stream that an engine opened."""

    def __init__(self):
        self.request = request(100)
        self.position = 0


class Untaken(Sink):
    """Sink of a slot that fails with a chunk that was made and not taken: the last one stands beyond it."""

    def __call__(self, chunk):
        if chunk.end is End.FAILED:
            self.position = chunk.start
        super().__call__(chunk)


def test_a_sink_that_raises_ends_its_slot_and_hears_of_it(scheduler, made):
    good, bad = Sink(), Untaken()
    taken = 0

    def full(chunk):
        nonlocal taken
        taken += 1
        if taken == 2:
            raise OSError("the disk is full")
        bad(chunk)

    with held(scheduler):
        speak(scheduler, made, good, request(200))
        slot = speak(scheduler, made, full, request(200), finish=False)
    assert good.wait() is End.COMPLETED
    assert bad.wait() is End.FAILED
    with held(scheduler):
        assert slot.ended
    assert str(bad.error) == "the disk is full"
    assert bad.sizes == [20, 0]
    assert bad.chunks[-1].start == 60
    np.testing.assert_array_equal(good.symbols(), solo(made, request(200)))


@pytest.mark.parametrize(
    ("make", "wrong", "failed", "error"),
    [(NativeEngine, 1, 1, "another engine"), (Torn, None, 0, "no room for the second")],
    ids=["it cannot be sampled", "it lost symbols"],
)
def test_a_stream_that_fails_does_no_harm_to_its_company(scheduler, make, wrong, failed, error):
    made, sinks = engine(make=make), [Sink() for _ in range(3)]
    with held(scheduler):
        for number, sink in enumerate(sinks):
            speak(scheduler, made, sink, StreamOfNoEngine() if number == wrong else request(20, seed=number))
    assert [sink.wait() for sink in sinks] == [End.FAILED if n == failed else End.COMPLETED for n in range(3)]
    assert error in str(sinks[failed].error)
    for number in {0, 1, 2} - {failed}:
        np.testing.assert_array_equal(sinks[number].symbols(), solo(engine(), request(20, seed=number)))


def test_a_snapshot_that_fails_ends_the_slot():
    made = engine(make=Forgetful)
    with closing(Scheduler(1, snapshot_seconds=0.05)) as scheduler:
        sink = Untaken()
        speak(scheduler, made, sink, request(200))
        assert sink.wait() is End.FAILED
    assert str(sink.error) == "no snapshot"


NOTHING = np.empty(0, np.uint8)


class Utterance:
    """Several streams that are interrupted at random and taken up again where they were."""

    def __init__(self, made, wanted, realtime):
        self.engine, self.wanted, self.realtime = made, wanted, realtime
        self.sinks = []
        self.unfed = []

    def begin(self, scheduler):
        """Open a slot, where the last one was cancelled if there was one, with its begun stream if there is one."""
        last = self.sinks[-1].chunks[-1] if self.sinks else Chunk(0, 0, NOTHING)
        self.sinks.append(Sink(last.start))
        self.unfed = self.wanted[last.index :]
        at = {"limit": last.start, "start": last.start, "index": last.index}
        self.slot = scheduler.open(self.engine, RATE, self.sinks[-1], realtime=self.realtime, **at)
        if last.snapshot is not None:
            self.slot.feed(self.engine.restore(self.unfed.pop(0), last.snapshot))

    def feed(self):
        if self.unfed:
            self.slot.feed(self.engine.open(self.unfed.pop(0)))

    def let_run(self):
        """Feed the rest and lift the limit."""
        while self.unfed:
            self.feed()
        self.slot.finish()
        self.slot.extend_limit(None)

    def disturb(self, rng, scheduler):
        """Do something at random to it."""
        match rng.integers(8):
            case 0 | 1:
                self.feed()
            case 2 | 3 | 4:
                self.slot.extend_limit(self.slot.position + int(rng.integers(0, 90)))
            case 5:
                self.slot.extend_limit(None)
            case 6:
                self.slot.extend_limit(0)
            case 7:
                self.slot.cancel()
                if self.sinks[-1].wait() is End.CANCELLED:
                    self.begin(scheduler)

    def symbols(self, index):
        return np.concatenate([sink.symbols(index) for sink in self.sinks])


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_the_symbols_are_those_of_streams_sampled_alone(threads):
    rng = np.random.default_rng(threads)
    engines = [engine("conditional"), engine("speaker only"), engine("conditional", seed=1)]
    utterances = []
    for number in range(24):
        made = engines[number % 3]
        wanted = [requests(made.spec, 5, int(rng.integers(1, 250)), seed=number)[n] for n in range(1 + number % 4)]
        utterances.append(Utterance(made, wanted, realtime=bool(number % 2)))
    with closing(Scheduler(threads, snapshot_seconds=0.03)) as scheduler:
        with held(scheduler, threads):
            for utterance in utterances[:16]:
                utterance.begin(scheduler)
                utterance.feed()
                utterance.slot.extend_limit(int(rng.integers(30, 120)))
        begun = utterances[:16]
        for _ in range(400):
            if len(begun) < len(utterances) and rng.random() < 0.1:
                begun.append(utterances[len(begun)])
                begun[-1].begin(scheduler)
            begun[rng.integers(len(begun))].disturb(rng, scheduler)
            if rng.random() < 0.2:
                time.sleep(0.001)
        for utterance in utterances:
            if utterance not in begun:
                utterance.begin(scheduler)
            utterance.let_run()
        assert [utterance.sinks[-1].wait() for utterance in utterances] == [End.COMPLETED] * 24
        figures = scheduler.figures()
    for utterance in utterances:
        for index, wanted in enumerate(utterance.wanted):
            np.testing.assert_array_equal(utterance.symbols(index), solo(utterance.engine, wanted))
    assert sum(len(utterance.sinks) for utterance in utterances) > 24  # some were cancelled on the way
    assert figures.lanes > figures.calls  # and some shared their calls


def test_a_snapshot_is_made_once_a_second_of_sound_and_any_of_them_is_taken_up():
    made, wanted = engine(), [request(500, seed=1), request(420, seed=2)]
    with closing(Scheduler(1, snapshot_seconds=0.2)) as scheduler:
        sink = Sink()
        speak(scheduler, made, sink, *wanted)
        assert sink.wait() is End.COMPLETED
        positions = [chunk.start + len(chunk.symbols) for chunk in sink.chunks if chunk.snapshot is not None]
        # Chunks of 20, 40, then 50, or what is left of a stream: the first to end 200 or more after the last snapshot.
        assert positions == [210, 410, 650, 850]
        whole = [sink.symbols(0), sink.symbols(1)]
        for chunk in (chunk for chunk in sink.chunks if chunk.snapshot is not None):
            start = chunk.start + len(chunk.symbols)
            rest, streams = Sink(start), [made.restore(wanted[chunk.index], chunk.snapshot), *wanted[chunk.index + 1 :]]
            speak(scheduler, made, rest, *streams, realtime=False, start=start, index=chunk.index)
            assert rest.wait() is End.COMPLETED
            found = np.concatenate([rest.symbols(0), rest.symbols(1)])
            np.testing.assert_array_equal(found, np.concatenate(whole)[start:])


def test_a_prompt_that_was_forced_is_continued(scheduler):
    made, wanted = engine(), request(200, seed=3)
    prompt = np.arange(60, dtype=np.uint8)
    stream, alone = made.open(wanted), made.open(wanted)
    made.teacher_force(stream, prompt)
    made.teacher_force(alone, prompt)
    sink = Sink()
    speak(scheduler, made, sink, stream)
    assert sink.wait() is End.COMPLETED
    np.testing.assert_array_equal(sink.symbols(), made.step([alone], 200)[0])
    assert len(sink.symbols()) == 140


def test_a_snapshot_of_a_stream_at_its_end_is_taken_up_with_the_next(scheduler):
    made, wanted = engine(), [request(100, seed=1), request(70, seed=2)]
    finished = made.open(wanted[0])
    made.step([finished], 100)
    sink = Sink(100)
    speak(scheduler, made, sink, made.restore(wanted[0], made.snapshot(finished)), wanted[1], start=100)
    assert sink.wait() is End.COMPLETED
    alone = Sink(100)
    speak(scheduler, made, alone, finished, start=100)
    assert alone.wait() is End.COMPLETED
    assert {chunk.index for chunk in sink.chunks} == {1}
    np.testing.assert_array_equal(sink.symbols(1), solo(made, wanted[1]))
    assert alone.sizes == [0]
