"""The triplet loss with semi-hard negatives (FaceNet: Schroff et al. 2015, arXiv:1503.03832, section 3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MARGIN = 0.2
"""Alpha: by how much a squared distance to a picture of somebody else should exceed one to a picture of the same."""


def triplet_loss(vectors: Tensor, identities: Tensor, margin: float = MARGIN) -> Tensor:
    """The mean of [|a - p|² - |a - n|² + margin]₊ over all pairs (a, p) of one identity; n is chosen for each.

    Args:
        vectors: ``[B, F]``, of length 1.
        identities: ``[B]``, of which one at least has two pictures, and one at least is another.
        margin: alpha.
    """
    distances = squared_distances(vectors)
    anchors, positives, negatives = semi_hard(distances.detach(), identities)
    return F.relu(distances[anchors, positives] - distances[anchors, negatives] + margin).mean()


def squared_distances(vectors: Tensor) -> Tensor:
    """``[B, B]``, of vectors ``[B, F]`` of length 1."""
    return 2.0 - 2.0 * vectors @ vectors.t()


def semi_hard(distances: Tensor, identities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A negative for every anchor and positive: the nearest one that is further away than the positive.

    Where all are nearer, it is the furthest. The very nearest negatives would make all vectors collapse into one early
    in the training (section 3.2).

    Args:
        distances: ``[B, B]``.
        identities: ``[B]``.

    Returns:
        The indices of anchors, positives and negatives: one triplet for each pair of one identity, in both orders.
    """
    same = identities[:, None] == identities
    anchors, positives = (same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)).nonzero(as_tuple=True)
    others = distances[anchors].masked_fill(same[anchors], torch.inf)
    further = others.masked_fill(others <= distances[anchors, positives][:, None], torch.inf)
    nearest, furthest = further.min(dim=1), others.masked_fill(same[anchors], -torch.inf).argmax(dim=1)
    return anchors, positives, torch.where(nearest.values.isinf(), furthest, nearest.indices)
