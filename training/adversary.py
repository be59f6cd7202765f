"""A small discriminator that keeps predicted mels as sharp as natural ones.

A mean absolute error alone gives the median of all mels that a sentence could have, which is smoother than any of them.
So a patch discriminator (Isola et al. 2017, arXiv:1611.07004, section 3.2.2) learns to tell predicted mels from natural
ones, with the losses of least squares (Mao et al. 2017, arXiv:1611.04076), and the acoustic model learns to be taken
for natural and to match the discriminator's features (as GANSpeech, Yang et al. 2021, arXiv:2106.15153, section 2.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

_CHANNELS = (16, 32, 48, 64)
_SLOPE = 0.2


class MelDiscriminator(nn.Module):
    """Scores patches of about 0.3 s and half of the bands; it is trained with the acoustic model and then dropped."""

    def __init__(self) -> None:
        super().__init__()
        inputs = 3
        layers = []
        for number, outputs in enumerate(_CHANNELS):
            layers.append(nn.Conv2d(inputs, outputs, 3, stride=2 if number else 1, padding=1))
            inputs = outputs
        self.layers = nn.ModuleList(layers)
        self.score = nn.Conv2d(inputs, 1, 3, padding=1)

    def forward(self, mels: Tensor, ripple: Tensor, mask: Tensor) -> list[Tensor]:
        """The features of every layer ``[B, C, F / s, bands / s]``, last the scores (C = 1); natural ones are near 1.

        Args:
            mels: ``[B, F, bands]``.
            ripple: that the harmonics of F0 leave in them, of the same shape.
            mask: ``[B, F, 1]``, 0 in the padding.
        """
        bands = torch.linspace(-1.0, 1.0, mels.shape[2], device=mels.device).expand_as(mels)
        x = torch.stack([mels, ripple, bands], dim=1) * mask[:, None]
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), _SLOPE)
            features.append(x)
        return [*features, self.score(x)]


class AdversarialLosses(NamedTuple):
    """The losses of one batch."""

    discriminator: Tensor
    """Loss of the discriminator; it changes no weight of the acoustic model."""
    adversarial: Tensor
    """Loss of the acoustic model: how far the scores are from natural ones. It changes no weight of the
    discriminator."""
    features: Tensor
    """Loss of the acoustic model: the mean relative difference of the discriminator's features."""


def adversarial_losses(
    discriminator: MelDiscriminator, predicted: Tensor, natural: Tensor, ripple: Tensor, mask: Tensor
) -> AdversarialLosses:
    """The losses of both sides; one backward pass over their sum gives each side its own gradients.

    Args:
        discriminator: of the mels.
        predicted: ``[B, F, bands]``.
        natural: the same sentences' true mels.
        ripple: see :meth:`MelDiscriminator.forward`.
        mask: ``[B, F, 1]``.
    """
    real = discriminator(natural, ripple, mask)
    fake = discriminator(predicted.detach(), ripple, mask)
    frozen = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
    seen: list[Tensor] = functional_call(discriminator, frozen, (predicted, ripple, mask))
    weight = mask[:, None, :: 2 ** (len(_CHANNELS) - 1)]  # of the patches' centres
    return AdversarialLosses(
        _squares(real[-1] - 1.0, weight) + _squares(fake[-1], weight),
        _squares(seen[-1] - 1.0, weight),
        _matching(seen[:-1], real[:-1]),
    )


def _squares(errors: Tensor, weight: Tensor) -> Tensor:
    return (errors.float() ** 2 * weight).sum() / (weight.sum() * errors.shape[3])


def _matching(seen: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    terms = []
    for one, other in zip(seen, real, strict=True):
        target = other.detach().float()
        terms.append((one.float() - target).abs().mean() / target.abs().mean())
    return torch.stack(terms).mean()
