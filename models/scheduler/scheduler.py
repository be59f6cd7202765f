"""The scheduler: sampler threads that sample all slots, chunk by chunk.

No lock is held while an engine samples or a sink is called. A slot is sampled by one thread at a time, so its sink is
called in order, and never concurrently.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ancestral.models.engines.base import Engine, Samples, Stream
from ancestral.models.scheduler.policy import SlotState, choose
from ancestral.models.scheduler.slots import Chunk, End, Slot

log = logging.getLogger(__name__)

_NOTHING: Samples = np.empty(0, np.uint8)


@dataclass(frozen=True)
class Figures:
    """Metrics. All but the first two are counters."""

    running: int
    """Slots that are being sampled or wait for a thread."""
    waiting: int
    """Slots that wait for their owner: for the next stream, or for a higher limit."""
    calls: int
    """Calls of an engine."""
    lanes: int
    """Streams in all calls together; divided by ``calls``, the mean batch size."""
    symbols: int
    busy_seconds: float
    """Time of all threads together in sampling and delivery."""


class Scheduler:
    """Samples every open slot on a fixed number of threads. The symbols of a slot do not depend on the others.

    Args:
        threads: number of sampler threads; one per core.
        chunk_ms: sound per chunk of a slot, after its first two; the longest wait of a new slot.
        snapshot_seconds: seconds of sound between two snapshots of a slot.
        on_cancel: called by a sampler thread with the seconds from a cancel to the last chunk.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        threads: int,
        *,
        chunk_ms: int = 50,
        snapshot_seconds: float = 2.0,
        on_cancel: Callable[[float], None] = lambda seconds: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        assert threads > 0, "without a thread no slot would end"
        self._chunk_ms, self._snapshot_seconds = chunk_ms, snapshot_seconds
        self._on_cancel, self._clock = on_cancel, clock
        self._changed = threading.Condition()
        self._slots: dict[Slot, None] = {}
        self._closed = False
        self._busy = self._calls = self._lanes = self._symbols = 0
        self._busy_seconds = 0.0
        self._threads = [threading.Thread(target=self._work, name=f"sampler-{n}") for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def open(
        self,
        engine: Engine,
        rate: int,
        sink: Callable[[Chunk], None],
        *,
        realtime: bool,
        limit: int | None = None,
        start: int = 0,
        index: int = 0,
    ) -> Slot:
        """A new slot without streams.

        Args:
            engine: of all its streams.
            rate: symbols per second of sound.
            sink: takes the chunks, in order, on a sampler thread. It must not block, or call :meth:`close`; if it
                raises, this slot fails, and no other.
            realtime: whether a client listens while it is sampled.
            limit: positions below it may be sampled, until :meth:`Slot.extend_limit` changes it; None for all.
            start: its first position, if it continues from a snapshot.
            index: of its first stream, if it continues from a snapshot.

        Raises:
            RuntimeError: the scheduler was closed.
        """
        state, every = SlotState(engine, rate, realtime), max(1, round(self._snapshot_seconds * rate))
        slot = Slot(state, sink, limit, start, index, every, self._changed, self._clock)
        with self._changed:
            if self._closed:
                raise RuntimeError("the scheduler was closed")
            self._slots[slot] = None
        return slot

    def close(self) -> None:
        """Cancel every slot, and return when the threads have ended, after the current chunks."""
        with self._changed:
            self._closed = True
            for slot in self._slots:
                slot.cancel()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def figures(self) -> Figures:
        with self._changed:
            running = sum(slot.busy or slot.runnable or slot.ending for slot in self._slots)
            waiting = len(self._slots) - running
            return Figures(running, waiting, self._calls, self._lanes, self._symbols, self._busy_seconds)

    def _work(self) -> None:
        while (call := self._take()) is not None:
            self._serve(*call)

    def _take(self) -> tuple[list[Slot], int] | None:
        """The slots of the next call, marked as busy, and its number of symbols; None when the scheduler is closed."""
        with self._changed:
            while (call := self._next()) is None:
                if self._closed and not self._slots:
                    return None
                self._changed.wait()
            for slot in call[0]:
                slot.busy = True
            self._busy += 1
            return call

    def _next(self) -> tuple[list[Slot], int] | None:
        """The slots of the next call and its number of symbols, 0 for a slot that is to end; None without work."""
        free = [slot for slot in self._slots if not slot.busy]
        if ending := [slot for slot in free if slot.ending]:
            return ending[:1], 0
        ready = [slot for slot in free if slot.runnable]
        if not ready:
            return None
        chosen = choose([slot.state for slot in ready], len(self._threads) - self._busy, self._clock())
        batch = [ready[i] for i in chosen]
        return batch, min(slot.chunk_size(self._chunk_ms) for slot in batch)

    def _serve(self, batch: list[Slot], samples: int) -> None:
        begun = self._clock()
        made: Sequence[Samples | Exception] = [_NOTHING]
        if samples:
            made = _step(batch[0].state.engine, [slot.streams[0] for slot in batch], samples)
        ended = [self._deliver(slot, result) for slot, result in zip(batch, made, strict=True)]
        with self._changed:
            for slot, last in zip(batch, ended, strict=True):
                slot.busy = False
                if last:
                    slot.retire()
                    del self._slots[slot]
            self._busy -= 1
            self._busy_seconds += self._clock() - begun
            if samples:
                self._calls += 1
                self._lanes += len(batch)
            self._changed.notify_all()

    def _deliver(self, slot: Slot, made: Samples | Exception) -> bool:
        """Give a slot's sink its symbols, or the error; returns whether that was its last chunk."""
        try:
            if isinstance(made, Exception):
                raise made
            chunk = self._chunk(slot, made)
            if len(chunk.symbols) or chunk.end is not None:
                slot.sink(chunk)
        except Exception as error:  # noqa: BLE001 - the failure of one slot must not stop the others
            try:
                slot.sink(Chunk(slot.index, slot.position, _NOTHING, end=End.FAILED, error=error))
            except Exception:
                log.exception("a sink failed at its last chunk")
            return True
        return chunk.end is not None

    def _chunk(self, slot: Slot, made: Samples) -> Chunk:
        with self._changed:
            chunk, stream = slot.record(made)
            self._symbols += len(made)
        if stream is not None:
            chunk = replace(chunk, snapshot=slot.state.engine.snapshot(stream))
        if chunk.end is End.CANCELLED and slot.cancelled_at is not None:
            self._on_cancel(self._clock() - slot.cancelled_at)
        return chunk


def _step(engine: Engine, streams: list[Stream], samples: int) -> Sequence[Samples | Exception]:
    """Step streams together; the result of a stream that fails is its error.

    If the call fails, another stream may be the cause. Those that it has not touched (:meth:`Engine.step`) are stepped
    one by one; the others have lost symbols, and fail.
    """
    before = [stream.position for stream in streams]
    try:
        return engine.step(streams, samples)
    except Exception as error:  # noqa: BLE001 - the failure of one slot must not stop the others
        if len(streams) == 1:
            return [error]
        return [
            _step(engine, [stream], samples)[0] if stream.position == position else error
            for stream, position in zip(streams, before, strict=True)
        ]
