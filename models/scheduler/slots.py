"""A slot: the streams of one job, sampled one after the other, and how its owner controls it meanwhile."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from ancestral.models.engines.base import Samples, Stream
from ancestral.models.scheduler.policy import SlotState


class End(StrEnum):
    """Reason why a slot ended."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True)
class Chunk:
    """The symbols that a slot's sink receives."""

    index: int
    """The number of the slot's stream that the symbols belong to: 0, 1, …"""
    start: int
    """The position of the first symbol in the slot, counted over all its streams."""
    symbols: Samples
    """``uint8 [T]``, or the sound made of them, ``int16 [T]``; empty only in a last chunk."""
    snapshot: bytes | None = None
    """A snapshot of stream ``index`` after these symbols, when one is due."""
    end: End | None = None
    """Set on the last chunk."""
    error: Exception | None = None
    """The cause, where ``end`` is FAILED."""


class Slot:
    """Created by :meth:`Scheduler.open`. Its methods may be called from any thread, without effect after its end."""

    def __init__(
        self,
        state: SlotState,
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
        # For the scheduler alone.
        self.state, self.sink = state, sink
        self.streams: deque[Stream] = deque()
        self.cancelled_at: float | None = None
        self.busy = False

    @property
    def position(self) -> int:
        """Symbols sampled so far, of all streams."""
        return self._position

    @property
    def index(self) -> int:
        """The stream that the next symbol belongs to."""
        return self._index

    @property
    def ended(self) -> bool:
        """Whether the sink has received its last chunk."""
        return self._ended

    def feed(self, stream: Stream) -> None:
        """Add the next stream; it is sampled from its position on, after the streams before it."""
        with self._change():
            if not (self._ended or self.cancelled_at is not None):
                assert not self._finished, "a stream after finish()"
                self.streams.append(stream)
                self._note_weights()

    def finish(self) -> None:
        """No more streams follow: the slot is completed after the last one, unless it was cancelled before."""
        with self._change():
            if self.cancelled_at is None:  # or else streams were dropped
                self._finished = True

    def extend_limit(self, limit: int | None) -> None:
        """Allow the positions below ``limit`` to be sampled, for now; None allows all."""
        with self._change():
            self._limit = limit

    def cancel(self) -> None:
        """Stop after the current chunk. The last chunk has no symbols, and a snapshot if a stream was started."""
        with self._change():
            if self.cancelled_at is None:
                self.cancelled_at = self._clock()

    @contextmanager
    def _change(self) -> Iterator[None]:
        """Hold the lock; afterwards a sampler thread looks for work again."""
        with self._changed:
            before = self.runnable
            yield
            if self.runnable and not before:
                self.state.wake(self._clock())
            self._changed.notify()

    # The members below are for the scheduler, which holds the lock.

    @property
    def runnable(self) -> bool:
        """Whether there is anything to sample."""
        allowed = self._limit is None or self._position < self._limit
        return allowed and bool(self.streams) and self.cancelled_at is None

    @property
    def ending(self) -> bool:
        """Whether only the last chunk remains."""
        return self.cancelled_at is not None or (self._finished and not self.streams)

    def chunk_size(self, chunk_ms: int) -> int:
        """How many symbols to sample in the next call."""
        size = self.state.chunk_size(chunk_ms)
        return size if self._limit is None else min(size, self._limit - self._position)

    def record(self, symbols: Samples) -> tuple[Chunk, Stream | None]:
        """Record the symbols of the first stream; there are none where only the end is due.

        Returns:
            The chunk, and the stream to snapshot, if it needs a snapshot.
        """
        stream = self.streams[0] if self.streams else None
        index, start = self._index, self._position
        self._position += len(symbols)
        self.state.serve(self._clock(), len(symbols))
        if stream is not None and stream.position >= stream.request.length:
            self.streams.popleft()
            self._index += 1
            self._note_weights()
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

    def _note_weights(self) -> None:
        self.state.weights = self.state.engine.weights_of(self.streams[0]) if self.streams else None

    def retire(self) -> None:
        """The sink has received its last chunk."""
        self._ended = True
        self.streams.clear()
