"""The CPU engine of a WaveNet: one compiled loop with cached activations (models/kernels). It never imports torch."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ancestral.models.audio.mu_law import SILENCE
from ancestral.models.checkpoint import Checkpoint
from ancestral.models.engines.base import Array, EngineError, Symbols
from ancestral.models.engines.speech.cached import CachedEngine, CachedStream
from ancestral.models.engines.speech.engine import StreamRequest
from ancestral.models.kernels.gemm import Instructions, Precision, best_instructions
from ancestral.models.kernels.wavenet import rebuilder, sampler
from ancestral.models.kernels.wavenet_layout import Layout
from ancestral.models.portable import native_name

log = logging.getLogger(__name__)


@dataclass
class NativeStream(CachedStream):
    """A stream, and the gate biases of the frame that it is in."""

    frame: int
    """The frame that ``biases`` belong to; -1 for none."""
    biases: Array
    """``[layers * gate_channels]``."""


class NativeEngine(CachedEngine):
    """Samples and scores on one core per call, without the GIL. Its loops are compiled, or loaded, when it is made.

    Args:
        checkpoint: of a WaveNet.
        precision: of the large matrices. It is part of the engine's name: the seed contract holds within one precision.
        instructions: for int8, whose results are the same with all of them; the fastest of this processor if absent.
    """

    widths = (1, 2, 4)
    """Numbers of streams for which there are loops: in each, a weight that is read serves all streams."""
    lanes = widths[-1]

    def __init__(
        self, checkpoint: Checkpoint, precision: Precision = Precision.FP32, instructions: Instructions | None = None
    ) -> None:
        super().__init__(checkpoint)
        if precision is Precision.INT8 and not self.spec.int8_ranges:
            raise EngineError("int8: the checkpoint has no int8_ranges; training writes them")
        parts = [] if precision is Precision.FP32 else [precision.name.lower()]
        self.name = native_name(*parts)
        self.int8 = precision is Precision.INT8
        self._instructions = best_instructions() if instructions is None else instructions
        self._layout = Layout.of(self.spec, precision)
        self._weights = self._layout.pack(checkpoint.tensors, self.spec.int8_ranges)
        if precision is Precision.INT8:
            log.info("int8: dot products of bytes use %s", self._instructions.name)
            if self._instructions is Instructions.PORTABLE:
                log.warning(
                    "int8: this processor has no AVX2; the sound is the same, but it is hardly faster than fp32"
                )
        for lanes in self.widths:
            self._loop([self._blank() for _ in range(lanes)], np.empty((lanes, 0), np.uint8), np.empty((lanes, 0)))

    def _blank(self) -> NativeStream:
        layout = self._layout
        return NativeStream(
            request=StreamRequest(length=1, seed=0),
            position=0,
            symbol=SILENCE,
            frame=-1,
            condition=np.zeros((1, layout.condition), np.float32),
            temperatures=np.ones(1),
            biases=np.zeros(layout.layers * layout.gate, np.float32),
            ring=np.zeros(layout.ring, np.float32),
            recent=np.full(self.spec.receptive_field + 1, SILENCE, np.uint8),
        )

    def _sample(self, streams: list[NativeStream], out: list[Symbols]) -> None:
        lanes = min(width for width in self.widths if width >= len(streams))
        symbols = np.empty((lanes, len(out[0])), np.uint8)
        self._loop(streams + [self._blank() for _ in range(lanes - len(streams))], symbols, np.empty((lanes, 0)))
        for row, values in zip(symbols, out, strict=False):
            values[:] = row

    def _force(self, stream: NativeStream, symbols: Symbols) -> NDArray[np.float64]:
        likelihoods = np.empty((1, len(symbols)))
        self._loop([stream], symbols[None].copy(), likelihoods)
        forced: NDArray[np.float64] = likelihoods[0]
        return forced

    def _replay(self, stream: NativeStream, symbols: Symbols) -> None:
        if not len(symbols):
            return
        first, last = stream.position // self._hop, (stream.position + len(symbols) - 1) // self._hop
        condition = stream.condition[first : last + 1]
        before = np.concatenate([[np.uint8(stream.symbol)], symbols[:-1]])
        rebuild = rebuilder(self._layout, self._instructions)
        rebuild(self._weights, stream.ring, stream.position, condition, self._hop, before)
        stream.position, stream.symbol = stream.position + len(symbols), int(symbols[-1])

    def _loop(self, streams: list[NativeStream], symbols: Symbols, likelihoods: NDArray[np.float64]) -> None:
        """Gather the streams' states, run the loop over all positions of ``symbols``, scatter the states."""
        marks = np.array([(s.position, s.symbol, s.frame) for s in streams])
        biases, rings = np.stack([s.biases for s in streams]), np.stack([s.ring for s in streams])
        count = min(symbols.shape[1] // self._hop + 2, max(len(s.condition) for s in streams))
        conditions = np.zeros((len(streams), count, self._layout.condition), np.float32)
        temperatures = np.ones((len(streams), count))
        for lane, s in enumerate(streams):
            first = s.position // self._hop
            frames = s.condition[first : first + count]
            conditions[lane, : len(frames)] = frames
            temperatures[lane, : len(frames)] = s.temperatures[first : first + count]
        seeds = np.array([s.request.seed for s in streams])
        min_ps = np.array([s.request.sampling.min_p for s in streams])
        drawing = (self._hop, seeds, temperatures, min_ps)
        loop = sampler(self._layout, len(streams), self._instructions)
        loop(self._weights, rings, biases, marks, conditions, *drawing, symbols, likelihoods)
        for lane, s in enumerate(streams):
            s.position, s.symbol, s.frame = marks[lane].tolist()
            s.biases, s.ring = biases[lane], rings[lane]
