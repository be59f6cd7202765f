"""Continuous batching: streams join and leave a running batch at chunk boundaries."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice

import numpy as np

from ancestral_models.engines.base import Engine, Samples, Stream

# The scheduling policy: which slots are sampled next, and how much of each; pure functions of state and time.
#
# A realtime slot is sampled before its listener runs out of sound. A batch slot gets the remaining capacity, and a
# minimum share of calls.

FIRST_CHUNKS_MS = (20, 40)
"""The first chunks of a slot are short, so that its sound starts early."""
AHEAD_SECONDS = 1.0
"""A realtime slot whose listener has more sound than this is not urgent."""
PATIENCE_SECONDS = 2.0
"""A batch slot that has not been sampled for this long goes first."""


@dataclass(eq=False)
class SlotState:
    """What the policy knows of a slot. Times are seconds of the scheduler's clock."""

    engine: Engine
    rate: int
    """Symbols per second of sound."""
    realtime: bool
    """Whether a client listens while it is sampled."""
    weights: object = None
    """What samples its current stream (:meth:`Engine.weights_of`)."""
    since: float = 0.0
    """When it was last sampled, or became runnable again."""
    runs_out_at: float = -math.inf
    """When its listener, who plays symbols as soon as they are sampled, runs out of sound."""
    chunks: int = 0
    """Calls it has taken part in."""

    def wake(self, now: float) -> None:
        """Make it runnable again. The time in which it was not is not made up for."""
        self.since = now
        self.runs_out_at = max(self.runs_out_at, now)

    def serve(self, now: float, symbols: int) -> None:
        """A call has sampled ``symbols``. A listener who had run out of sound continues from now."""
        self.since = now
        self.runs_out_at = max(self.runs_out_at, now) + symbols / self.rate
        self.chunks += 1

    def urgency(self, now: float) -> tuple[int, float]:
        """The sort key of slots, the most urgent first: then the one that runs out first, or has waited longest."""
        if self.realtime and self.runs_out_at - now <= AHEAD_SECONDS:
            return 1, self.runs_out_at
        starved = not self.realtime and now - self.since >= PATIENCE_SECONDS
        return 0 if starved else 2, self.since

    def chunk_size(self, chunk_ms: int) -> int:
        """How many symbols to sample of it in the next call."""
        first = FIRST_CHUNKS_MS[self.chunks] if self.chunks < len(FIRST_CHUNKS_MS) else chunk_ms
        return max(1, self.rate * min(first, chunk_ms) // 1000)


def choose(states: Sequence[SlotState], idle: int, now: float) -> list[int]:
    """The slots of the next call: the most urgent one; alone, if there is a thread for each, else with others whose
    streams are sampled with the same weights.

    A native call of three or four lanes takes twice as long as one of a single lane, one of two lanes four thirds: half
    full calls on every thread would take more processor time, and no sound would be ready sooner.

    Args:
        states: of all runnable slots; of two with equal urgency the earlier goes first.
        idle: threads without work, including the caller's.
        now: the time.

    Returns:
        Indices into ``states``, the most urgent first.
    """
    order = sorted(range(len(states)), key=lambda i: states[i].urgency(now))
    first = states[order[0]]
    lanes = 1 if len(states) <= idle else first.engine.lanes
    alike = (i for i in order if states[i].engine is first.engine and states[i].weights is first.weights)
    return list(islice(alike, lanes))


# A slot: the streams of one job, sampled one after the other, and how its owner controls it meanwhile.


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
        sink: Callable[[Chunk], object],
        limit: int | None,
        start: int,
        index: int,
        snapshot_every: int,
        changed: threading.Condition,
        clock: Callable[[], float],
    ) -> None:
        self._limit = limit
        self.position, self.index = start, index
        """Symbols sampled so far, of all streams; and the stream that the next symbol belongs to."""
        self._snapshot_every, self._snapshot_at = snapshot_every, start + snapshot_every
        self._changed, self._clock = changed, clock
        self.ended = self._finished = False
        """Whether the sink has received its last chunk; whether no more streams follow."""
        # For the scheduler alone.
        self.state, self.sink = state, sink
        self.streams: deque[Stream] = deque()
        self.cancelled_at: float | None = None
        self.busy = False

    def feed(self, stream: Stream) -> None:
        """Add the next stream; it is sampled from its position on, after the streams before it."""
        with self._change():
            if not (self.ended or self.cancelled_at is not None):
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
        allowed = self._limit is None or self.position < self._limit
        return allowed and bool(self.streams) and self.cancelled_at is None

    @property
    def ending(self) -> bool:
        """Whether only the last chunk remains."""
        return self.cancelled_at is not None or (self._finished and not self.streams)

    def chunk_size(self, chunk_ms: int) -> int:
        """How many symbols to sample in the next call."""
        size = self.state.chunk_size(chunk_ms)
        return size if self._limit is None else min(size, self._limit - self.position)

    def record(self, symbols: Samples) -> tuple[Chunk, Stream | None]:
        """Record the symbols of the first stream; there are none where only the end is due.

        Returns:
            The chunk, and the stream to snapshot, if it needs a snapshot.
        """
        stream = self.streams[0] if self.streams else None
        index, start = self.index, self.position
        self.position += len(symbols)
        self.state.serve(self._clock(), len(symbols))
        if stream is not None and stream.position >= stream.request.length:
            self.streams.popleft()
            self.index += 1
            self._note_weights()
        end = None
        if self._finished and not self.streams:
            end = End.COMPLETED
        elif self.cancelled_at is not None and not len(symbols):
            end = End.CANCELLED
        chunk = Chunk(index, start, symbols, end=end)
        if stream is None or stream.position == 0 or end is End.COMPLETED:
            return chunk, None
        if self.position < self._snapshot_at and end is None:
            return chunk, None
        self._snapshot_at = self.position + self._snapshot_every
        return chunk, stream

    def _note_weights(self) -> None:
        self.state.weights = self.state.engine.weights_of(self.streams[0]) if self.streams else None

    def retire(self) -> None:
        """The sink has received its last chunk."""
        self.ended = True
        self.streams.clear()


# The scheduler: sampler threads that sample all slots, chunk by chunk.
#
# No lock is held while an engine samples or a sink is called. A slot is sampled by one thread at a time, so its sink is
# called in order, and never concurrently.

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
        sink: Callable[[Chunk], object],
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
