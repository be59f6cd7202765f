"""The classifier of pictures in torch; ancestral.models.classification is the same without it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ancestral.models.architectures.classifier import ClassifierSpec, tensors
from ancestral.models.networks.encoder import Encoder
from ancestral.models.networks.parameters import add_parameters
from ancestral.models.tensors import own

_DROPOUT = 0.3
"""Dropout of the vector, in training."""


class Classifier(nn.Module):
    """Logits of what pictures show (see :class:`ClassifierSpec`)."""

    head: nn.Parameter
    head_bias: nn.Parameter

    def __init__(self, spec: ClassifierSpec) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = Encoder(spec.encoder)
        add_parameters(self, own(tensors(spec)))

    def forward(self, symbols: Tensor) -> Tensor:
        """Logits ``[B, outputs]`` of pictures ``int64 [B, H, W, C]``."""
        features = F.dropout(F.relu(self.encoder(symbols)), _DROPOUT, self.training)
        return features @ self.head + self.head_bias
