"""What the tests of image networks share: which sub-pixels a distribution depends on, found by gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from ancestral.models.spec import ImageSpec
from tests.models.random_models import given_of, network

Place = tuple[int, int, int]
"""Row, column and channel of a sub-pixel."""


def reached(spec: ImageSpec, place: Place, kept: Tensor | None = None) -> set[Place]:
    """The sub-pixels that move the distribution of the one at ``place``, in any of eight random pictures.

    Args:
        spec: of the network.
        place: of the sub-pixel.
        kept: ``bool [H, W]``: the pixels that edits keep; None where the pictures are none.
    """
    row, column, channel = place
    torch.manual_seed(1)
    pixels = 2.0 * torch.rand(8, spec.height, spec.width, spec.channels * spec.planes, dtype=torch.float64) - 1.0
    pixels.requires_grad_()
    model, given = network(spec), given_of(spec, 8)
    h = None if given is None else model.h_of(given, given)
    if kept is None:
        logits = model.score_pixels(pixels, h, torch.float64)
    else:
        logits = model.score_edits(pixels, h, torch.float64, kept.expand(8, -1, -1))
    (grad,) = torch.autograd.grad(logits[:, row, column, channel].pow(2).sum(), pixels)
    moved = grad.abs().sum(dim=0).unflatten(2, (spec.channels, spec.planes)).sum(dim=3)
    return {tuple(place) for place in torch.nonzero(moved).tolist()}  # type: ignore[misc]
