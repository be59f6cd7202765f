"""What the engines of a WaveNet with cached activations share: requests, groups of streams, snapshots.

Their streams carry the same state: the position, the symbol before it, and the ring buffers of all layers. Engines add
how a stream begins and how streams advance.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.models.architectures.wavenet import WaveNetSpec
from ancestral.models.checkpoint import Checkpoint
from ancestral.models.conditioning import conditioning
from ancestral.models.engines.base import Array, Stream, Symbols, group_by_length
from ancestral.models.engines.snapshots import pack, unpack
from ancestral.models.engines.speech.engine import SpeechEngine, StreamRequest, check_request, check_teacher_forced


@dataclass
class CachedStream:
    """One stream: its request, h and temperature of every frame, and the state that the engine carries."""

    request: StreamRequest
    position: int
    symbol: int
    """The one before ``position``."""
    condition: Array
    """``[F, conditioner_channels]``."""
    temperatures: NDArray[np.float64]
    """``[F]``; ``[1]`` without frames."""
    ring: Array
    """The inputs of every layer, as far back as its dilation; the shape is the engine's."""


class CachedEngine(SpeechEngine):
    """The base of engines that cache activations."""

    spec: WaveNetSpec

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.spec = checkpoint.spec_as(WaveNetSpec)
        self._tensors, self._sha256 = checkpoint.tensors, checkpoint.sha256
        # Without frames the one h is used for the whole stream.
        self._hop = self.spec.local_hop if self.spec.local_channels else 2**62

    def open(self, request: StreamRequest) -> CachedStream:
        """Start a stream at position 0."""
        check_request(self.spec, request)
        stream: CachedStream = self._blank()
        stream.request, stream.temperatures = request, request.temperatures
        stream.condition = conditioning(self.spec, self._tensors, request.frames, request.speaker)
        return stream

    def step(self, streams: Sequence[Stream], samples: int) -> list[Symbols]:
        """Sample up to ``samples`` more symbols of every stream."""
        assert len({id(stream) for stream in streams}) == len(streams), "a stream can take one lane only"
        made = [np.empty(min(samples, s.request.length - s.position), np.uint8) for s in streams]
        for group, start, stop in group_by_length([len(symbols) for symbols in made], self.lanes):
            self._sample([_cached(streams[i]) for i in group], [made[i][start:stop] for i in group])
        return made

    def teacher_force(self, stream: Stream, symbols: Symbols) -> NDArray[np.float64]:
        """Advance a stream along given symbols."""
        check_teacher_forced(stream, symbols)
        return self._force(_cached(stream), symbols)

    def snapshot(self, stream: Stream) -> bytes:
        """The position, the last symbol and the ring buffers; the rest follows from the request."""
        s = _cached(stream)
        return pack(self.name, self._sha256, s.position, s.symbol, s.ring.astype("<f4").tobytes())

    def restore(self, request: StreamRequest, snapshot: bytes) -> CachedStream:
        """The stream that :meth:`snapshot` was taken of."""
        stream = self.open(request)
        found = unpack(self.name, self._sha256, request.length, stream.ring.nbytes, snapshot)
        stream.position, stream.symbol, ring = found
        stream.ring[:] = np.frombuffer(ring, "<f4").reshape(stream.ring.shape)
        return stream

    @abstractmethod
    def _blank(self) -> Any:
        """The stream before position 0: the symbol before it is silence, and every buffer is zero."""

    @abstractmethod
    def _sample(self, streams: list[Any], out: list[Symbols]) -> None:
        """Sample at most :attr:`lanes` streams into ``out``, one ``[T]`` for each, all of equal length."""

    @abstractmethod
    def _force(self, stream: Any, symbols: Symbols) -> NDArray[np.float64]:
        """Advance a stream along symbols ``[T]``; ln p of each, ``[T]``, nats."""


def _cached(stream: Stream) -> CachedStream:
    assert isinstance(stream, CachedStream), "a stream of another engine"
    return stream
