"""The encoder of pictures in torch; ancestral.models.conditioning.encode is the same in numpy."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ancestral.models.architectures.encoder import EncoderSpec, tensors
from ancestral.models.networks.image import input_pixels
from ancestral.models.networks.parameters import add_parameters


class Encoder(nn.Module):
    """The vector h of a picture (see :class:`EncoderSpec`)."""

    code: nn.Parameter
    code_bias: nn.Parameter

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__()
        self.spec = spec
        add_parameters(self, tensors(spec))

    def forward(self, symbols: Tensor) -> Tensor:
        """h ``[B, code]`` of pictures ``int64 [B, H, W, C]``."""
        seen = input_pixels(self.spec, symbols).to(self.code).permute(0, 3, 1, 2)
        for layer in range(self.spec.layers):
            weights, bias = getattr(self, f"convolution_{layer}"), getattr(self, f"convolution_{layer}_bias")
            seen = F.relu(F.conv2d(seen, weights, bias, stride=2, padding=1))
        h = seen.flatten(1) @ self.code + self.code_bias
        return F.normalize(h) if self.spec.normalised else h
