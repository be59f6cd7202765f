"""Who shares a batch, when streams join, pause, leave and are taken up again: none of it changes a bit."""

import time
from contextlib import closing

import numpy as np
import pytest

from ancestral.models.engines.speech.native import NativeEngine
from ancestral.models.scheduler import Chunk, End, Scheduler, Slot
from tests.models.random_models import SMALL_SPEC, random_checkpoint, requests
from tests.models.scheduler.support import RATE, Sink, engine, held, request, solo

NOTHING = np.empty(0, np.uint8)


class Utterance:
    """Several streams that are interrupted at random and taken up again where they were."""

    def __init__(self, made, wanted, realtime):
        self.engine, self.wanted, self.realtime = made, wanted, realtime
        self.sinks = []
        self.slot: Slot
        self.unfed = []

    def begin(self, scheduler):
        """Open a slot, where the last one was cancelled if there was one, with its begun stream if there is one."""
        last = self.sinks[-1].chunks[-1] if self.sinks else Chunk(0, 0, NOTHING)
        self.sinks.append(Sink(last.start))
        self.unfed = self.wanted[last.index :]
        self.slot = scheduler.open(
            self.engine,
            RATE,
            self.sinks[-1],
            realtime=self.realtime,
            limit=last.start,
            start=last.start,
            index=last.index,
        )
        if last.snapshot is not None:
            self.slot.feed(self.engine.restore(self.unfed.pop(0), last.snapshot))

    def feed(self):
        if self.unfed:
            self.slot.feed(self.engine.open(self.unfed.pop(0)))

    def let_run(self):
        """Nothing stands in the way of its end any more."""
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
        wanted = [
            requests(made.spec, 5, int(rng.integers(1, 250)), seed=number)[stream] for stream in range(1 + number % 4)
        ]
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


def test_the_size_that_serves_shares_without_a_difference():
    made = NativeEngine(random_checkpoint(SMALL_SPEC))
    wanted = requests(SMALL_SPEC, 9, 1700)
    with closing(Scheduler(2)) as scheduler:
        sinks = [Sink() for _ in wanted]
        with held(scheduler, 2):
            for number, (one, sink) in enumerate(zip(wanted, sinks, strict=True)):
                slot = scheduler.open(made, 16000, sink, realtime=bool(number % 2))
                slot.feed(made.open(one))
                slot.finish()
        assert [sink.wait() for sink in sinks] == [End.COMPLETED] * len(wanted)
        assert scheduler.figures().lanes > 2 * scheduler.figures().calls
    for one, sink in zip(wanted, sinks, strict=True):
        np.testing.assert_array_equal(sink.symbols(), solo(made, one))


def test_a_snapshot_is_made_once_a_second_of_sound_and_any_of_them_is_taken_up():
    made, wanted = engine(), [request(500, seed=1), request(420, seed=2)]
    with closing(Scheduler(1, snapshot_seconds=0.2)) as scheduler:
        sink = Sink()
        slot = scheduler.open(made, RATE, sink, realtime=True)
        for one in wanted:
            slot.feed(made.open(one))
        slot.finish()
        assert sink.wait() is End.COMPLETED
        positions = [chunk.start + len(chunk.symbols) for chunk in sink.chunks if chunk.snapshot is not None]
        # Chunks of 20, 40, then 50, or what is left of a stream: the first to end 200 or more after the last snapshot.
        assert positions == [210, 410, 650, 850]
        whole = [sink.symbols(0), sink.symbols(1)]
        for chunk in sink.chunks:
            if chunk.snapshot is None:
                continue
            rest, start = Sink(chunk.start + len(chunk.symbols)), chunk.start + len(chunk.symbols)
            slot = scheduler.open(made, RATE, rest, realtime=False, start=start, index=chunk.index)
            slot.feed(made.restore(wanted[chunk.index], chunk.snapshot))
            for one in wanted[chunk.index + 1 :]:
                slot.feed(made.open(one))
            slot.finish()
            assert rest.wait() is End.COMPLETED
            np.testing.assert_array_equal(
                np.concatenate([rest.symbols(0), rest.symbols(1)]), np.concatenate(whole)[start:]
            )


def test_a_prompt_that_was_forced_is_continued():
    made, wanted = engine(), request(200, seed=3)
    prompt = np.arange(60, dtype=np.uint8)
    stream, alone = made.open(wanted), made.open(wanted)
    made.teacher_force(stream, prompt)
    made.teacher_force(alone, prompt)
    with closing(Scheduler(1)) as scheduler:
        sink = Sink()
        slot = scheduler.open(made, RATE, sink, realtime=True)
        slot.feed(stream)
        slot.finish()
        assert sink.wait() is End.COMPLETED
    np.testing.assert_array_equal(sink.symbols(), made.step([alone], 200)[0])
    assert len(sink.symbols()) == 140


def test_a_snapshot_of_a_stream_at_its_end_is_taken_up_with_the_next():
    made, wanted = engine(), [request(100, seed=1), request(70, seed=2)]
    finished = made.open(wanted[0])
    made.step([finished], 100)
    with closing(Scheduler(1)) as scheduler:
        sink = Sink(100)
        slot = scheduler.open(made, RATE, sink, realtime=True, start=100)
        slot.feed(made.restore(wanted[0], made.snapshot(finished)))
        slot.feed(made.open(wanted[1]))
        slot.finish()
        assert sink.wait() is End.COMPLETED
        alone = Sink(100)
        slot = scheduler.open(made, RATE, alone, realtime=True, start=100)
        slot.feed(finished)
        slot.finish()
        assert alone.wait() is End.COMPLETED
    assert {chunk.index for chunk in sink.chunks} == {1}
    np.testing.assert_array_equal(sink.symbols(1), solo(made, wanted[1]))
    assert alone.sizes == [0]
