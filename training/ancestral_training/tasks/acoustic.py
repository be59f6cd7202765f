"""Training the acoustic model on clips whose phonemes have known times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from ancestral_models.acoustic import frame_positions
from ancestral_models.architectures.acoustic import AcousticSpec
from ancestral_models.audio.features import harmonic_ripple
from ancestral_models.checkpoint import Checkpoint, save
from ancestral_models.networks.acoustic import AcousticNetwork
from ancestral_training.data.speech import Dataset, PreparedClip, by_speaker, minutes_by_speaker, require_clips
from ancestral_training.loop import fastest_precision, fitted, load_weights, read_start
from ancestral_training.metrics import contrast_strength, ripple_depth, variance_ratio
from ancestral_training.model_card import card

# A small discriminator that keeps predicted mels as sharp as natural ones.
#
# A mean absolute error alone gives the median of all mels that a sentence could have, which is smoother than any of
# them. So a patch discriminator (Isola et al. 2017, arXiv:1611.07004, section 3.2.2) learns to tell predicted mels from
# natural ones, with the losses of least squares (Mao et al. 2017, arXiv:1611.04076), and the acoustic model learns to
# be taken for natural and to match the discriminator's features (as GANSpeech, Yang et al. 2021, arXiv:2106.15153,
# section 2.2).

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


_UNVOICED_PITCH_WEIGHT = 0.1
_VOICING_WEIGHT, _DURATION_WEIGHT = 0.2, 0.2
_ADVERSARIAL_WEIGHT, _FEATURE_WEIGHT = 0.05, 0.1
_DISCRIMINATOR_WEIGHT = 0.1
"""Adam does not care, but all gradients are clipped together: the discriminator's are the largest ones."""


class AcousticTraining(nn.Module):
    """The acoustic model, and the discriminator of its mels that is trained beside it."""

    def __init__(self, generator: AcousticNetwork) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, MelDiscriminator()


@dataclass(frozen=True)
class AcousticTask:
    """Sentences, drawn by speaker weight; durations, F0 and mels under L1, and mels that a discriminator judges."""

    spec: AcousticSpec
    data: tuple[Path, ...]
    weights: Mapping[str, float]
    """How often each speaker is drawn, relatively."""
    batch: int = 16
    start: Path | None = None
    """The checkpoint whose weights the run begins with. Its speakers and phonemes may be others."""
    adversary_after: int = 500
    """Steps without the losses of the discriminator, which learns from the first step; they rise for as many more."""
    precision: str = field(default_factory=fastest_precision)
    """Precision of the arithmetic, except that of the losses."""
    seed: int = 0
    unit: str = "frames"
    measure: str = "L1"

    @cached_property
    def _datasets(self) -> list[Dataset]:
        return [Dataset(path) for path in self.data]

    @cached_property
    def _start(self) -> Checkpoint | None:
        """The checkpoint ``start``, read once: the card names these weights even if the files change later."""
        return read_start(self.start, self.spec, ("speakers", "phonemes"))

    def clips(self, *, evaluation: bool) -> dict[str, list[Item]]:
        """Clips with known phonemes by speaker."""
        groups = by_speaker(self._datasets, evaluation=evaluation)
        return {name: [item for item in groups.get(name, []) if item[1].durations] for name in self.spec.speakers}

    @cached_property
    def _training(self) -> dict[str, list[Item]]:
        groups = self.clips(evaluation=False)
        require_clips(groups, "with phonemes")
        return groups

    def network(self) -> AcousticTraining:
        """The network to train, with the weights of ``start`` if there are any.

        Raises:
            ValueError: ``start`` holds another network, or the data lack a speaker.
        """
        _ = self._training
        network = AcousticNetwork(self.spec)
        if self._start is not None:
            load_weights(network, fitted(self._start, self.spec))
        return AcousticTraining(network)

    def loss(self, model: nn.Module, step: int, rank: int, device: torch.device) -> tuple[Tensor, int]:
        """The weighted sum of all losses of both networks; see :class:`~ancestral_training.loop.Task`."""
        assert isinstance(model, AcousticTraining)
        items = draw(self._training, self.weights, self.batch, np.random.default_rng([self.seed, step, rank]))
        batch = collate(self.spec, items).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            mels, pitch, durations = run(model.generator, batch)
            adversary = adversarial_losses(model.discriminator, mels, batch.mels, batch.ripple, batch.frame_mask)
        parts = losses(mels.float(), pitch.float(), durations.float(), batch)
        weight = min(max(step / self.adversary_after - 1.0, 0.0), 1.0)
        sharpness = _ADVERSARIAL_WEIGHT * adversary.adversarial + _FEATURE_WEIGHT * adversary.features
        total = (
            parts["mel"] + parts["pitch"] + _VOICING_WEIGHT * parts["voicing"] + _DURATION_WEIGHT * parts["duration"]
        )
        total += weight * sharpness + _DISCRIMINATOR_WEIGHT * adversary.discriminator
        return total, int(batch.frame_mask.sum())

    @torch.no_grad()
    def evaluate(self, model: nn.Module, device: torch.device, count: int = 24) -> dict[str, float]:
        """The parts of the loss for every speaker on held-out sentences, and how sharp the mels are.

        ``ripple_…`` is the depth of the harmonics' ripple and ``variance_…`` the variance of the mels, both for true F0
        and durations, and relative to natural mels; ``contrast_…`` the voice's ``contrast`` in ``model.json`` that
        makes the upper bands natural.
        """
        assert isinstance(model, AcousticTraining)
        figures: dict[str, float] = {}
        for name, group in self.clips(evaluation=True).items():
            if not group:
                continue
            batch = collate(self.spec, group[:count]).to(device)
            mels, pitch, durations = run(model.generator, batch)
            parts = losses(mels, pitch, durations, batch)
            figures |= {f"{part}_{name}": float(value) for part, value in parts.items()}
            figures |= {f"{part}_{name}": value for part, value in _sharpness(self.spec, mels, batch).items()}
        return figures

    def export(self, model: nn.Module, out: Path, trained: dict[str, Any], figures: dict[str, float]) -> None:
        """Write the averaged weights as a checkpoint; see :class:`~ancestral_training.loop.Task`."""
        assert isinstance(model, AcousticTraining)
        tensors = {name: tensor.cpu().numpy() for name, tensor in model.generator.state_dict().items()}
        title = "Acoustic model: phonemes and a speaker to conditioning frames"
        save(out, self.spec, tensors, card(title, minutes_by_speaker(self._training), trained, figures, self._start))


