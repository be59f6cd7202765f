"""A slot: the streams of one utterance, sampled one after the other, and what its owner may ask of it meanwhile."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from models.engines.base import Stream, Symbols
from models.scheduler.policy import SlotState


class End(StrEnum):
    """How a slot ended."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True)
class Chunk:
    """What a slot's sink is handed."""

    index: int
    """Which of the slot's streams the symbols belong to: 0, 1, …"""
    start: int
    """Position in the slot of the first symbol: those of all its streams before it."""
    symbols: Symbols
    """``uint8 [T]``; empty only in a last chunk."""
    snapshot: bytes | None = None
    """Of stream ``index`` after these symbols, when one was due."""
    end: End | None = None
    """On the last chunk."""
    error: Exception | None = None
    """What went wrong, where ``end`` is FAILED."""


class Slot:
    """Made by :meth:`Scheduler.open`. Its methods may be called from any thread, and have no effect after its end."""

    def __init__(
        self,
        claim: SlotState,
        sink: Callable[[Chunk], None],
        limit: int | None,
        start: int,
        index: int,
        snapshot_every: int,
        changed: threading.Condition,
        clock: Callable[[], float],
    ) -> None:
        self._limit = limit
        self._position, self._index = start, index
        self._snapshot_every, self._snapshot_at = snapshot_every, start + snapshot_every
        self._changed, self._clock = changed, clock
        self._finished = self._ended = False
        # The scheduler's.
        self.claim, self.sink = claim, sink
        self.streams: deque[Stream] = deque()
        self.cancelled_at: float | None = None
        self.in_hand = False

    @property
    def position(self) -> int:
        """Symbols made so far, of all streams."""
        return self._position

    @property
    def index(self) -> int:
        """The stream that the next symbol belongs to."""
        return self._index

    @property
    def ended(self) -> bool:
        """Whether the sink has had its last chunk."""
        return self._ended

    def feed(self, stream: Stream) -> None:
        """Add the next stream; it is sampled from where it stands, right after those before it."""
        with self._change():
            if not (self._ended or self.cancelled_at is not None):
                assert not self._finished, "a stream after finish()"
                self.streams.append(stream)

    def finish(self) -> None:
        """No more streams will come: the slot is completed after the last one."""
        with self._change():
            self._finished = True

    def allow(self, limit: int | None) -> None:
        """Let the positions below ``limit`` be made, and no others for now; None lets all."""
        with self._change():
            self._limit = limit

    def cancel(self) -> None:
        """Stop after the chunk in hand. The last chunk has no symbols, and a snapshot if a stream was begun."""
        with self._change():
            if self.cancelled_at is None:
                self.cancelled_at = self._clock()

    @contextmanager
    def _change(self) -> Iterator[None]:
        """Hold the lock; afterwards a sampler thread has another look."""
        with self._changed:
            before = self.runnable
            yield
            if self.runnable and not before:
                self.claim.wake(self._clock())
            self._changed.notify()

    # What follows is the scheduler's, which holds the lock.

    @property
    def runnable(self) -> bool:
        """Whether there is something to be sampled."""
        allowed = self._limit is None or self._position < self._limit
        return allowed and bool(self.streams) and self.cancelled_at is None

    @property
    def ending(self) -> bool:
        """Whether nothing but the last chunk is missing."""
        return self.cancelled_at is not None or (self._finished and not self.streams)

    def wish(self, chunk_ms: int) -> int:
        """How many symbols to make in its next turn."""
        wish = self.claim.wish(chunk_ms)
        return wish if self._limit is None else min(wish, self._limit - self._position)

    def enter(self, symbols: Symbols) -> tuple[Chunk, Stream | None]:
        """Take note of what was made of the first stream, which is nothing where only an end is due.

        Returns:
            The chunk, and the stream of which it needs a snapshot, if it does.
        """
        stream = self.streams[0] if self.streams else None
        index, start = self._index, self._position
        self._position += len(symbols)
        self.claim.serve(self._clock(), len(symbols))
        if stream is not None and stream.position >= stream.request.length:
            self.streams.popleft()
            self._index += 1
        end = None
        if self._finished and not self.streams:
            end = End.COMPLETED
        elif self.cancelled_at is not None and not len(symbols):
            end = End.CANCELLED
        chunk = Chunk(index, start, symbols, end=end)
        if stream is None or stream.position == 0 or end is End.COMPLETED:
            return chunk, None
        if self._position < self._snapshot_at and end is None:
            return chunk, None
        self._snapshot_at = self._position + self._snapshot_every
        return chunk, stream

    def retire(self) -> None:
        """The sink has had its last chunk."""
        self._ended = True
        self.streams.clear()
