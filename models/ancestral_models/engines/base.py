"""The interface of every engine, its snapshots, and weights that leave memory while nobody uses them."""

from __future__ import annotations

import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

# The protocol of all engines, whatever they sample: step streams together, snapshot and restore them.
#
# A stream's symbols depend on the weights, its conditioning, its seed and the position, and on nothing else: not on the
# number of symbols per call, not on the other streams of the call, not on a restart in between. Every engine guarantees
# this bit for bit within itself; the tests check it.

Symbols = NDArray[np.uint8]
Samples = NDArray[np.uint8] | NDArray[np.int16]
"""What a stream gives: symbols, or the 16-bit sound that an engine has made of them."""
Array = NDArray[np.float32]


class RequestError(ValueError):
    """A request that does not fit the model; the message names the field."""


class EngineError(ValueError):
    """An engine that cannot run here, or not with this checkpoint; the message says what to do about it."""


class EngineUnavailable(EngineError):
    """An engine that cannot run on this machine, whatever the checkpoint."""


def check_draws(seed: int, temperature: float) -> None:
    """Raise :class:`RequestError` for a seed or a temperature that no symbol can be drawn with."""
    if not 0 <= seed < 2**63:
        raise RequestError("seed: must lie in 0 … 2^63 - 1")
    if not (np.isfinite(temperature) and temperature >= 0.0):
        raise RequestError("temperature: must be a finite number, at least 0")


class Length(Protocol):
    """A request, as far as a scheduler needs to know it."""

    @property
    def length(self) -> int:
        """Symbols to sample."""


class Stream(Protocol):
    """One sequence being sampled. Engines add their state; callers read these two."""

    @property
    def request(self) -> Length:
        """The request that it was opened with."""

    @property
    def position(self) -> int:
        """Symbols sampled so far."""


class Engine(Protocol):
    """What a scheduler needs of an engine, whatever it samples."""

    @property
    def name(self) -> str:
        """``native``, ``onnx-cuda``, …: what really runs; clients see it in ``x-engine``."""

    @property
    def lanes(self) -> int:
        """Streams that share the work of one call; more streams are taken in groups of this size."""

    def step(self, streams: Sequence[Any], samples: int) -> Sequence[Samples]:
        """Sample up to ``samples`` more of every stream (or a few more, where they come in rows), together.

        If it raises, a stream whose position is unchanged has not been touched; the others are lost.
        """

    def weights_of(self, stream: Any) -> object:
        """What samples a stream: two that have the same share the work of a call."""

    def snapshot(self, stream: Any) -> bytes:
        """Everything besides the request that is needed to continue from here, in this or another process."""

    @property
    def loaded(self) -> bool:
        """Whether the weights are in memory."""

    def unload(self, idle_seconds: float) -> bool:
        """Free the memory of what has not been used for this long; returns whether it did. The next call reloads."""


PROBE_SYMBOLS: Final = 256


