"""Training the acoustic model on clips whose phonemes have known times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from models.architectures.acoustic import AcousticSpec
from models.checkpoint import save
from models.networks.acoustic import AcousticNetwork
from models.text.acoustic import AcousticModel, frame_positions
from models.training.data.speech import (
    PCM,
    Dataset,
    PreparedClip,
    by_speaker,
    held_out,
    minutes_by_speaker,
    require_clips,
    write_prepared,
)
from models.training.model_card import card

Item = tuple[Dataset, PreparedClip]

_UNVOICED_PITCH_WEIGHT = 0.1
_DURATION_WEIGHT = 0.2
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
    frames: Tensor
    """``float32 [B, F, outputs]``"""
    phoneme_mask: Tensor
    """``float32 [B, P, 1]``"""
    frame_mask: Tensor
    """``float32 [B, F, 1]``"""


@dataclass(frozen=True)
class AcousticTask:
    """Sentences, drawn by speaker weight; durations and frames under L1."""

    spec: AcousticSpec
    data: tuple[Path, ...]
    weights: Mapping[str, float]
    batch: int = 16
    seed: int = 0
    unit: str = "frames"
    measure: str = "L1"

    @cached_property
    def _datasets(self) -> list[Dataset]:
        return [Dataset(path) for path in self.data]

    def clips(self, *, evaluation: bool) -> dict[str, list[Item]]:
        """Clips with known phonemes by speaker."""
        groups = by_speaker(self._datasets, evaluation=evaluation)
        return {name: [item for item in groups.get(name, []) if item[1].durations] for name in self.spec.speakers}

    @cached_property
    def _training(self) -> dict[str, list[Item]]:
        groups = self.clips(evaluation=False)
        require_clips(groups)
        return groups

    def network(self) -> AcousticNetwork:
        """See :class:`~models.training.loop.Task`."""
        return AcousticNetwork(self.spec)

    def collate(self, items: list[Item]) -> Batch:
        """Pad sentences to one batch."""
        index = {p: i for i, p in enumerate(self.spec.phonemes)}
        count, longest = max(len(c.phones) for _, c in items), max(c.frames for _, c in items)
        phonemes = np.zeros((len(items), count), np.int64)
        starts, durations = np.zeros(phonemes.shape, np.float32), np.zeros(phonemes.shape, np.int64)
        owner = np.zeros((len(items), longest), np.int64)
        positions = np.zeros((len(items), longest, self.spec.position_channels), np.float32)
        frames = np.zeros((len(items), longest, self.spec.outputs), np.float32)
        frame_mask = np.zeros((len(items), longest, 1), np.float32)
        for row, (dataset, clip) in enumerate(items):
            length = len(clip.phones)
            phonemes[row, :length] = [index[p] for p in clip.phones]
            starts[row, :length], durations[row, :length] = clip.word_starts, clip.durations
            owner[row, : clip.frames] = np.repeat(np.arange(length), clip.durations)
            positions[row, : clip.frames] = frame_positions(np.array(clip.durations))
            frames[row, : clip.frames], frame_mask[row, : clip.frames] = dataset.frames(clip), 1.0
        mask = (np.arange(count) < np.array([[len(c.phones)] for _, c in items])).astype(np.float32)[:, :, None]
        speaker = np.array([self.spec.speakers.index(c.speaker) for _, c in items])
        arrays: tuple[NDArray[Any], ...] = (
            phonemes, starts, durations, speaker, owner, positions, frames, mask, frame_mask,
        )  # fmt: skip
        return Batch(*map(torch.from_numpy, arrays))

    def _draw(self, step: int, rank: int) -> list[Item]:
        """Sentences of similar length, so that little of the batch is padding: a window of a larger, sorted draw."""
        rng = np.random.default_rng([self.seed, step, rank])
        names = list(self.spec.speakers)
        chances = np.array([self.weights[n] for n in names])
        pool = []
        for name in rng.choice(names, _POOL * self.batch, p=chances / chances.sum()):
            group = self._training[str(name)]
            pool.append(group[int(rng.integers(len(group)))])
        pool.sort(key=lambda item: item[1].frames)
        start = int(rng.integers((_POOL - 1) * self.batch + 1))
        return pool[start : start + self.batch]

    def loss(self, model: nn.Module, step: int, rank: int, device: torch.device) -> tuple[Tensor, int]:
        """L1 of frames, F0 and log-durations; see :class:`~models.training.loop.Task`."""
        assert isinstance(model, AcousticNetwork)
        batch = Batch(*(t.to(device) for t in self.collate(self._draw(step, rank))))
        with torch.autocast(device.type, torch.bfloat16):
            frames, durations = run(model, batch)
        parts = losses(frames.float(), durations.float(), batch)
        total = parts["mel"] + parts["pitch"] + parts["voicing"] + _DURATION_WEIGHT * parts["duration"]
        return total, int(batch.frame_mask.sum())

    @torch.no_grad()
    def evaluate(self, model: nn.Module, device: torch.device, count: int = 24) -> dict[str, float]:
        """The parts of the loss for every speaker, on held-out sentences."""
        assert isinstance(model, AcousticNetwork)
        figures: dict[str, float] = {}
        for name, group in self.clips(evaluation=True).items():
            if group:
                batch = Batch(*(t.to(device) for t in self.collate(group[:count])))
                parts = losses(*run(model, batch), batch)
                figures |= {f"{part}_{name}": float(value) for part, value in parts.items()}
        return figures

    def export(self, model: nn.Module, out: Path, trained: dict[str, Any], figures: dict[str, float]) -> None:
        """Write the averaged weights as a checkpoint; see :class:`~models.training.loop.Task`."""
        tensors = {name: tensor.cpu().numpy() for name, tensor in model.state_dict().items()}
        text = card(
            "Acoustic model: phonemes and a speaker to conditioning frames",
            minutes_by_speaker(self._training),
            trained,
            figures,
        )
        save(out, self.spec, tensors, text)


def _symbols_for(dataset: Dataset, clip: PreparedClip, frames: NDArray[np.float16]) -> NDArray[np.uint8]:
    """A clip's symbols where its frames are others: an excitation is that of the filter it will be served with."""
    if dataset.coding.shaping == "preemphasis":
        return dataset.symbols(clip)
    return dataset.coding.encode(dataset.wave(clip) / PCM, frames, dataset.spec)


