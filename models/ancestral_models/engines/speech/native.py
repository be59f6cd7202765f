"""The CPU engine of a WaveNet: one loop in C with cached activations (ancestral_models/kernels). It never imports
torch."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ancestral_models.architectures.wavenet import WaveNetSpec
from ancestral_models.audio.mu_law import SILENCE
from ancestral_models.checkpoint import Checkpoint, CheckpointError
from ancestral_models.engines.base import Array, EngineError, Symbols
from ancestral_models.engines.speech.engine import CachedEngine, CachedStream
from ancestral_models.kernels.shared import conditioning
from ancestral_models.kernels.wavenet_layout import LayoutError, WaveNetLayout
from ancestral_models.native import INTEGER, Function, array, instructions

log = logging.getLogger(__name__)

_MOST_FRAMES, _AHEAD = 500, 32
"""Frames of a call, whose gate biases take 6 kB each; and frames that are computed together, half a second."""
_SAMPLE, _SCORE, _REPLAY = range(3)
_LOG_2, _SHARE_BITS, _LOG_BITS = 0.6931471805599453, 22, 12


_INTEGERS, _SHARES = array(np.int64), array(np.int32)
_wavenet = Function(
    "wavenet", _SHARES, array(np.int8), INTEGER, array(np.int8), _INTEGERS, _SHARES, _SHARES, _SHARES, INTEGER, INTEGER,
    array(np.uint8), _SHARES, INTEGER, INTEGER,
)  # fmt: skip


@dataclass
class NativeStream(CachedStream):
    """A stream, and the gates' biases of some frames from ``first_frame`` on, which follow from its request."""

    first_frame: int = 0
    biases: NDArray[Any] = field(default_factory=lambda: np.empty((0, 0), np.int32))


