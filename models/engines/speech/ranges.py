"""How large the numbers become that the large matrices of a WaveNet multiply: int8 takes its units from that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ancestral.models.architectures.wavenet import WaveNetSpec
from ancestral.models.audio.mu_law import SILENCE
from ancestral.models.kernels.shared import conditioning

Array = NDArray[np.float32]

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
