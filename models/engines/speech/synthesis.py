"""Sound instead of symbols: an engine of a WaveNet whose symbols are an excitation, and the filter behind it.

The filter of models/audio/shaping.py follows from the conditioning frames, which only the process that samples has. So
it runs there, on each chunk as it is sampled, and what leaves the engine is 16-bit sound. The filter stands outside the
sampling loop: the symbols, and so the seed contract, are those of the engine inside.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ancestral.models.audio.mu_law import mu_law_decode
from ancestral.models.audio.pcm import to_int16
from ancestral.models.audio.shaping import ORDER, Synthesis, predictor
from ancestral.models.engines.base import RequestError, Stream
from ancestral.models.engines.speech.engine import SpeechEngine, StreamRequest
from ancestral.models.kernels.shaping import compiled_all_pole
from ancestral.models.spec import FeatureSpec

_HEADER = struct.Struct(f"<4s{8 * ORDER}sI")
"""Magic with version, the filter's memory in float64, CRC-32 of the memory and of the network's snapshot after it."""
_MAGIC = b"LPC1"


@dataclass
class SynthesisStream:
    """One stream: its symbols, and the state of the filter that makes sound of them."""

    symbols: Stream
    """Of the network's engine."""
    synthesis: Synthesis

    @property
    def request(self) -> StreamRequest:
        """See :class:`Stream`."""
        assert isinstance(self.symbols.request, StreamRequest)
        return self.symbols.request

    @property
    def position(self) -> int:
        """See :class:`Stream`; a sample of sound for every symbol."""
        return self.symbols.position


class SynthesisEngine:
    """An :class:`~ancestral.models.engines.base.Engine` that samples sound.

    Args:
        network: samples the excitation; its spec says ``shaping: linear_prediction``.
    """

    def __init__(self, network: SpeechEngine) -> None:
        assert network.spec.shaping == "linear_prediction", network.spec.shaping
        self.network = network
        self._features = FeatureSpec()

    @property
    def name(self) -> str:
        """See :class:`Engine`: that of the network's engine."""
        return self.network.name

    @property
    def lanes(self) -> int:
        """See :class:`Engine`."""
        return self.network.lanes

    @property
    def loaded(self) -> bool:
        """See :class:`Engine`."""
        return self.network.loaded

    def unload(self, idle_seconds: float) -> bool:
        """See :class:`Engine`."""
        return self.network.unload(idle_seconds)

    def open(self, request: StreamRequest) -> SynthesisStream:
        """Start a stream at position 0; raises as :meth:`SpeechEngine.open` does."""
        return self._filtered(self.network.open(request), np.zeros(ORDER))

    def step(self, streams: Sequence[Stream], samples: int) -> list[NDArray[np.int16]]:
        """Sample up to ``samples`` more of every stream, together: ``int16 [<= samples]`` each, in order."""
        lanes = [_own(stream) for stream in streams]
        made = self.network.step([stream.symbols for stream in lanes], samples)
        return [to_int16(s.synthesis(mu_law_decode(symbols))) for s, symbols in zip(lanes, made, strict=True)]

    def snapshot(self, stream: Stream) -> bytes:
        """Everything besides the request that :meth:`restore` needs: the network's snapshot, and 16 numbers."""
        stream = _own(stream)
        memory, inner = stream.synthesis.memory.astype("<f8").tobytes(), self.network.snapshot(stream.symbols)
        return _HEADER.pack(_MAGIC, memory, zlib.crc32(inner, zlib.crc32(memory))) + inner

    def restore(self, request: StreamRequest, snapshot: bytes) -> SynthesisStream:
        """The stream that :meth:`snapshot` was taken of.

        Raises:
            RequestError: the bytes are no snapshot of this model.
        """
        if len(snapshot) < _HEADER.size:
            raise RequestError(f"snapshot: {len(snapshot)} bytes are not the state of this model")
        magic, memory, checksum = _HEADER.unpack_from(snapshot)
        inner = snapshot[_HEADER.size :]
        if magic != _MAGIC or checksum != zlib.crc32(inner, zlib.crc32(memory)):
            raise RequestError("snapshot: of another model, engine or version, or damaged")
        return self._filtered(self.network.restore(request, inner), np.frombuffer(memory, "<f8"))

    def _filtered(self, symbols: Stream, memory: NDArray[np.float64]) -> SynthesisStream:
        request = symbols.request
        assert isinstance(request, StreamRequest)
        assert request.frames is not None, "the spec demands frames"
        filters = predictor(request.frames, self._features, request.sampling.low_shelf_db)
        return SynthesisStream(symbols, Synthesis(filters, memory, symbols.position, compiled_all_pole))


def _own(stream: Stream) -> SynthesisStream:
    assert isinstance(stream, SynthesisStream), "a stream of another engine"
    return stream
