"""The discriminator of mels: who learns from which loss, and that padding has no say."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ancestral.training.adversary import MelDiscriminator, adversarial_losses

BANDS = 64


@pytest.fixture
def discriminator() -> MelDiscriminator:
    torch.manual_seed(0)
    return MelDiscriminator()


def batch(frames: int = 50) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Predicted and natural mels, ripple, mask."""
    predicted, natural, ripple = torch.randn(3, 2, frames, BANDS)
    return predicted.requires_grad_(), natural, ripple, torch.ones(2, frames, 1)


def test_each_side_learns_from_its_own_losses(discriminator: MelDiscriminator) -> None:
    given = batch()
    found = adversarial_losses(discriminator, *given)
    weights = list(discriminator.parameters())
    gradients = torch.autograd.grad(found.discriminator, [given[0], *weights], retain_graph=True, allow_unused=True)
    assert gradients[0] is None
    assert all(g is not None and g.any() for g in gradients[1:])
    for loss in (found.adversarial, found.features):
        gradients = torch.autograd.grad(loss, [given[0], *weights], retain_graph=True, allow_unused=True)
        assert gradients[0] is not None
        assert gradients[0].any()
        assert all(g is None for g in gradients[1:])


def test_padding_has_no_say(discriminator: MelDiscriminator) -> None:
    predicted, natural, ripple, mask = batch(64)
    mask[:, 40:] = 0.0
    first = adversarial_losses(discriminator, predicted, natural, ripple, mask)
    for tensor in (predicted, natural, ripple):
        with torch.no_grad():
            tensor[:, 40:] = 7.0
    torch.testing.assert_close(adversarial_losses(discriminator, predicted, natural, ripple, mask), first)


def test_mels_that_are_natural_match(discriminator: MelDiscriminator) -> None:
    _, natural, ripple, mask = batch()
    found = adversarial_losses(discriminator, natural, natural, ripple, mask)
    assert found.features.item() == 0.0
    scores = discriminator(natural, ripple, mask)[-1]
    assert scores.shape == (2, 1, 7, 8)
    assert found.adversarial.item() == pytest.approx(((scores - 1.0) ** 2).mean().item(), rel=1e-5)
    assert found.discriminator.item() == pytest.approx(((scores - 1.0) ** 2 + scores**2).mean().item(), rel=1e-5)


@pytest.mark.slow
def test_it_learns_to_tell_blurred_mels_from_sharp_ones(discriminator: MelDiscriminator) -> None:
    optimizer = torch.optim.AdamW(discriminator.parameters(), lr=3e-3)
    blur = torch.nn.AvgPool1d(5, stride=1, padding=2)
    for _ in range(60):
        _, natural, ripple, mask = batch()
        loss = adversarial_losses(discriminator, blur(natural), natural, ripple, mask).discriminator
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    _, natural, ripple, mask = batch()
    with torch.no_grad():
        real, fake = (discriminator(m, ripple, mask)[-1].mean() for m in (natural, blur(natural)))
    assert real > fake + 0.5
