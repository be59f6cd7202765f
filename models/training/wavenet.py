"""Training a conditional WaveNet on prepared corpora."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from models.checkpoint import save
from models.networks.wavenet import WaveNet
from models.spec import WaveNetSpec
from models.training.cards import card
from models.training.dataset import Dataset, PreparedClip, by_speaker, minutes_by_speaker, require_clips

_UNCOUNTED = 320
"""First symbols of a crop that carry no loss: they lack the past that sampling would have."""


@dataclass(frozen=True)
class WaveNetTask:
    """Crops of clips, drawn by speaker weight, scored in bits per sample."""

    spec: WaveNetSpec
    data: tuple[Path, ...]
    weights: Mapping[str, float]
    """How often each speaker is drawn."""
    batch: int = 2
    """Crops per process and step."""
    crop_frames: int = 30
    seed: int = 0
    unit: str = "samples"
    measure: str = "bits"

    @cached_property
    def _datasets(self) -> list[Dataset]:
        return [Dataset(path) for path in self.data]

    @cached_property
    def _training(self) -> dict[str, list[tuple[Dataset, PreparedClip]]]:
        groups = self._long_enough(evaluation=False)
        require_clips(groups)
        return groups

    def _long_enough(self, *, evaluation: bool) -> dict[str, list[tuple[Dataset, PreparedClip]]]:
        groups = by_speaker(self._datasets, evaluation=evaluation)
        return {
            name: [c for c in groups.get(name, []) if c[1].frames >= self.crop_frames] for name in self.spec.speakers
        }

    @cached_property
    def _chances(self) -> dict[str, NDArray[np.float64]]:
        lengths = {n: np.array([c.frames for _, c in g], np.float64) for n, g in self._training.items()}
        return {n: np.cumsum(x) / x.sum() for n, x in lengths.items()}

    def network(self) -> WaveNet:
        """See :class:`Task`."""
        return WaveNet(self.spec)

    def crop(self, dataset: Dataset, clip: PreparedClip, start: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Symbols ``[crop_frames * hop]`` from frame ``start``, and their frames with the conditioner's margin."""
        hop, margin = self.spec.local_hop, self.spec.conditioner_layers
        symbols = dataset.symbols(clip)[start * hop : (start + self.crop_frames) * hop].astype(np.int64)
        index = np.clip(np.arange(start - margin, start + self.crop_frames + margin), 0, clip.frames - 1)
        return symbols, dataset.frames(clip)[index].astype(np.float32)

    def _batch(self, step: int, rank: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        rng = np.random.default_rng([self.seed, step, rank])
        names = list(self.spec.speakers)
        chances = np.array([self.weights[n] for n in names])
        symbols, frames, speakers, uncounted = [], [], [], []
        for speaker in rng.choice(len(names), self.batch, p=chances / chances.sum()):
            group = self._training[names[speaker]]
            dataset, clip = group[
                min(int(np.searchsorted(self._chances[names[speaker]], rng.random())), len(group) - 1)
            ]
            # One crop in twenty begins where its clip does: the model has to learn to start from silence, too.
            start = 0 if rng.random() < 0.05 else int(rng.integers(0, clip.frames - self.crop_frames + 1))
            cut = self.crop(dataset, clip, start)
            symbols.append(cut[0])
            frames.append(cut[1])
            speakers.append(int(speaker))
            uncounted.append(_UNCOUNTED if start else 0)
        targets = np.stack(symbols)
        for row, skip in zip(targets, uncounted, strict=True):
            row[:skip] = -100
        return (
            torch.from_numpy(np.stack(symbols)), torch.from_numpy(targets), torch.from_numpy(np.stack(frames)),
            torch.tensor(speakers),
        )  # fmt: skip

    def loss(self, model: nn.Module, step: int, rank: int, device: torch.device) -> tuple[Tensor, int]:
        """Mean bits per sample of one batch; see :class:`Task`."""
        symbols, targets, frames, speakers = (t.to(device) for t in self._batch(step, rank))
        logits: Tensor = model(symbols, frames, speakers, torch.bfloat16)
        return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten()) / math.log(2), targets.numel()

    @torch.no_grad()
    def evaluate(self, model: nn.Module, device: torch.device, crops: int = 8) -> dict[str, float]:
        """Bits per sample of every speaker on held-out clips, in full precision."""
        figures = {}
        for number, (name, group) in enumerate(self._long_enough(evaluation=True).items()):
            chosen = group[:: max(len(group) // crops, 1)][:crops]
            if not chosen:
                continue
            cuts = [self.crop(d, c, (c.frames - self.crop_frames) // 2) for d, c in chosen]
            symbols, frames = (torch.from_numpy(np.stack(part)).to(device) for part in zip(*cuts, strict=True))
            logits = model(symbols, frames, torch.full((len(cuts),), number, device=device))[:, _UNCOUNTED:]
            nats = F.cross_entropy(logits.flatten(0, 1), symbols[:, _UNCOUNTED:].flatten())
            figures[f"bits_{name}"] = float(nats) / math.log(2)
        return figures

    def export(self, model: nn.Module, out: Path, trained: dict[str, Any], figures: dict[str, float]) -> None:
        """Write the averaged weights as a checkpoint; see :class:`~models.training.loop.Task`."""
        tensors = {name: tensor.cpu().numpy() for name, tensor in model.state_dict().items()}
        text = card(
            "Conditional WaveNet: frames and a speaker to 16 kHz speech",
            minutes_by_speaker(self._training),
            trained,
            figures,
        )
        save(out, self.spec, tensors, text)