def run(model: AcousticNetwork, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Mels ``[B, F, bands]`` for true durations and F0; F0 and the logit of voicing ``[B, F, 2]`` for true durations;
    and the log-durations ``[B, P]``."""
    encoded, durations = model.encode(batch.phonemes, batch.word_starts, batch.speaker, batch.phoneme_mask)
    repeated = encoded.gather(1, batch.owner[:, :, None].expand(-1, -1, encoded.shape[2]))
    given = repeated, batch.positions, batch.speaker, batch.frame_mask
    return model.decode(*given, batch.pitch, batch.ripple), model.predict_pitch(*given), durations


def losses(mels: Tensor, pitch: Tensor, durations: Tensor, batch: Batch) -> dict[str, Tensor]:
    """Mean absolute errors of the mel bands, of log-F0 (mostly where voiced) and of log-durations; and the cross
    entropy of voicing."""
    mask, voicing = batch.frame_mask, batch.pitch[:, :, 1:]
    pitch_weight = mask * (voicing + _UNVOICED_PITCH_WEIGHT)
    known = batch.phoneme_mask[:, :, 0]
    entropy = F.binary_cross_entropy_with_logits(pitch[:, :, 1:], voicing, reduction="none")
    return {
        "mel": ((mels - batch.mels).abs() * mask).sum() / (mask.sum() * mels.shape[2]),
        "pitch": ((pitch[:, :, :1] - batch.pitch[:, :, :1]).abs() * pitch_weight).sum() / pitch_weight.sum(),
        "voicing": (entropy * mask).sum() / mask.sum(),
        "duration": F.l1_loss(durations * known, torch.log1p(batch.durations.float()), reduction="sum") / known.sum(),
    }


def _sharpness(spec: AcousticSpec, mels: Tensor, batch: Batch) -> dict[str, float]:
    inside = batch.frame_mask[:, :, 0] > 0
    predicted, natural = (m[inside].cpu().numpy() for m in (mels, batch.mels))
    voicing = batch.pitch[:, :, 1][inside].cpu().numpy()
    depths = [ripple_depth(m, voicing, spec.features) for m in (predicted, natural)]
    return {
        "ripple": depths[0] / max(depths[1], 1e-6),
        "variance": variance_ratio(predicted, natural),
        "contrast": contrast_strength(predicted, natural),
    }


# Batches of sentences for the acoustic model: phonemes with their durations, and frames.


Item = tuple[Dataset, PreparedClip]

_POOL = 8
"""Batches that are drawn at once, to find sentences of similar length among them."""


class Batch(NamedTuple):
    """Padded sentences: P phonemes, F frames."""

    phonemes: Tensor
    """``int64 [B, P]``"""
    word_starts: Tensor
    """``float32 [B, P]``"""
    durations: Tensor
    """``int64 [B, P]``, 0 in the padding."""
    speaker: Tensor
    """``int64 [B]``"""
    owner: Tensor
    """``int64 [B, F]``: the phoneme that each frame belongs to."""
    positions: Tensor
    """``float32 [B, F, 3]``"""
    mels: Tensor
    """``float32 [B, F, bands]``"""
    pitch: Tensor
    """``float32 [B, F, 2]``: scaled log-F0, voicing."""
    ripple: Tensor
    """``float32 [B, F, bands]``: that the harmonics of F0 leave in the mels."""
    phoneme_mask: Tensor
    """``float32 [B, P, 1]``"""
    frame_mask: Tensor
    """``float32 [B, F, 1]``"""

    def to(self, device: torch.device) -> Self:
        return type(self)(*(tensor.to(device) for tensor in self))


def collate(spec: AcousticSpec, items: Sequence[Item]) -> Batch:
    index = {p: i for i, p in enumerate(spec.phonemes)}
    size, count, longest = len(items), max(len(c.phones) for _, c in items), max(c.frames for _, c in items)
    phonemes, owner = np.zeros((size, count), np.int64), np.zeros((size, longest), np.int64)
    starts, durations = np.zeros((size, count), np.float32), np.zeros((size, count), np.int64)
    phoneme_mask, frame_mask = np.zeros((size, count, 1), np.float32), np.zeros((size, longest, 1), np.float32)
    positions = np.zeros((size, longest, spec.position_channels), np.float32)
    frames, ripple = (np.zeros((size, longest, channels), np.float32) for channels in (spec.outputs, spec.bands))
    for row, (dataset, clip) in enumerate(items):
        length, end = len(clip.phones), clip.frames
        phonemes[row, :length], phoneme_mask[row, :length] = [index[p] for p in clip.phones], 1.0
        starts[row, :length], durations[row, :length] = clip.word_starts, clip.durations
        owner[row, :end] = np.repeat(np.arange(length), clip.durations)
        positions[row, :end] = frame_positions(np.array(clip.durations))
        frames[row, :end], frame_mask[row, :end] = dataset.frames(clip), 1.0
        log_f0, voicing = frames[row, :end, spec.bands :].T
        ripple[row, :end] = harmonic_ripple(log_f0, voicing, spec.features)
    speaker = np.array([spec.speakers.index(clip.speaker) for _, clip in items])
    mels, pitch = np.split(frames, [spec.bands], axis=2)
    arrays = phonemes, starts, durations, speaker, owner, positions, mels, pitch, ripple, phoneme_mask, frame_mask
    return Batch(*map(torch.from_numpy, arrays))


def draw(
    groups: Mapping[str, Sequence[Item]], weights: Mapping[str, float], batch: int, rng: np.random.Generator
) -> list[Item]:
    """Sentences of similar length, so that little of the batch is padding: a window of a larger, sorted draw.

    Args:
        groups: clips of every speaker.
        weights: how often each speaker is drawn, relatively.
        batch: sentences.
        rng: decides.
    """
    names = list(groups)
    chances = np.array([weights[n] for n in names])
    pool = []
    for name in rng.choice(names, _POOL * batch, p=chances / chances.sum()):
        group = groups[str(name)]
        pool.append(group[int(rng.integers(len(group)))])
    pool.sort(key=lambda item: item[1].frames)
    start = int(rng.integers((_POOL - 1) * batch + 1))
    return pool[start : start + batch]
