"""What the engines of a WaveNet with cached activations share: requests, groups of streams, snapshots.

Their streams carry the same state: the position, the last symbols, and the ring buffers of all layers, which follow
from as many symbols as the network sees. Engines add how a stream begins and how streams advance.
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
from ancestral.models.engines.base import Array, Stream, Symbols, group_by_length
from ancestral.models.engines.snapshots import pack, unpack
from ancestral.models.engines.speech.engine import SpeechEngine, StreamRequest, check_request, check_teacher_forced
from ancestral.models.kernels.conditioners import conditioning
from ancestral.models.tensors import of_conditions


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
    recent: Symbols
    """The last ``receptive_field + 1`` symbols; silence before the first."""


class CachedEngine(SpeechEngine):
    """The base of engines that cache activations."""

    spec: WaveNetSpec

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.spec = checkpoint.spec_as(WaveNetSpec)
        self._tensors, self._sha256 = of_conditions(checkpoint.tensors), checkpoint.sha256
        # Without frames the one h is used for the whole stream.
        self._hop = self.spec.local_hop if self.spec.local_channels else 2**62

    def open(self, request: StreamRequest) -> CachedStream:
        check_request(self.spec, request)
        stream: CachedStream = self._blank()
        stream.request, stream.temperatures = request, request.temperatures
        stream.condition = conditioning(self.spec, self._tensors, request.frames, request.speaker)
        return stream

    def step(self, streams: Sequence[Stream], samples: int) -> list[Symbols]:
        assert len({id(stream) for stream in streams}) == len(streams), "a stream can take one lane only"
        made = [np.empty(min(samples, s.request.length - s.position), np.uint8) for s in streams]
        for group, start, stop in group_by_length([len(symbols) for symbols in made], self.lanes):
            self._sample([_cached(streams[i]) for i in group], [made[i][start:stop] for i in group])
        for stream, symbols in zip(streams, made, strict=True):
            _remember(_cached(stream), symbols)
        return made

    def teacher_force(self, stream: Stream, symbols: Symbols) -> NDArray[np.float64]:
        check_teacher_forced(stream, symbols)
        likelihoods = self._force(_cached(stream), symbols)
        _remember(_cached(stream), symbols)
        return likelihoods

    def snapshot(self, stream: Stream) -> bytes:
        """The position and the last symbols: the ring buffers follow from these, the rest from the request."""
        return pack(self.name, self._sha256, stream.position, _cached(stream).recent)

    def restore(self, request: StreamRequest, snapshot: bytes) -> CachedStream:
        """The stream that :meth:`snapshot` was taken of: the network runs over the symbols that it sees."""
        stream = self.open(request)
        position, stream.recent = unpack(self.name, self._sha256, request.length, len(stream.recent), snapshot)
        seen = stream.recent[-min(position, self.spec.receptive_field) - 1 :]
        stream.position, stream.symbol = position - len(seen) + 1, int(seen[0])
        self._replay(stream, seen[1:])
        return stream

    def _replay(self, stream: Any, symbols: Symbols) -> None:
        """Advance a stream along symbols ``[T]``, from where its ring buffers have no effect on those after them."""
        self._force(stream, symbols)

    @abstractmethod
    def _blank(self) -> Any:
        """The stream before position 0: the symbol before it is silence, and every buffer is zero."""

    @abstractmethod
    def _sample(self, streams: list[Any], out: list[Symbols]) -> None:
        """Sample at most :attr:`lanes` streams into ``out``, one ``[T]`` for each, all of equal length."""

    @abstractmethod
    def _force(self, stream: Any, symbols: Symbols) -> NDArray[np.float64]:
        """Advance a stream along symbols ``[T]``; ln p of each, ``[T]``, nats."""


def _remember(stream: CachedStream, symbols: Symbols) -> None:
    """A stream has been advanced by these symbols."""
    stream.recent = np.concatenate([stream.recent, symbols])[-len(stream.recent) :]


def _cached(stream: Stream) -> CachedStream:
    assert isinstance(stream, CachedStream), "a stream of another engine"
    return stream
