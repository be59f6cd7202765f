"""The network in torch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ancestral_models.networks.image import ImageNetwork, LabelEmbedding
from ancestral_models.tensors import own, part
from toy_images.architecture import ToySpec, tensors


class ToyNetwork(ImageNetwork):
    """One convolution whose taps from the pixel itself on are masked."""

    def __init__(self, spec: ToySpec) -> None:
        super().__init__(spec)
        table = tensors(spec)
        if spec.conditions:
            self.conditioner = LabelEmbedding(spec, part(table, "conditioner."))
        self.add_parameters(own(table))

    def score_pixels(self, pixels: Tensor, h: Tensor | None, dtype: torch.dtype) -> Tensor:
        """See :class:`ImageNetwork`."""
        size = self.taps.shape[-1]
        mask = torch.ones(size * size, dtype=dtype)
        mask[size * size // 2 :] = 0
        taps = self.taps.to(dtype) * mask.view(size, size)
        logits = F.conv2d(pixels.to(dtype).permute(0, 3, 1, 2), taps, self.taps_bias.to(dtype), padding=size // 2)
        if h is not None:
            logits = logits + (h.to(dtype) @ self.condition.to(dtype))[:, :, None, None]
        return logits.permute(0, 2, 3, 1).reshape(*pixels.shape[:3], self.spec.channels, self.spec.levels)
