"""Sound instead of symbols: an engine of a WaveNet whose symbols are an excitation, and the filter behind it.

The filter of models/audio/shaping.py follows from the conditioning frames, which only the process that samples has. So
it runs there, on each chunk as it is sampled, as does the correction of models/audio/mel_correction.py behind it, and
what leaves the engine is 16-bit sound. Both stand outside the sampling loop: the symbols, and so the seed contract, are
those of the engine inside. The correction looks ahead, so a stream samples up to 40 ms more than it has delivered.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ancestral.models.audio.mel_correction import MelCorrection
from ancestral.models.audio.mu_law import mu_law_decode, to_int16
from ancestral.models.audio.shaping import ORDER, Synthesis, predictor
from ancestral.models.engines.base import Array, RequestError, Stream, group_by_length
from ancestral.models.engines.speech.engine import SpeechEngine, StreamRequest
from ancestral.models.spec import FeatureSpec

_HEADER = struct.Struct(f"<4s{8 * ORDER}sII")
"""Magic with version, the filter's memory in float64, the samples that the correction holds, CRC-32 of the memory and
of all that follows: what the correction holds, in float32, and the network's snapshot."""
_MAGIC = b"LPC2"


@dataclass
class SynthesisStream:
    """One stream: its symbols, and the states of the filter and the correction that make sound of them."""

    symbols: Stream
    synthesis: Synthesis
    correction: MelCorrection

    @property
    def request(self) -> StreamRequest:
        assert isinstance(self.symbols.request, StreamRequest)
        return self.symbols.request

    @property
    def position(self) -> int:
        """Samples of sound delivered. It also moves with symbols that no sound was made of: they are lost."""
        return self.correction.position + self.symbols.position - self.synthesis.position


class SynthesisEngine:
    """An :class:`~ancestral.models.engines.base.Engine` that samples sound.

    Args:
        network: samples the excitation; its spec says ``shaping: linear_prediction``.
    """

    def __init__(self, network: SpeechEngine) -> None:
        assert network.spec.shaping == "linear_prediction", network.spec.shaping
        self.network, self.name, self.lanes, self.unload = network, network.name, network.lanes, network.unload
        self._features = FeatureSpec()

    @property
    def loaded(self) -> bool:
        return self.network.loaded

    def weights_of(self, stream: Stream) -> object:
        return self.network.weights_of(_own(stream).symbols)

    def open(self, request: StreamRequest) -> SynthesisStream:
        """Start a stream at position 0; raises as :meth:`SpeechEngine.open` does."""
        return self._filtered(self.network.open(request), np.zeros(ORDER))

    def step(self, streams: Sequence[Stream], samples: int) -> list[NDArray[np.int16]]:
        """Sample up to ``samples`` more of every stream, together: ``int16 [<= samples]`` each, in order."""
        lanes = [_own(stream) for stream in streams]
        counts = [min(samples, s.request.length - s.position) for s in lanes]
        ahead = [min(s.correction.needed(n), s.request.length) for s, n in zip(lanes, counts, strict=True)]
        missing = [max(end - s.symbols.position, 0) for s, end in zip(lanes, ahead, strict=True)]
        for group, start, stop in group_by_length(missing, self.lanes):
            made = self.network.step([lanes[i].symbols for i in group], stop - start)
            for i, symbols in zip(group, made, strict=True):
                lanes[i].correction.push(lanes[i].synthesis(mu_law_decode(symbols)))
        return [to_int16(s.correction.pull(count)) for s, count in zip(lanes, counts, strict=True)]

    def snapshot(self, stream: Stream) -> bytes:
        """Everything besides the request that :meth:`restore` needs: the network's snapshot, 16 numbers of the filter,
        and two for every sample that is not delivered yet."""
        stream = _own(stream)
        memory, held = stream.synthesis.memory.astype("<f8").tobytes(), stream.correction.held
        rest = held.astype("<f4").tobytes() + self.network.snapshot(stream.symbols)
        return _HEADER.pack(_MAGIC, memory, held.shape[1], zlib.crc32(rest, zlib.crc32(memory))) + rest

    def restore(self, request: StreamRequest, snapshot: bytes) -> SynthesisStream:
        """The stream that :meth:`snapshot` was taken of.

        Raises:
            RequestError: the bytes are no snapshot of this model.
        """
        if len(snapshot) < _HEADER.size:
            raise RequestError(f"snapshot: {len(snapshot)} bytes are not the state of this model")
        magic, memory, count, checksum = _HEADER.unpack_from(snapshot)
        rest = snapshot[_HEADER.size :]
        if magic != _MAGIC or checksum != zlib.crc32(rest, zlib.crc32(memory)) or len(rest) < 8 * count:
            raise RequestError("snapshot: of another model, engine or version, or damaged")
        held = np.frombuffer(rest, "<f4", 2 * count).reshape(2, count)
        symbols = self.network.restore(request, rest[8 * count :])
        return self._filtered(symbols, np.frombuffer(memory, "<f8"), held.astype(np.float32))

    def _filtered(self, symbols: Stream, memory: NDArray[np.float64], held: Array | None = None) -> SynthesisStream:
        request, position = symbols.request, symbols.position
        assert isinstance(request, StreamRequest)
        assert request.frames is not None, "the spec demands frames"
        filters = predictor(request.frames, self._features, request.sampling.low_shelf_db)
        synthesis = Synthesis(filters, memory, position)
        strength = request.sampling.mel_correction
        correction = MelCorrection(request.frames, self._features, strength, held, position)
        return SynthesisStream(symbols, synthesis, correction)


def _own(stream: Stream) -> SynthesisStream:
    assert isinstance(stream, SynthesisStream), "a stream of another engine"
    return stream
