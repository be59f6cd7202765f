"""PixelCNN on onnxruntime: rows of exported graphs (ancestral_training/export/pixelcnn.py), without torch.

What a row depends on of the rows above is computed once per row. The row itself is found by fixed-point iteration (Song
et al. 2021, arXiv:2002.03629): all its symbols are drawn at once, from a guess of those before them, again and again
until none changes. The first symbol is right after one call, its right neighbour after two at most, and so on; at the
end every symbol is the one that its noise gives after those before it: exactly the picture that sampling one symbol
after the other gives. Usually one call gets many symbols right. As in ancestral_models/engines/speech/onnx.py, every
call has the same number of lanes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ancestral_models.architectures.pixelcnn import PixelCNNSpec
from ancestral_models.categorical import log_likelihoods, uniforms
from ancestral_models.checkpoint import Checkpoint
from ancestral_models.conditioning import input_planes
from ancestral_models.engines.base import GREEDY, LazyResource
from ancestral_models.engines.images import engine
from ancestral_models.engines.images.native import NativeImageEngine
from ancestral_models.engines.onnx import open_session
from ancestral_models.kernels.shared import upsample

LANES: Mapping[str, int] = {"onnx-cpu": 4, "onnx-cuda": 16}


@dataclass
class OnnxImageStream(engine.ImageStream):
    """A picture with the features of its last rows."""

    features: engine.Array
    """``[layers - 1, features, reach, W]``, zeros before the first row."""
    evaluations: int = 0
    """Calls of the network for its rows so far."""


class _Graphs(NamedTuple):
    """Sessions of the graphs of ancestral_training/export/pixelcnn.py."""

    above: Any
    beside: Any


class OnnxImageEngine(engine.ImageEngine):
    """A PixelCNN on onnxruntime.

    Args:
        checkpoint: read from a directory that ``ancestral export`` has written graphs to.
        name: one of :data:`LANES`.

    Raises:
        EngineError: the graphs are missing or stale, or the provider does not run here.
    """

    def __init__(self, checkpoint: Checkpoint, name: str = "onnx-cpu") -> None:
        super().__init__(checkpoint, NativeImageEngine.of_coarse_pixels(checkpoint))
        self._spec = checkpoint.spec_as(PixelCNNSpec)
        self.name, self.lanes = name, LANES[name]
        self._device = "cuda" if name == "onnx-cuda" else "cpu"
        self._graphs: LazyResource[_Graphs] = LazyResource(
            lambda: _Graphs(*(open_session(checkpoint, graph, name) for graph in _Graphs._fields))
        )
        self._run([self._blank()], 1, score=False)

    def _blank(self) -> OnnxImageStream:
        spec = self._spec
        features = spec.features if spec.gated else spec.features // 2
        cells = spec.height * spec.width if spec.conditioning == "location" else 1
        return OnnxImageStream(
            symbols=np.zeros((spec.height, spec.width, spec.channels), np.uint8),
            condition=np.zeros((cells, spec.condition_width + spec.map_width), np.float32),
            features=np.zeros((spec.layers - 1, features, spec.kernel_size // 2, spec.width), np.float32),
        )

    def _condition(self, h: engine.Array, coarse: engine.Pixels | None) -> engine.Array:
        return upsample(self._spec, self._tensors, h, coarse)

    def _run(self, lanes: Sequence[engine.ImageStream], rows: int, *, score: bool) -> NDArray[np.float64]:
        pictures = [p for p in lanes if isinstance(p, OnnxImageStream)]
        assert len(pictures) == len(lanes), "a picture of another engine"
        with self._graphs.use() as graphs:
            return np.stack([self._row(graphs, pictures, score=score) for _ in range(rows)], axis=1)

    def _row(self, graphs: _Graphs, pictures: list[OnnxImageStream], *, score: bool) -> NDArray[np.float64]:
        """One row of every picture; ``[pictures, W * C]``."""
        lanes = pictures + [self._blank() for _ in range(self.lanes - len(pictures))]
        # The results of lanes without a picture are not used.
        given = np.array([_is_given(p) for p in pictures] + [True] * (self.lanes - len(pictures)))
        known = self._above(graphs.above, lanes)
        skip = self._spec.gated and given.all() and not score
        row = {} if skip else self._fixed_point(graphs.beside, lanes, known, given)
        features = known["made"].numpy() if self._spec.gated else row["made"]
        nats = np.empty((len(pictures), self.spec.width * self.spec.channels))
        for lane, p in enumerate(pictures):
            if not given[lane]:
                p.symbols[p.rows] = row["symbols"][lane]
            if score:
                nats[lane] = _likelihoods(row["logits"][lane], p.symbols[p.rows])
            p.features = np.concatenate([p.features[:, :, 1:], features[:, lane, :, None]], axis=2)
            p.rows += 1
        return nats

    def _above(self, graph: Any, lanes: list[OnnxImageStream]) -> dict[str, Any]:
        """What the next row of every lane depends on; it stays on the device."""
        spec, first = self._spec, self._spec.first_kernel_size // 2
        pixels = np.zeros((self.lanes, spec.channels * spec.planes, first, spec.width), np.float32)
        conditions = []
        for lane, p in enumerate(lanes):
            seen = input_planes(spec, p.symbols[max(p.rows - first, 0) : p.rows])
            pixels[lane, :, first - seen.shape[1] :] = seen
            at = p.rows * spec.width
            conditions.append(p.condition[at : at + spec.width] if len(p.condition) > 1 else p.condition)
        inputs = {"pixels": pixels, "features": np.stack([p.features for p in lanes], axis=1)}
        if spec.conditioned:
            stacked = np.stack(conditions)
            inputs["condition"] = stacked[..., : spec.condition_width]
            if spec.coarse_inputs:
                inputs["map"] = stacked[..., spec.condition_width :]
        binding = graph.io_binding()
        for name, value in inputs.items():
            binding.bind_cpu_input(name, np.ascontiguousarray(value))
        names = [output.name for output in graph.get_outputs()]
        for name in names:
            binding.bind_output(name, self._device)
        graph.run_with_iobinding(binding)
        return dict(zip(names, binding.get_outputs(), strict=True))

    def _fixed_point(
        self, graph: Any, lanes: list[OnnxImageStream], known: Mapping[str, Any], given: NDArray[np.bool_]
    ) -> dict[str, NDArray[Any]]:
        """The row that is drawn again from itself, and the network's other outputs for it."""
        spec, size = self.spec, self.spec.width * self.spec.channels
        greedy = np.array([p.request.temperature == 0.0 for p in lanes])
        unconditional = engine.unconditional_lanes(lanes)
        partner = np.arange(len(lanes))
        partner[:-1] += unconditional[1:]
        noise = np.stack([uniforms(p.request.seed, p.rows * size, size) for p in lanes])
        noise[greedy] = 0.0
        binding = graph.io_binding()
        for name in ("begun", "base"):
            if name in known:
                binding.bind_ortvalue_input(name, known[name])
        binding.bind_cpu_input("uniforms", noise.reshape(-1, spec.width, spec.channels))
        binding.bind_cpu_input("temperature", np.maximum([p.request.temperature for p in lanes], GREEDY))
        binding.bind_cpu_input("guidance", np.array([p.request.guidance for p in lanes], np.float32))
        binding.bind_cpu_input("unconditional", partner)
        names = [output.name for output in graph.get_outputs()]
        drawn = np.stack([self.noise_index_of(p.request)[p.rows] >= 0 for p in lanes])
        fixed = (~drawn | given[:, None])[..., None]
        guesses = np.stack([p.symbols[max(p.rows - 1, 0)] for p in lanes])
        # Any guess leads to the same row; the row above takes few iterations.
        symbols = np.where(fixed, np.stack([p.symbols[p.rows] for p in lanes]), guesses).astype(np.int64)
        moving = ~given
        while True:
            binding.bind_cpu_input("symbols", symbols)
            for name in names:
                binding.bind_output(name)
            graph.run_with_iobinding(binding)
            made = dict(zip(names, (value.numpy() for value in binding.get_outputs()), strict=True))
            new = np.where(fixed, symbols, made["drawn"])
            new[1:][unconditional[1:]] = new[:-1][unconditional[1:]]
            for lane in np.flatnonzero(moving):
                lanes[lane].evaluations += 1
            moving = (new != symbols).any(axis=(1, 2))
            if not moving.any():
                return made | {"symbols": symbols}
            symbols = new


def _is_given(picture: OnnxImageStream) -> bool:
    given = picture.request.given
    return given is not None and picture.rows < len(given)


def _likelihoods(logits: engine.Array, symbols: engine.Pixels) -> NDArray[np.float64]:
    """ln p of the symbols ``[W, C]`` of a row: ``[W * C]``, nats."""
    return log_likelihoods(logits.reshape(-1, logits.shape[-1]), symbols.reshape(-1))