def predict_corpus(model: AcousticModel, source: Path, out: Path, progress: Callable[[int], None]) -> int:
    """A copy of a prepared corpus whose frames are the model's own, for the true durations.

    A WaveNet trained on these sees the same smoothed frames as in service (as in Tacotron 2, section 2.3). Clips
    without phonemes, and held-out ones, are left out.

    Returns:
        The number of clips.
    """
    dataset = Dataset(source)
    clips = [clip for clip in dataset.clips if clip.durations and not held_out(clip.id)]
    symbols, frames, entries, position = list[NDArray[np.uint8]](), list[NDArray[np.float16]](), list[PreparedClip](), 0
    for number, clip in enumerate(clips):
        made = model.predict_timed(clip.phones, clip.word_starts, np.array(clip.durations), clip.speaker)
        frames.append(made.astype(np.float16))
        symbols.append(_symbols_for(dataset, clip, frames[-1]))
        entries.append(replace(clip, start=position))
        position += clip.frames
        progress(number + 1)
    waves = [dataset.wave(c) for c in clips]
    write_prepared(out, symbols, frames, waves, entries, dataset.spec, dataset.coding, dataset.pitch_ranges)
    return len(entries)


def run(model: AcousticNetwork, batch: Batch) -> tuple[Tensor, Tensor]:
    """Frames ``[B, F, outputs]`` for the true durations, and the predicted log-durations ``[B, P]``."""
    encoded, durations = model.encode(batch.phonemes, batch.word_starts, batch.speaker, batch.phoneme_mask)
    repeated = encoded.gather(1, batch.owner[:, :, None].expand(-1, -1, encoded.shape[2]))
    return model.decode(repeated, batch.positions, batch.speaker, batch.frame_mask), durations


def losses(frames: Tensor, durations: Tensor, batch: Batch) -> dict[str, Tensor]:
    """Mean absolute errors: of the mel bands, of log-F0 (mostly where voiced), of voicing, of log-durations."""
    mel, target = frames[:, :, :-2], batch.frames[:, :, :-2]
    mask, voicing = batch.frame_mask, batch.frames[:, :, -1:]
    pitch_weight = mask * (voicing + _UNVOICED_PITCH_WEIGHT)
    known = batch.phoneme_mask[:, :, 0]
    return {
        "mel": ((mel - target).abs() * mask).sum() / (mask.sum() * target.shape[2]),
        "pitch": ((frames[:, :, -2:-1] - batch.frames[:, :, -2:-1]).abs() * pitch_weight).sum() / pitch_weight.sum(),
        "voicing": ((frames[:, :, -1:] - voicing).abs() * mask).sum() / mask.sum(),
        "duration": F.l1_loss(durations * known, torch.log1p(batch.durations.float()), reduction="sum") / known.sum(),
    }
