"""The scheduler: sampler threads that share out all slots between them, chunk by chunk.

No lock is held while an engine samples or a sink is called. A slot is in one thread's hands at a time, so its sink is
called in order and never twice at once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.engines.base import Engine, Stream, Symbols
from models.scheduler.policy import SlotState, choose
from models.scheduler.slots import Chunk, End, Slot

log = logging.getLogger(__name__)

_NOTHING: Symbols = np.empty(0, np.uint8)


@dataclass(frozen=True)
class Figures:
    """How it is doing. All but the first two only grow."""

    running: int
    """Slots that are being sampled or wait for a thread."""
    waiting: int
    """Slots that wait for their owner: for the next stream, or to be allowed on."""
    calls: int
    """Of an engine."""
    lanes: int
    """Streams in all calls together; by ``calls``, how full they were."""
    symbols: int
    """Made."""
    busy_seconds: float
    """Of all threads together: sampling, and handing over."""


class Scheduler:
    """Samples every open slot on a fixed number of threads. What is made of a slot does not depend on the others.

    Args:
        threads: that sample; one a core.
        chunk_ms: sound made of a slot at a time, after its first two chunks; how long a newcomer may wait.
        snapshot_seconds: of sound between two snapshots of a slot.
        on_cancel: told, by a sampler thread, the seconds from every cancel to its last chunk.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        threads: int,
        *,
        chunk_ms: int = 50,
        snapshot_seconds: float = 1.0,
        on_cancel: Callable[[float], None] = lambda seconds: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        assert threads > 0, "slots end in a thread"
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
        """A slot, which has no stream yet.

        Args:
            engine: of all its streams.
            rate: symbols in a second of sound.
            sink: takes the chunks, in order, on a sampler thread. It must not block, or call :meth:`close`; if it
                raises, the slot fails, and only that.
            realtime: whether somebody listens while it is made.
            limit: positions below it may be made, until :meth:`Slot.allow` says otherwise; None for all.
            start: its first position, if it goes on from a snapshot.
            index: of its first stream, if it goes on from a snapshot.

        Raises:
            RuntimeError: the scheduler was closed.
        """
        claim, every = SlotState(engine, rate, realtime), max(1, round(self._snapshot_seconds * rate))
        slot = Slot(claim, sink, limit, start, index, every, self._changed, self._clock)
        with self._changed:
            if self._closed:
                raise RuntimeError("the scheduler was closed")
            self._slots[slot] = None
        return slot

    def close(self) -> None:
        """Cancel every slot, and return when the threads have ended: after the chunks in hand."""
        with self._changed:
            self._closed = True
            for slot in self._slots:
                slot.cancel()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def figures(self) -> Figures:
        """As of now."""
        with self._changed:
            running = sum(slot.in_hand or slot.runnable or slot.ending for slot in self._slots)
            waiting = len(self._slots) - running
            return Figures(running, waiting, self._calls, self._lanes, self._symbols, self._busy_seconds)

    def _work(self) -> None:
        while (turn := self._take()) is not None:
            self._serve(*turn)

    def _take(self) -> tuple[list[Slot], int] | None:
        """The next turn, with its slots in hand; None when all is over."""
        with self._changed:
            while (turn := self._next()) is None:
                if self._closed and not self._slots:
                    return None
                self._changed.wait()
            for slot in turn[0]:
                slot.in_hand = True
            self._busy += 1
            return turn

    def _next(self) -> tuple[list[Slot], int] | None:
        """The slots to serve next and the symbols to make of each: none of one that is to end. None to wait."""
        free = [slot for slot in self._slots if not slot.in_hand]
        if ending := [slot for slot in free if slot.ending]:
            return ending[:1], 0
        ready = [slot for slot in free if slot.runnable]
        if not ready:
            return None
        chosen = choose([slot.claim for slot in ready], len(self._threads) - self._busy, self._clock())
        hand = [ready[i] for i in chosen]
        return hand, min(slot.wish(self._chunk_ms) for slot in hand)

    def _serve(self, hand: list[Slot], samples: int) -> None:
        begun = self._clock()
        made: Sequence[Symbols | Exception] = [_NOTHING]
        if samples:
            made = _advance(hand[0].claim.engine, [slot.streams[0] for slot in hand], samples)
        ended = [self._deliver(slot, result) for slot, result in zip(hand, made, strict=True)]
        with self._changed:
            for slot, last in zip(hand, ended, strict=True):
                slot.in_hand = False
                if last:
                    slot.retire()
                    del self._slots[slot]
            self._busy -= 1
            self._busy_seconds += self._clock() - begun
            if samples:
                self._calls += 1
                self._lanes += len(hand)
            self._changed.notify_all()

    def _deliver(self, slot: Slot, made: Symbols | Exception) -> bool:
        """Hand over what was made of a slot, or why nothing was. Whether that was its end."""
        try:
            if isinstance(made, Exception):
                raise made
            chunk = self._chunk(slot, made)
            if len(chunk.symbols) or chunk.end is not None:
                slot.sink(chunk)
        except Exception as error:  # noqa: BLE001 - one slot's failure is not the others'
            try:
                slot.sink(Chunk(slot.index, slot.position, _NOTHING, end=End.FAILED, error=error))
            except Exception:
                log.exception("a sink failed at its last chunk")
            return True
        return chunk.end is not None

    def _chunk(self, slot: Slot, made: Symbols) -> Chunk:
        with self._changed:
            chunk, stream = slot.enter(made)
            self._symbols += len(made)
        if stream is not None:
            chunk = replace(chunk, snapshot=slot.claim.engine.snapshot(stream))
        if chunk.end is End.CANCELLED and slot.cancelled_at is not None:
            self._on_cancel(self._clock() - slot.cancelled_at)
        return chunk


def _advance(engine: Engine, streams: list[Stream], samples: int) -> Sequence[Symbols | Exception]:
    """Advance streams together; for one that cannot be, the error.

    If the call fails, the fault may be another stream's. Those that it has not touched (:meth:`Engine.step`) are
    advanced one by one; the others have lost what was made of them, and fail.
    """
    before = [stream.position for stream in streams]
    try:
        return engine.step(streams, samples)
    except Exception as error:  # noqa: BLE001 - one slot's failure is not the others'
        if len(streams) == 1:
            return [error]
        return [
            _advance(engine, [stream], samples)[0] if stream.position == position else error
            for stream, position in zip(streams, before, strict=True)
        ]