def probe_symbols(count: int, levels: int) -> Symbols:
    """Fixed symbols that differ from one to the next."""
    return (np.arange(count) * 40503 // 128 % levels).astype(np.uint8)


def probe_bits(nats: NDArray[np.float64]) -> bytes:
    """Likelihoods of a probe, such that another rounding in the network shows, and none in the logarithm behind it."""
    return np.rint(np.nan_to_num(nats) * 2.0**24).clip(-(2.0**62), 2.0**62).astype("<i8").tobytes()


class Unloadable:
    """Engines that keep a few megabytes in memory for good, and drop one resource, if they have such a one."""

    _graphs: LazyResource[Any] | None = None
    """Of onnxruntime, with their memory on a GPU; streams and pictures keep their own state."""

    @property
    def loaded(self) -> bool:
        return self._graphs is None or self._graphs.loaded

    def unload(self, idle_seconds: float) -> bool:
        return self._graphs is not None and self._graphs.drop(idle_seconds)


GREEDY = 1e-200
"""The lowest temperature of graphs that draw symbols: all but the largest logits get probability 0, and a lower one
would overflow. With noise 0, which takes the first of several equal ones, it is temperature 0."""


def group_by_length(lengths: Sequence[int], lanes: int) -> Iterator[tuple[list[int], int, int]]:
    """Groups of streams to step together, and the range of symbols of each.

    Streams that end together share a group, so that groups change their lanes as rarely as possible.

    Args:
        lengths: the number of symbols to sample of each stream.
        lanes: streams in a group.

    Yields:
        Indices of streams, the first symbol, the one after the last.
    """
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    for first in range(0, len(order), lanes):
        group, done = order[first : first + lanes], 0
        while group := [i for i in group if lengths[i] > done]:
            yield group, done, lengths[group[0]]
            done = lengths[group[0]]


# Snapshots of streams: a header that names the model and has a checksum, then the symbols that the state follows from.
# Never pickle.

_MAGIC = b"ANC2"
_HEADER = struct.Struct("<4s16s32sqI")
"""Magic with version, engine, SHA-256 of the weights, position, CRC-32 of all else."""


def pack(engine: str, sha256: str, position: int, symbols: Symbols) -> bytes:
    """A snapshot.

    Args:
        engine: the one that goes on with them; at most 16 ASCII letters.
        sha256: of the weights, hexadecimal.
        position: the next position.
        symbols: before it, ``uint8``; as many as the engine's state follows from.
    """
    fields, state = (_MAGIC, engine.encode(), bytes.fromhex(sha256), position), symbols.tobytes()
    checksum = zlib.crc32(state, zlib.crc32(_HEADER.pack(*fields, 0)))
    return _HEADER.pack(*fields, checksum) + state


def unpack(engine: str, sha256: str, length: int, size: int, snapshot: bytes) -> tuple[int, Symbols]:
    """Position and symbols ``[size]`` of a snapshot that :func:`pack` made.

    Args:
        engine: as given to :func:`pack`.
        sha256: as given to :func:`pack`.
        length: of the request, which bounds the position.
        size: number of symbols.
        snapshot: as stored.

    Raises:
        RequestError: the snapshot is of another model or engine, damaged, or beyond the end of the request.
    """
    if len(snapshot) != _HEADER.size + size:
        raise RequestError(f"snapshot: {len(snapshot)} bytes are not the state of this model")
    position: int = _HEADER.unpack_from(snapshot)[3]
    symbols = np.frombuffer(snapshot, np.uint8, offset=_HEADER.size)
    if snapshot != pack(engine, sha256, position, symbols):
        raise RequestError("snapshot: of another model, engine or version, or damaged")
    if not 0 <= position <= length:
        raise RequestError(f"snapshot: position {position} lies beyond the request")
    return position, symbols


# A large resource that is created on use, and dropped when it has been idle for a while.

_T = TypeVar("_T")


class LazyResource(Generic[_T]):
    """Created at once, so that errors are found early, and again when it is used after it was dropped.

    Args:
        make: creates it, any number of times, always the same. May raise.
    """

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._value: _T | None = make()
        self._users, self._used_at = 0, time.monotonic()
        self._lock = threading.Lock()

    @property
    def loaded(self) -> bool:
        return self._value is not None

    @contextmanager
    def use(self) -> Iterator[_T]:
        """The resource, which is not dropped while it is in use. Any number of threads may use it."""
        with self._lock:
            if self._value is None:
                self._value = self._make()
            value = self._value
            self._users += 1
        try:
            yield value
        finally:
            with self._lock:
                self._users -= 1
                self._used_at = time.monotonic()

    def drop(self, idle_seconds: float) -> bool:
        """Drop it if it is in memory and has been idle for this long; returns whether it did."""
        with self._lock:
            if self._value is None or self._users or time.monotonic() - self._used_at < idle_seconds:
                return False
            self._value = None
            return True
