"""What an engine is: open a stream, advance it or force it along given symbols, snapshot it, restore it.

A stream's symbols depend on the weights, its conditioning, its seed and the position, and on nothing else: not on how
far each call advances, not on who shares the call, not on a restart in between. Every engine keeps that promise bit
for bit within itself; the tests hold it to that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.spec import WaveNetSpec

Symbols = NDArray[np.uint8]
Array = NDArray[np.float32]


@dataclass(frozen=True)
class StreamRequest:
    """All that a stream's symbols depend on besides the weights."""

    length: int
    """Samples to make."""
    seed: int
    """0 … 2^63 - 1; keys the noise (models/noise.py)."""
    temperature: float = 1.0
    """Divides the logits; 0 takes the most likely symbol."""
    speaker: int | None = None
    """Index into the spec's speakers; required exactly where the model has speakers."""
    frames: Array | None = None
    """``[F, local_channels]`` with F * local_hop >= length; required exactly where the model has local conditioning."""


class RequestError(ValueError):
    """A request that does not fit the model; the message names the field."""


class EngineError(ValueError):
    """An engine that cannot run here, or not with this checkpoint; the message says what to do about it."""


class Extent(Protocol):
    """What is asked for, as far as a scheduler has to know."""

    @property
    def length(self) -> int:
        """Symbols to make."""


class Stream(Protocol):
    """One sequence being sampled. Engines add their state; callers read these two."""

    @property
    def request(self) -> Extent:
        """What it will be."""

    @property
    def position(self) -> int:
        """Symbols made so far."""


class Stepper(Protocol):
    """What a scheduler asks of an engine, whatever it samples."""

    @property
    def name(self) -> str:
        """``native``, ``onnx-cuda``, …: what really runs, told to clients in ``x-engine``."""

    @property
    def lanes(self) -> int:
        """Streams that share the work of a call; of more it takes so many at a time."""

    def advance(self, streams: Sequence[Any], samples: int) -> Sequence[Symbols]:
        """Make up to ``samples`` more symbols of every stream (or a few more, where they come in rows), together.

        Whatever it may raise, a stream whose position is what it was before has not been touched; the others are lost.
        """

    def snapshot(self, stream: Any) -> bytes:
        """Everything but the request that is needed to go on from here, here or in another process."""

    @property
    def loaded(self) -> bool:
        """Whether what it computes with is in memory."""

    def unload(self, idle_seconds: float) -> bool:
        """Give back the memory of what has not been used for so long, and say if so; the next call loads it again."""


class Resting:
    """Engines that keep all they have: a few megabytes."""

    @property
    def loaded(self) -> bool:
        """See :class:`Stepper`."""
        return True

    def unload(self, idle_seconds: float) -> bool:
        """See :class:`Stepper`."""
        return False


class Engine(Resting, ABC):
    """A model ready to sample. Thread-safe as long as each stream is advanced by one thread at a time."""

    name: str
    """``native``, ``onnx-cuda``, …: what really runs, told to clients in ``x-engine``."""
    lanes: int
    """Streams that share the work of a call; of more it takes so many at a time."""
    spec: WaveNetSpec

    @abstractmethod
    def open(self, request: StreamRequest) -> Stream:
        """Start a stream at position 0.

        Raises:
            RequestError: a field is missing, superfluous, out of range or of the wrong shape.
        """

    @abstractmethod
    def advance(self, streams: Sequence[Stream], samples: int) -> list[Symbols]:
        """Make up to ``samples`` more symbols of every stream, together; one that reaches its length stops there.

        Whatever it may raise, a stream whose position is what it was before has not been touched; the others are lost.

        Returns:
            One ``uint8 [<= samples]`` a stream, in order.
        """

    @abstractmethod
    def force(self, stream: Stream, symbols: Symbols) -> NDArray[np.float64]:
        """Lead a stream along given symbols: it moves on as if it had sampled them, bit for bit.

        Args:
            stream: at the position of the first of them.
            symbols: ``uint8 [T]``.

        Returns:
            ln p of every symbol given those before it and the conditioning, at temperature 1: ``float64 [T]``, nats.

        Raises:
            RequestError: the symbols reach beyond the request's length.
        """

    def score(self, symbols: Symbols, frames: Array | None = None, speaker: int | None = None) -> NDArray[np.float64]:
        """ln p of every symbol of a whole stream.

        Args:
            symbols: ``uint8 [T]``.
            frames: ``[F, local_channels]`` with F * local_hop >= T, where the model has local conditioning.
            speaker: where the model has speakers.

        Returns:
            ``float64 [T]``, nats.

        Raises:
            RequestError: there are no symbols, or the conditioning does not fit the model.
        """
        request = StreamRequest(length=len(symbols), seed=0, speaker=speaker, frames=frames)
        return self.force(self.open(request), symbols)

    @abstractmethod
    def snapshot(self, stream: Stream) -> bytes:
        """Everything but the request that :meth:`restore` needs to go on from here, here or in another process."""

    @abstractmethod
    def restore(self, request: StreamRequest, snapshot: bytes) -> Stream:
        """The stream that :meth:`snapshot` saw.

        Raises:
            RequestError: the bytes are no snapshot of this model.
        """


GREEDY = 1e-200
"""The lowest temperature where symbols are drawn by a graph: all but the largest logits get probability 0, and a lower
one would overflow. Together with noise 0, which takes the first of several, it stands for temperature 0."""


def check_request(spec: WaveNetSpec, request: StreamRequest) -> None:
    """Raise :class:`RequestError` for a request that does not fit ``spec``."""
    if request.length < 1:
        raise RequestError(f"length: must be positive, not {request.length}")
    if not 0 <= request.seed < 2**63:
        raise RequestError("seed: must lie in 0 … 2^63 - 1")
    if not (np.isfinite(request.temperature) and request.temperature >= 0.0):
        raise RequestError("temperature: must be a finite number, at least 0")
    if (request.speaker is None) == bool(spec.speakers):
        raise RequestError("speaker: " + ("the model needs one" if spec.speakers else "the model has none"))
    if request.speaker is not None and not 0 <= request.speaker < len(spec.speakers):
        raise RequestError(f"speaker: must lie in 0 … {len(spec.speakers) - 1}")
    if (request.frames is None) == bool(spec.local_channels):
        raise RequestError("frames: " + ("the model needs them" if spec.local_channels else "the model takes none"))
    if request.frames is not None:
        count = -(-request.length // spec.local_hop)
        if request.frames.ndim != 2 or request.frames.shape[1] != spec.local_channels or len(request.frames) < count:
            raise RequestError(f"frames: need [>= {count}, {spec.local_channels}], not {list(request.frames.shape)}")
        if not np.isfinite(request.frames).all():
            raise RequestError("frames: must be finite")


def check_forced(stream: Stream, symbols: Symbols) -> None:
    """Raise :class:`RequestError` for symbols that a stream has no room for."""
    assert symbols.dtype == np.uint8, f"symbols are uint8, not {symbols.dtype}"
    room = stream.request.length - stream.position
    if len(symbols) > room:
        raise RequestError(f"symbols: {len(symbols)} do not fit, the stream ends in {room}")


def turns(lengths: Sequence[int], lanes: int) -> Iterator[tuple[list[int], int, int]]:
    """In which groups to move streams on together, each from which of its next symbols to which.

    Streams that end together share a group, so that few groups have to change their lanes on the way.

    Args:
        lengths: how many symbols each stream gets.
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
