"""What goes wrong in one slot is that slot's end, and nobody else's."""

from contextlib import closing

import numpy as np

from ancestral.models.engines.speech.native import NativeEngine
from ancestral.models.scheduler import End, Scheduler
from tests.models.scheduler.support import RATE, Sink, engine, held, request, solo, speak


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
    """Of a slot that fails with a chunk that was made and not taken: the last one stands beyond it."""

    def __call__(self, chunk):
        if chunk.end is End.FAILED:
            self.position = chunk.start
        super().__call__(chunk)


def test_a_sink_that_raises_ends_its_slot_and_hears_of_it():
    made = engine()
    with closing(Scheduler(1)) as scheduler:
        good, bad = Sink(), Untaken()
        taken = 0

        def full(chunk):
            nonlocal taken
            taken += 1
            if taken == 2:
                raise OSError("the disk is full")
            bad(chunk)

        with held(scheduler):
            speak(scheduler, made, request(200), good)
            slot = scheduler.open(made, RATE, full, realtime=True)
            slot.feed(made.open(request(200)))
        assert good.wait() is End.COMPLETED
        assert bad.wait() is End.FAILED
        with held(scheduler):
            assert slot.ended
    assert str(bad.error) == "the disk is full"
    assert bad.sizes == [20, 0]
    assert bad.chunks[-1].start == 60
    np.testing.assert_array_equal(good.symbols(), solo(made, request(200)))


def test_a_sink_that_cannot_even_take_its_failure_is_logged(caplog):
    made = engine()

    def broken(chunk):
        raise OSError("gone")

    with closing(Scheduler(1)) as scheduler:
        slot = scheduler.open(made, RATE, broken, realtime=True)
        slot.feed(made.open(request(200)))
        after = Sink()
        speak(scheduler, made, request(200), after)
        assert after.wait() is End.COMPLETED
        with held(scheduler):
            assert slot.ended
    assert "a sink failed at its last chunk" in caplog.text


def test_a_stream_that_cannot_be_sampled_fails_without_its_company():
    made, other = engine(), engine()
    with closing(Scheduler(1)) as scheduler:
        sinks = [Sink() for _ in range(3)]
        with held(scheduler):
            for number, sink in enumerate(sinks):
                slot = scheduler.open(made, RATE, sink, realtime=True)
                slot.feed(StreamOfNoEngine() if number == 1 else made.open(request(90, seed=number)))
                slot.finish()
        assert [sink.wait() for sink in sinks] == [End.COMPLETED, End.FAILED, End.COMPLETED]
    assert "another engine" in str(sinks[1].error)
    for number in (0, 2):
        np.testing.assert_array_equal(sinks[number].symbols(), solo(other, request(90, seed=number)))


def test_a_stream_that_lost_symbols_fails_and_the_untouched_go_on():
    made = engine(make=Torn)
    with closing(Scheduler(1)) as scheduler:
        sinks = [Sink() for _ in range(3)]
        with held(scheduler):
            for number, sink in enumerate(sinks):
                speak(scheduler, made, request(20, seed=number), sink)
        assert [sink.wait() for sink in sinks] == [End.FAILED, End.COMPLETED, End.COMPLETED]
    assert isinstance(sinks[0].error, MemoryError)
    for number in (1, 2):
        np.testing.assert_array_equal(sinks[number].symbols(), solo(made, request(20, seed=number)))


def test_a_snapshot_that_fails_ends_the_slot():
    made = engine(make=Forgetful)
    with closing(Scheduler(1, snapshot_seconds=0.05)) as scheduler:
        sink = Untaken()
        speak(scheduler, made, request(200), sink)
        assert sink.wait() is End.FAILED
    assert str(sink.error) == "no snapshot"


def test_a_cancel_that_cannot_be_reported_fails_its_slot():
    def report(seconds):
        raise OSError("no metrics")

    with closing(Scheduler(1, on_cancel=report)) as scheduler:
        sink = Sink()
        slot = speak(scheduler, engine(), request(200), sink, limit=20)
        sink.wait_for(20)
        slot.cancel()
        assert sink.wait() is End.FAILED
