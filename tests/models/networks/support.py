"""What the tests of image networks share: which sub-pixels a distribution depends on, found by gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from models.spec import ImageSpec
from tests.models.random_pictures import labels_of, network

Place = tuple[int, int, int]
"""Row, column and channel of a sub-pixel."""


def reached(spec: ImageSpec, place: Place) -> set[Place]:
    """The sub-pixels that move the distribution of the one at ``place``, in any of eight random pictures."""
    row, column, channel = place
    torch.manual_seed(1)
    symbols = torch.rand(8, spec.height, spec.width, spec.channels, dtype=torch.float64) * (spec.levels - 1)
    symbols.requires_grad_()
    logits: Tensor = network(spec)(symbols, labels_of(spec, 8))
    (grad,) = torch.autograd.grad(logits[:, row, column, channel].pow(2).sum(), symbols)
    return {tuple(place) for place in torch.nonzero(grad.abs().sum(dim=0)).tolist()}  # type: ignore[misc]
