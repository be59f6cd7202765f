"""Sampling from a PixelCNN by definition: the whole network for every sub-pixel. The oracle of all that is faster."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.networks.pixelcnn import GatedPixelCNN, OriginalPixelCNN
from models.noise import uniforms
from models.spec import OUTLINE, PixelCNNSpec


@torch.no_grad()
def draw(
    model: GatedPixelCNN | OriginalPixelCNN,
    h: Tensor | None,
    seeds: Sequence[int],
    temperature: float = 1.0,
    count: int | None = None,
    guidance: float = 1.0,
    away: Tensor | None = None,
) -> NDArray[np.uint8]:
    """One picture a seed.

    Args:
        model: in double precision, if the symbols are to be compared with an engine's.
        h: ``[B, condition_channels]``, where the model has conditions.
        seeds: of the noise (models/noise.py); position (row * W + column) * C + channel draws a sub-pixel. An outline
            is drawn first.
        temperature: divides the logits; above 0.
        count: sub-pixels to draw, where it is not all of them; those after them stay 0.
        guidance: how many times what tells h apart from ``away`` counts (models/engines/images/engine.py).
        away: like ``h``; required where guidance is not 1.

    Returns:
        ``uint8 [B, H, W, C]``.
    """
    spec = model.spec
    noise = np.stack([uniforms(seed, 0, spec.height * spec.width * spec.channels) for seed in seeds])
    symbols = torch.zeros(len(seeds), spec.height, spec.width, spec.channels, dtype=torch.int64)
    for position in _order(spec)[:count]:
        pixel, channel = divmod(position, spec.channels)
        row, column = divmod(pixel, spec.width)
        logits = model.score(symbols, h)[:, row, column, channel].double().numpy()
        if away is not None:
            unguided = model.score(symbols, away)[:, row, column, channel].double().numpy()
            logits = unguided + guidance * (logits - unguided)
        cumulative = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature).cumsum(axis=1)
        drawn = (cumulative[:, :-1] <= noise[:, position, None] * cumulative[:, -1:]).sum(axis=1)
        symbols[:, row, column, channel] = torch.from_numpy(drawn)
    return symbols.numpy().astype(np.uint8)


def _order(spec: PixelCNNSpec) -> list[int]:
    """The positions of all sub-pixels, in the order in which they are drawn."""
    places = np.arange(spec.dims).reshape(spec.height, spec.width, spec.channels)
    if spec.outline is None:
        return [*places.flat]
    outline = places[OUTLINE, OUTLINE]
    return [*outline.flat, *np.setdiff1d(places, outline)]