class NativeEngine(CachedEngine):
    """Samples and scores on one core per call, without the GIL.

    Args:
        checkpoint: of a WaveNet.

    Raises:
        EngineError: it has no ``int8_ranges``, or weights or sizes that the kernel has no place for.
    """

    name, int8 = "native-int8", True
    widths = (1, 2, 4)
    """Numbers of streams that share a call: a weight that is read serves all of them."""
    lanes = widths[-1]
    _stream = NativeStream

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        if not self.spec.int8_ranges:
            raise EngineError("int8_ranges: the checkpoint has none; training writes them")
        try:
            self._layout = WaveNetLayout(self.spec, checkpoint.tensors)
        except LayoutError as error:
            raise EngineError(str(error)) from None
        log.info("int8: dot products of bytes use %s", instructions())

    def _ring(self) -> NDArray[np.int8]:
        layers, cycle, residual, _, _, _ = self._layout.sizes.tolist()
        return np.zeros(layers // cycle * ((1 << cycle) - 1) * residual, np.int8)

    def _sample(self, streams: list[NativeStream], out: list[Symbols]) -> None:
        lanes = min(width for width in self.widths if width >= len(streams))
        symbols = np.empty((lanes, len(out[0])), np.uint8)
        self._run(streams + [self._blank() for _ in range(lanes - len(streams))], symbols, _SAMPLE)
        for row, values in zip(symbols, out, strict=False):
            values[:] = row

    def _force(self, stream: NativeStream, symbols: Symbols) -> NDArray[np.float64]:
        return np.asarray(self._run([stream], symbols[None], _SCORE)[0])

    def _replay(self, stream: NativeStream, symbols: Symbols) -> None:
        self._run([stream], symbols[None], _REPLAY)

    def _run(self, streams: list[NativeStream], symbols: Symbols, mode: int) -> NDArray[np.float64]:
        """Advance all streams over the positions of ``symbols [lanes, T]``; ln p of each, where they are scored."""
        scores = np.empty((*symbols.shape, 2) if mode == _SCORE else 0, np.int32)
        most = min(self._hop, 1 << 20) * _MOST_FRAMES
        for start in range(0, symbols.shape[1], most):
            part = np.ascontiguousarray(symbols[:, start : start + most])
            found = np.empty((*part.shape, 2) if mode == _SCORE else 0, np.int32)
            self._call(streams, part, found, mode)
            if mode == _SAMPLE:
                symbols[:, start : start + most] = part
            elif mode == _SCORE:
                scores[:, start : start + most] = found
        if mode != _SCORE:
            return np.empty(0)
        below, total = scores[..., 0].astype(np.float64), scores[..., 1].astype(np.float64)
        return np.asarray(-below * (_LOG_2 / (1 << _LOG_BITS)) - np.log(total / (1 << _SHARE_BITS)))

    def _call(self, streams: list[NativeStream], symbols: Symbols, scores: NDArray[Any], mode: int) -> None:
        """Gather the streams' states, run the kernel, scatter the states."""
        layout, (lanes, length) = self._layout, symbols.shape
        spans = [(s.position // self._hop, (s.position + length - 1) // self._hop + 1) for s in streams]
        parts = [self._biases(s, *span) for s, span in zip(streams, spans, strict=True)]
        count = max(map(len, parts))
        biases, temperatures = np.zeros((lanes, count, parts[0].shape[1]), parts[0].dtype), np.ones((lanes, count))
        for lane, (s, part, (first, end)) in enumerate(zip(streams, parts, spans, strict=True)):
            biases[lane, : len(part)] = part
            temperatures[lane, : end - first] = s.temperatures[first:end]
        marks = np.array([(s.position, s.symbol, s.request.seed) for s in streams], np.int64)
        rings, least = np.stack([s.ring for s in streams]), np.array([s.request.sampling.min_p for s in streams])
        heat = np.where(temperatures > 0.0, np.clip(4096 / np.maximum(temperatures, 1e-9), 1, 1 << 30), 0)
        inverses, shares = np.rint(heat).astype(np.int32), np.rint(least * 2**_SHARE_BITS).astype(np.int32)
        drawing = (inverses, shares, count, self._hop)
        _wavenet(layout.sizes, layout.weights, lanes, rings, marks, biases, *drawing, symbols, scores, length, mode)
        for lane, s in enumerate(streams):
            s.position, s.symbol, _ = marks[lane].tolist()
            s.ring = rings[lane]

    def _biases(self, stream: NativeStream, first: int, end: int) -> NDArray[Any]:
        """The gates' biases of frames ``first`` to ``end``; those of a few more are computed with them."""
        have = stream.first_frame
        if not have <= first <= end <= have + len(stream.biases):
            frames = stream.condition[first : max(end, first + _AHEAD)]
            stream.first_frame, stream.biases = first, self._layout.biases(frames)
        return stream.biases[first - stream.first_frame : end - stream.first_frame]


# How large the numbers become that the large matrices of a WaveNet multiply: int8 takes its units from that.


_KEPT: Final = 0.85
"""The share of the largest values that is told apart: what is larger is cut off, and all else is finer for it."""


def int8_ranges(
    spec: WaveNetSpec,
    tensors: Mapping[str, Array],
    symbols: NDArray[np.uint8],
    frames: Array | None = None,
    speaker: int | Mapping[int, float] | None = None,
) -> Array:
    """The ``int8_ranges`` of :class:`WaveNetSpec`, from one stretch of sound; those of several are the largest of each.

    Args:
        spec: of the network.
        tensors: its weights.
        symbols: ``[T]``.
        frames: ``[F, local_channels]``, the first of which begins with the symbols; where the model has them.
        speaker: where the model has speakers.
    """
    h = conditioning(spec, tensors, frames, speaker)
    h = np.repeat(h, spec.local_hop, axis=0)[: len(symbols)] if spec.local_channels else h
    half, found = spec.hidden_channels, list[Array]()
    flow = tensors["embedding"][np.concatenate([[SILENCE], symbols[:-1]])]
    skips = np.repeat(tensors["skip_bias"][None], len(symbols), axis=0)
    for layer, dilation in enumerate(spec.dilations):
        found.append(np.abs(flow).max(axis=0))
        past = np.concatenate([np.zeros((dilation, flow.shape[1]), np.float32), flow])[: len(flow)]
        z = past @ tensors["past"][layer] + flow @ tensors["current"][layer]
        z += h @ tensors["gate_condition"][layer] + tensors["gate_bias"][layer]
        gated = np.tanh(z[:, :half]) / (1 + np.exp(-z[:, half:]))
        skips += gated @ tensors["skip"][layer]
        if layer + 1 < spec.layers:
            flow = flow + gated @ tensors["residual"][layer] + tensors["residual_bias"][layer]
    rectified = np.maximum(skips, 0)
    hidden = np.maximum(rectified @ tensors["head"] + tensors["head_bias"], 0)
    return np.float32(_KEPT) * np.concatenate([*found, [rectified.max(), hidden.max()]]).astype(np.float32)


def largest(ranges: Sequence[Array]) -> tuple[float, ...]:
    """The largest of each range, in three digits, as a spec has them."""
    return tuple(float(f"{value:.3g}") for value in np.max(ranges, axis=0).tolist())


def mean_of(checkpoints: Sequence[Checkpoint], shares: Sequence[float]) -> Checkpoint:
    """The weighted mean of networks of one configuration, with ranges that hold for each of them; the only one
    unchanged.

    Args:
        checkpoints: at least one.
        shares: of each; together 1.

    Raises:
        CheckpointError: only some of them have ranges.
    """
    if len(checkpoints) == 1:
        return checkpoints[0]
    first, specs = checkpoints[0], [one.spec_as(WaveNetSpec) for one in checkpoints]
    if len({len(spec.int8_ranges) for spec in specs}) > 1:
        raise CheckpointError(f"int8_ranges: {', '.join(one.path.name for one in checkpoints)}: not all have them")
    pairs = list(zip(checkpoints, map(np.float32, shares), strict=True))
    tensors = {name: np.sum([share * one.tensors[name] for one, share in pairs], 0) for name in first.tensors}
    parts = json.dumps([(one.sha256, share) for one, share in zip(checkpoints, shares, strict=True)])
    spec = replace(specs[0], int8_ranges=largest([np.array(spec.int8_ranges) for spec in specs]))
    return replace(first, spec=spec, tensors=tensors, sha256=hashlib.sha256(parts.encode()).hexdigest(), card="")
