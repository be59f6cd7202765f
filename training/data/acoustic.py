"""Batches of sentences for the acoustic model: phonemes with their durations, and frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from ancestral.models.architectures.acoustic import AcousticSpec
from ancestral.models.audio.features import harmonic_ripple
from ancestral.models.text.acoustic import frame_positions
from ancestral.training.data.speech import Dataset, PreparedClip

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
