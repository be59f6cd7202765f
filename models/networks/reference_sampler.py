"""Naive sampling of an image network, by definition: the whole network for every sub-pixel.

It is the oracle of all faster engines, and what the torch engine (models/engines/images/torch_engine.py) samples
networks with that have no compiled kernel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ancestral.models import categorical
from ancestral.models.networks.image import ImageNetwork
from ancestral.models.noise import uniforms
from ancestral.models.spec import COARSE, ImageSpec


@torch.no_grad()
def draw(
    network: ImageNetwork,
    h: Tensor | None,
    seeds: Sequence[int],
    temperature: float | NDArray[np.float64] = 1.0,
    count: int | None = None,
    guidance: float | NDArray[np.float64] = 1.0,
    unconditional: Tensor | None = None,
) -> NDArray[np.uint8]:
    """One picture for each seed.

    Args:
        network: in double precision, if the symbols are to be compared with an engine's.
        h: ``[B, condition_channels]``, where the network has conditions.
        seeds: of the noise (models/noise.py); position (row * W + column) * C + channel draws a sub-pixel.
        temperature: divides the logits; of all pictures, or ``[B]``; above 0.
        count: sub-pixels to sample, where it is not all of them; those after them stay 0.
        guidance: see :func:`sub_pixel_logits`.
        unconditional: like ``h``; required where guidance is not 1.

    Returns:
        ``uint8 [B, H, W, C]``.
    """
    spec = network.spec
    noise = np.stack([uniforms(seed, 0, spec.dims) for seed in seeds])
    symbols = np.zeros((len(seeds), spec.height, spec.width, spec.channels), np.uint8)
    for position in sampling_order(spec)[:count]:
        logits = sub_pixel_logits(network, symbols, position, h, guidance, unconditional)
        symbols.reshape(len(seeds), -1)[:, position] = categorical.draw(logits, temperature, noise[:, position])
    return symbols


def sub_pixel_logits(
    network: ImageNetwork,
    symbols: NDArray[np.uint8],
    position: int,
    h: Tensor | None,
    guidance: float | NDArray[np.float64],
    unconditional: Tensor | None,
    kept: Tensor | None = None,
) -> NDArray[np.float64]:
    """The logits ``[B, levels]`` of one sub-pixel of every picture, given those sampled before.

    With guidance they are those of :func:`ancestral.models.categorical.guide`.

    Args:
        network: of the pictures.
        symbols: ``[B, H, W, C]``; those not yet sampled have no effect.
        position: (row * W + column) * C + channel.
        h: ``[B, condition_channels]``, where the network has conditions.
        guidance: 1 is the network as it is; of all pictures, or ``[B]``.
        unconditional: h of the unconditional pass; None exactly where guidance is 1 for all pictures.
        kept: ``bool [B, H, W]``: the pixels that edits keep; None where there are none.
    """
    tensor = torch.from_numpy(symbols.astype(np.int64))

    def logits(condition: Tensor | None) -> NDArray[np.float64]:
        return np.asarray(network.score(tensor, condition, kept=kept).flatten(1, 3)[:, position].double().numpy())

    if unconditional is None:
        return logits(h)
    return categorical.guide(logits(h), logits(unconditional), guidance)


def sampling_order(spec: ImageSpec) -> list[int]:
    """The positions of all sub-pixels in the order in which they are sampled: row by row, or the coarse ones first."""
    positions = np.arange(spec.dims).reshape(spec.height, spec.width, spec.channels)
    if spec.coarse is None:
        return [*positions.flat]
    coarse = positions[COARSE, COARSE]
    return [*coarse.flat, *np.setdiff1d(positions, coarse)]
