"""The engines on onnxruntime: exported graphs (ancestral_training/export/wavenet.py) on a CPU or a CUDA device, without
torch.

Products of one row and of four rows add in different orders, so every call has the same number of lanes, unused ones
filled with silence: then a stream's bits do not depend on the other streams. On a CPU one call of the graph with the
loop makes a chunk. On a CUDA device blocks of unrolled steps are replayed as a CUDA graph; the state stays on the
device, in place, during a call of :meth:`OnnxEngine.step`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ancestral_models.categorical import log_likelihoods, uniforms
from ancestral_models.checkpoint import Checkpoint
from ancestral_models.engines.base import GREEDY, Array, LazyResource, Symbols
from ancestral_models.engines.onnx import Blocks, Chunks, Inputs
from ancestral_models.engines.speech.engine import CachedEngine, CachedStream

LANES: Mapping[str, int] = {"onnx-cpu": 4, "onnx-cuda": 16}
_LONGEST = 512
"""Steps per call of a graph: their logits are kept, one kilobyte per lane and step."""


class OnnxEngine(CachedEngine):
    """A WaveNet on onnxruntime.

    Args:
        checkpoint: read from a directory that ``ancestral export`` has written graphs to.
        name: one of :data:`LANES`.
        runner: of its graphs; by default the one for the device.

    Raises:
        EngineError: the graphs are missing or stale, or the provider does not run here.
    """

    def __init__(
        self, checkpoint: Checkpoint, name: str = "onnx-cpu", runner: type[Blocks | Chunks] | None = None
    ) -> None:
        super().__init__(checkpoint)
        self.name, self.lanes = name, LANES[name]
        kind: type[Blocks | Chunks] = runner or (Blocks if name == "onnx-cuda" else Chunks)
        self._graphs: LazyResource[Blocks | Chunks] = LazyResource(lambda: kind(checkpoint, name, self.lanes))
        layers, gate = self.spec.layers, self.spec.gate_channels
        self._gates = np.ascontiguousarray(
            checkpoint.tensors["gate_condition"].swapaxes(0, 1).reshape(-1, layers * gate)
        )
        self._gate_bias = checkpoint.tensors["gate_bias"]
        self._run([self._blank()], 1, None)

    def _ring(self) -> Array:
        return np.zeros((sum(self.spec.dilations), self.spec.residual_channels), np.float32)

    def _sample(self, streams: list[CachedStream], out: list[Symbols]) -> None:
        for start in range(0, len(out[0]), _LONGEST):
            stop = min(len(out[0]), start + _LONGEST)
            symbols, _ = self._run(streams, stop - start, None)
            for lane, values in enumerate(out):
                values[start:stop] = symbols[:, lane]

    def _force(self, stream: CachedStream, symbols: Symbols) -> NDArray[np.float64]:
        parts = [np.empty(0)]
        for start in range(0, len(symbols), _LONGEST):
            part = symbols[start : start + _LONGEST]
            _, logits = self._run([stream], len(part), part)
            parts.append(log_likelihoods(logits[:, 0], part))
        return np.concatenate(parts)

    def _run(self, streams: list[CachedStream], steps: int, forced: Symbols | None) -> tuple[NDArray[np.int64], Array]:
        """Advance streams by ``steps``, along given symbols if there are any; symbols and logits ``[steps, lanes]``."""
        lanes = streams + [self._blank() for _ in range(self.lanes - len(streams))]
        with self._graphs.use() as run:
            made = run(self._gathered(lanes, steps, forced))
        rings = made.next_ring.reshape(self.lanes, -1, self.spec.residual_channels)
        for lane, stream in enumerate(streams):
            # A copy, so that one stream does not keep the memory of all.
            stream.ring, stream.symbol = rings[lane].copy(), int(made.next_symbol[lane])
            stream.position += steps
        return made.symbols, made.logits

    def _gathered(self, lanes: list[CachedStream], steps: int, forced: Symbols | None) -> Inputs:
        positions = np.array([s.position for s in lanes])
        firsts, lasts = positions // self._hop, (positions + steps - 1) // self._hop
        counts = lasts - firsts + 1
        begins = np.cumsum(counts) - counts
        frames = (positions + np.arange(steps)[:, None]) // self._hop
        greedy = np.array([s.request.temperature == 0.0 for s in lanes])
        noise = np.stack([uniforms(s.request.seed, s.position, steps) for s in lanes], axis=1)
        given = np.full((steps, self.lanes), -1)
        if forced is not None:
            given[:] = forced[:, None]
        return Inputs(
            symbol=np.array([s.symbol for s in lanes]),
            position=positions,
            lane=np.arange(self.lanes),
            ring=np.concatenate([s.ring for s in lanes]),
            biases=self._biases(lanes, firsts, counts),
            log_min_p=np.array([math.log(p) if (p := s.request.sampling.min_p) else -math.inf for s in lanes]),
            frame=frames - firsts + begins,
            temperature=np.maximum(_temperatures(lanes, frames), GREEDY),
            uniforms=np.where(greedy, 0.0, noise),
            forced=given,
        )

    def _biases(self, lanes: list[CachedStream], firsts: NDArray[np.int64], counts: NDArray[np.int64]) -> Array:
        """V·h + b of the frames that the steps of the lanes are in, ``[layers, sum of counts, gate]``."""
        layers, gate = self.spec.layers, self.spec.gate_channels
        rows = [
            # One at a time: a product of several rows may add in another order.
            s.condition[min(frame, len(s.condition) - 1)] @ self._gates
            for s, first, count in zip(lanes, firsts, counts, strict=True)
            for frame in range(first, first + count)
        ]
        biases = np.stack(rows).reshape(-1, layers, gate) + self._gate_bias
        return np.ascontiguousarray(biases.swapaxes(0, 1))


def _temperatures(lanes: list[CachedStream], frames: NDArray[np.int64]) -> NDArray[np.float64]:
    """The temperature of each step and lane in ``frames [steps, lanes]``, which may lie after a lane's last one."""
    columns = [s.temperatures[np.minimum(frames[:, i], len(s.temperatures) - 1)] for i, s in enumerate(lanes)]
    return np.stack(columns, axis=1)
