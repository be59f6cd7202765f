"""The CPU engine: one compiled, fused loop with cached activations (models/engines/kernels). It never imports torch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.audio.mu_law import SILENCE
from models.checkpoint import Checkpoint, CheckpointError
from models.conditioning import conditioning
from models.engines.base import Array, Stream, Symbols, group_by_length
from models.engines.snapshots import pack, unpack
from models.engines.speech.engine import SpeechEngine, StreamRequest, check_request, check_teacher_forced
from models.kernels.gemm import Instructions, Precision, best_instructions
from models.kernels.wavenet import sampler
from models.kernels.wavenet_layout import Layout
from models.spec import WaveNetSpec

log = logging.getLogger(__name__)


@dataclass
class NativeStream:
    """One stream: its request, h of every frame, and the state that the loop carries."""

    request: StreamRequest
    position: int
    symbol: int
    """The one before ``position``."""
    frame: int
    """The frame that ``biases`` belong to; -1 for none."""
    condition: Array
    """``[F, conditioner_channels]``."""
    biases: Array
    """``[layers * gate_channels]``: of every gate, in that frame."""
    ring: Array
    """The inputs of every layer as far back as its dilation (``Layout.ring``)."""


class NativeEngine(SpeechEngine):
    """Samples and scores on one core a call, without the GIL. Its loops are compiled, or loaded, when it is made.

    Args:
        checkpoint: of a WaveNet.
        precision: of the large matrices. Streams keep their bits within one precision, which the name tells.
        instructions: for int8, which has the same bits with all of them; the fastest of this processor if absent.
    """

    widths = (1, 2, 4)
    """Streams for which there are loops: in each, a weight that is read serves all of them."""
    lanes = widths[-1]

    def __init__(
        self,
        checkpoint: Checkpoint,
        precision: Precision = Precision.FP32,
        instructions: Instructions | None = None,
    ) -> None:
        if not isinstance(checkpoint.spec, WaveNetSpec):
            raise CheckpointError(f"kind: expected 'wavenet', found {checkpoint.spec.kind!r}")
        self.spec = checkpoint.spec
        self._checkpoint = checkpoint
        self.name = "native" if precision is Precision.FP32 else f"native-{precision.name.lower()}"
        self._instructions = best_instructions() if instructions is None else instructions
        self._layout = Layout.of(self.spec, precision)
        self._weights = self._layout.pack(checkpoint.tensors)
        # Without frames the one h holds for ever.
        self._hop = self.spec.local_hop if self.spec.local_channels else 2**62
        if precision is Precision.INT8:
            log.info("int8: dot products of bytes by %s", self._instructions.name)
            if self._instructions is not Instructions.AVX512_VNNI:
                log.warning("int8: no AVX512-VNNI in this processor; the sound is the same, but gains little speed")
        for lanes in self.widths:
            self._loop([self._blank() for _ in range(lanes)], np.empty((lanes, 0), np.uint8), np.empty((lanes, 0)))

    def open(self, request: StreamRequest) -> NativeStream:
        """Start a stream at position 0."""
        check_request(self.spec, request)
        stream = self._blank()
        stream.request = request
        stream.condition = conditioning(self.spec, self._checkpoint.tensors, request.frames, request.speaker)
        return stream

    def step(self, streams: Sequence[Stream], samples: int) -> list[Symbols]:
        """Make up to ``samples`` more symbols of every stream."""
        assert len({id(stream) for stream in streams}) == len(streams), "a stream can take one lane only"
        made = [np.empty(min(samples, s.request.length - s.position), np.uint8) for s in streams]
        for group, start, stop in group_by_length([len(symbols) for symbols in made], self.lanes):
            self._sample([_native(streams[i]) for i in group], [made[i][start:stop] for i in group])
        return made

    def teacher_force(self, stream: Stream, symbols: Symbols) -> NDArray[np.float64]:
        """Lead a stream along given symbols."""
        check_teacher_forced(stream, symbols)
        likelihoods = np.empty((1, len(symbols)))
        self._loop([_native(stream)], symbols[None].copy(), likelihoods)
        forced: NDArray[np.float64] = likelihoods[0]
        return forced

    def snapshot(self, stream: Stream) -> bytes:
        """The position, the last symbol and the ring buffers; the rest follows from the request."""
        s = _native(stream)
        return pack(self.name, self._checkpoint.sha256, s.position, s.symbol, s.ring.astype("<f4").tobytes())

    def restore(self, request: StreamRequest, snapshot: bytes) -> NativeStream:
        """The stream that :meth:`snapshot` saw."""
        stream = self.open(request)
        size = stream.ring.nbytes
        identity = self.name, self._checkpoint.sha256
        stream.position, stream.symbol, ring = unpack(*identity, request.length, size, snapshot)
        stream.ring[:] = np.frombuffer(ring, "<f4")
        return stream

    def _blank(self) -> NativeStream:
        """The state before position 0: silence has been heard and every buffer is zero."""
        layout = self._layout
        return NativeStream(
            request=StreamRequest(length=1, seed=0),
            position=0,
            symbol=SILENCE,
            frame=-1,
            condition=np.zeros((1, layout.condition), np.float32),
            biases=np.zeros(layout.layers * layout.gate, np.float32),
            ring=np.zeros(layout.ring, np.float32),
        )

    def _sample(self, streams: list[NativeStream], out: list[Symbols]) -> None:
        """Fill ``out``, one ``[T]`` a stream, all equally long."""
        lanes = min(width for width in self.widths if width >= len(streams))
        symbols = np.empty((lanes, len(out[0])), np.uint8)
        self._loop(streams + [self._blank() for _ in range(lanes - len(streams))], symbols, np.empty((lanes, 0)))
        for row, values in zip(symbols, out, strict=False):
            values[:] = row

    def _loop(self, streams: list[NativeStream], symbols: Symbols, likelihoods: NDArray[np.float64]) -> None:
        """Gather the streams' states, run the loop over all positions of ``symbols``, scatter the states."""
        marks = np.array([(s.position, s.symbol, s.frame) for s in streams])
        biases, rings = np.stack([s.biases for s in streams]), np.stack([s.ring for s in streams])
        count = min(symbols.shape[1] // self._hop + 2, max(len(s.condition) for s in streams))
        conditions = np.zeros((len(streams), count, self._layout.condition), np.float32)
        for lane, s in enumerate(streams):
            first = s.position // self._hop
            passed = s.condition[first : first + count]
            conditions[lane, : len(passed)] = passed
        seeds = np.array([s.request.seed for s in streams])
        temperatures = np.array([float(s.request.temperature) for s in streams])
        loop = sampler(self._layout, len(streams), self._instructions)
        loop(self._weights, rings, biases, marks, conditions, self._hop, seeds, temperatures, symbols, likelihoods)
        for lane, s in enumerate(streams):
            s.position, s.symbol, s.frame = marks[lane].tolist()
            s.biases, s.ring = biases[lane], rings[lane]


def _native(stream: Stream) -> NativeStream:
    assert isinstance(stream, NativeStream), "a stream of another engine"
    return stream
