"""What the scheduler's tests share: a sink that watches over what it is given, and a way to hold the threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import numpy as np

from ancestral_models.engines.base import Stream, Symbols
from ancestral_models.engines.speech.engine import SpeechEngine, StreamRequest
from ancestral_models.engines.speech.native import NativeEngine
from ancestral_models.scheduler import Chunk, End, Scheduler, Slot
from tests.models.random_models import TINY_SPECS, random_checkpoint

RATE = 1000
"""Symbols a second: a slot's chunks have 20, 40, then 50."""
PATIENCE = 120.0
"""Seconds after which a test gives up waiting."""


class Solo(NativeEngine):
    """An engine with one stream a call."""

    lanes = 1


def engine(kind: str = "speaker only", make: type[NativeEngine] = NativeEngine, seed: int = 0) -> NativeEngine:
    return make(random_checkpoint(TINY_SPECS[kind], seed))


def request(length: int, seed: int = 0, temperature: float = 1.0) -> StreamRequest:
    """A request for a model of kind "speaker only"."""
    return StreamRequest(length, seed, temperature, speaker=seed % 2)


def solo(made: SpeechEngine, wanted: StreamRequest) -> Symbols:
    return made.step([made.open(wanted)], wanted.length)[0]


class Sink:
    """Collects chunks. What it finds wrong fails its slot, so tests see it in ``end``."""

    def __init__(self, start: int = 0) -> None:
        self.chunks: list[Chunk] = []
        self.position = start
        self._inside = threading.Lock()
        self._news = threading.Condition()

    def __call__(self, chunk: Chunk) -> None:
        assert self._inside.acquire(blocking=False), "called twice at once"
        try:
            assert self.end is None or chunk.end is End.FAILED, "called after the last chunk"
            assert chunk.start == self.position
            assert not self.chunks or chunk.index >= self.chunks[-1].index
            assert len(chunk.symbols) or chunk.end is not None
            self.position += len(chunk.symbols)
            with self._news:
                self.chunks.append(chunk)
                self._news.notify_all()
        finally:
            self._inside.release()

    @property
    def end(self) -> End | None:
        return self.chunks[-1].end if self.chunks else None

    @property
    def error(self) -> Exception | None:
        return self.chunks[-1].error

    @property
    def sizes(self) -> list[int]:
        return [len(chunk.symbols) for chunk in self.chunks]

    def symbols(self, index: int = 0) -> Symbols:
        """All of one stream."""
        parts = [np.empty(0, np.uint8), *(chunk.symbols for chunk in self.chunks if chunk.index == index)]
        return np.concatenate(parts)

    def wait_for(self, position: int) -> None:
        with self._news:
            assert self._news.wait_for(lambda: self.position >= position, PATIENCE)

    def wait(self) -> End:
        """Wait for the last chunk."""
        with self._news:
            assert self._news.wait_for(lambda: self.end is not None, PATIENCE)
        assert self.end is not None
        return self.end


@contextmanager
def held(scheduler: Scheduler, threads: int = 1) -> Iterator[None]:
    """Keep the sampler threads from choosing, so that what is asked for inside is there when they choose again."""
    release, made = threading.Event(), engine("unconditional")
    with ExitStack() as undo:
        undo.callback(release.set)
        for _ in range(threads):
            entered = threading.Event()

            def block(chunk: Chunk, entered: threading.Event = entered) -> None:
                entered.set()
                assert release.wait(PATIENCE)

            speak(scheduler, made, block, StreamRequest(1, 0))
            assert entered.wait(PATIENCE)
        yield


def speak(
    scheduler: Scheduler,
    made: SpeechEngine,
    sink: Callable[[Chunk], None],
    *wanted: StreamRequest | Stream,
    realtime: bool = True,
    finish: bool = True,
    rate: int = RATE,
    **options: int,
) -> Slot:
    """A slot that is fed with streams, or with requests for them."""
    slot = scheduler.open(made, rate, sink, realtime=realtime, **options)
    for one in wanted:
        slot.feed(made.open(one) if isinstance(one, StreamRequest) else one)
    if finish:
        slot.finish()
    return slot
