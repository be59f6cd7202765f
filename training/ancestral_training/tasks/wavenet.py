"""Training a WaveNet on prepared corpora: on frames and a speaker, or on a speaker alone.

The second is the free generation of van den Oord et al. 2016 (arXiv:1609.03499, section 3.1): a spec with
``local_channels`` 0, for which the corpus's frames are not used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ancestral_models.architectures.wavenet import WaveNetSpec
from ancestral_models.checkpoint import Checkpoint, Tensors, save
from ancestral_models.engines.speech.native import int8_ranges, largest
from ancestral_models.networks.wavenet import WaveNet
from ancestral_training.data.speech import Coding, Dataset, PreparedClip, by_speaker, minutes_by_speaker, require_clips
from ancestral_training.loop import fastest_precision, fitted, load_weights, read_start
from ancestral_training.metrics import Crop, blurred
from ancestral_training.model_card import card

_RANGE_CLIPS, _RANGE_FRAMES = 3, 60
"""Clips and frames of each speaker whose sound says how large the numbers in the network become."""


@dataclass(frozen=True)
class WaveNetTask:
    """Crops of clips, drawn by speaker weight, scored in bits per sample."""

    spec: WaveNetSpec
    data: tuple[Path, ...]
    weights: Mapping[str, float]
    """How often each speaker is drawn, relatively."""
    batch: int = 2
    """Crops per process and step."""
    crop_frames: int = 30
    blur: float = 0.0
    """The share of the crops whose mels are blurred; see ancestral_training/metrics.py."""
    start: Path | None = None
    """The checkpoint whose weights the run begins with. Its speakers may be others, and its sound shaped otherwise."""
    precision: str = field(default_factory=fastest_precision)
    """Precision of the arithmetic at the rate of samples."""
    seed: int = 0
    unit: str = "samples"
    measure: str = "bits"

    @cached_property
    def _datasets(self) -> list[Dataset]:
        """Opened. Raises ValueError if there are symbols of another kind than the model's among them."""
        opened = [Dataset(path) for path in self.data]
        expected = Coding.of(self.spec)
        for path, dataset in zip(self.data, opened, strict=True):
            if dataset.coding != expected:
                raise ValueError(f"{path}: prepared with {dataset.coding}, but the model is of {expected}")
        return opened

    @cached_property
    def _start(self) -> Checkpoint | None:
        """The checkpoint ``start``, read once: the card names these weights even if the files change later."""
        return read_start(self.start, self.spec, ("speakers", "shaping", "preemphasis", "gain", "int8_ranges"))

    @property
    def uncounted(self) -> int:
        """First symbols of a crop that carry no loss, since they lack the past that sampling would have: as many as the
        model sees, but no more than a quarter of the crop."""
        return min(self.spec.receptive_field, self.crop_frames * self.spec.local_hop // 4)

    @cached_property
    def _training(self) -> dict[str, list[tuple[Dataset, PreparedClip]]]:
        groups = self._long_enough(evaluation=False)
        require_clips(groups, f"as long as a crop of {self.crop_frames} frames")
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
        """The network to train, with the weights of ``start`` if there are any.

        Raises:
            ValueError: ``start`` holds another network, or the data are of another coding or lack a speaker.
        """
        _ = self._training
        network = WaveNet(self.spec)
        if self._start is not None:
            load_weights(network, fitted(self._start, self.spec))
        return network

    def crop(self, dataset: Dataset, clip: PreparedClip, start: int) -> Crop:
        """Symbols ``[crop_frames * hop]`` from frame ``start``, and their frames with the conditioner's margin, or None
        without local conditioning."""
        hop, margin = dataset.spec.hop, self.spec.conditioner_layers
        symbols = dataset.symbols(clip)[start * hop : (start + self.crop_frames) * hop].astype(np.int64)
        if not self.spec.local_channels:
            return symbols, None
        index = np.clip(np.arange(start - margin, start + self.crop_frames + margin), 0, clip.frames - 1)
        return symbols, dataset.frames(clip)[index].astype(np.float32)

    def _batch(self, step: int, rank: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
        rng = np.random.default_rng([self.seed, step, rank])
        names = list(self.spec.speakers)
        chances = np.array([self.weights[n] for n in names])
        speakers = rng.choice(len(names), self.batch, p=chances / chances.sum())
        draw = self._draw if self.spec.local_channels else self._draw_free
        cuts, starts = zip(*(draw(names[speaker], rng) for speaker in speakers), strict=True)
        symbols, frames = _stacked(cuts, device)
        targets = symbols.clone()
        for row, start in zip(targets, starts, strict=True):
            row[: self.uncounted if start else 0] = -100
        return symbols, targets, frames, torch.from_numpy(speakers).to(device)

    def _draw(self, speaker: str, rng: np.random.Generator) -> tuple[Crop, int]:
        """A crop of one clip, and the frame where it starts."""
        dataset, clip = self._draw_clip(speaker, rng)
        # One crop in twenty begins with its clip, because the model has to learn to start from silence, too.
        start = 0 if rng.random() < 0.05 else int(rng.integers(0, clip.frames - self.crop_frames + 1))
        cut = self.crop(dataset, clip, start)
        if rng.random() < self.blur:
            cut = blurred(cut, dataset, clip, start, self.spec.conditioner_layers, rng)
        return cut, start

    def _draw_free(self, speaker: str, rng: np.random.Generator) -> tuple[Crop, int]:
        """The same for a model without frames. Clips are concatenated: otherwise the model would not learn that speech
        continues after a sentence, and free generation would end in silence."""
        dataset, clip = self._draw_clip(speaker, rng)
        start = 0 if rng.random() < 0.05 else int(rng.integers(0, clip.frames))
        parts = [dataset.symbols(clip)[start * dataset.spec.hop :]]
        size = self.crop_frames * dataset.spec.hop
        while sum(map(len, parts)) < size:
            dataset, clip = self._draw_clip(speaker, rng)
            parts.append(dataset.symbols(clip))
        return (np.concatenate(parts)[:size].astype(np.int64), None), start

    def _draw_clip(self, speaker: str, rng: np.random.Generator) -> tuple[Dataset, PreparedClip]:
        group = self._training[speaker]
        return group[min(int(np.searchsorted(self._chances[speaker], rng.random())), len(group) - 1)]

    def loss(self, model: nn.Module, step: int, rank: int, device: torch.device) -> tuple[Tensor, int]:
        """Mean bits per sample of one batch; see :class:`Task`."""
        symbols, targets, frames, speakers = self._batch(step, rank, device)
        logits: Tensor = model(symbols, frames, speakers, getattr(torch, self.precision))
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
            symbols, frames = _stacked(cuts, device)
            logits = model(symbols, frames, torch.full((len(cuts),), number, device=device))[:, self.uncounted :]
            nats = F.cross_entropy(logits.flatten(0, 1), symbols[:, self.uncounted :].flatten())
            figures[f"bits_{name}"] = float(nats) / math.log(2)
        return figures

    def export(self, model: nn.Module, out: Path, trained: dict[str, Any], figures: dict[str, float]) -> None:
        """Write the averaged weights as a checkpoint; see :class:`~ancestral_training.loop.Task`."""
        tensors = {name: tensor.cpu().numpy() for name, tensor in model.state_dict().items()}
        spec = replace(self.spec, int8_ranges=largest(self._ranges(tensors)))
        title = "Conditional WaveNet: frames and a speaker to 16 kHz speech"
        if not self.spec.local_channels:
            title = "WaveNet without text: a speaker to 16 kHz babble"
        least = max(self.weights.values()) / 1000.0  # a network of some voices keeps the others' vectors
        minutes = minutes_by_speaker(self._training)
        heard = {name: length for name, length in minutes.items() if self.weights[name] >= least}
        save(out, spec, tensors, card(title, heard, trained, figures, self._start))

    def _ranges(self, tensors: Tensors) -> list[NDArray[np.float32]]:
        """What int8 has to know, from the middle of some clips of every speaker."""
        found = []
        for number, name in enumerate(self.spec.speakers):
            group = self._training[name]
            for dataset, clip in group[:: max(len(group) // _RANGE_CLIPS, 1)][:_RANGE_CLIPS]:
                hop, start = dataset.spec.hop, max(0, clip.frames - _RANGE_FRAMES) // 2
                symbols = dataset.symbols(clip)[start * hop : (start + _RANGE_FRAMES) * hop]
                frames = None
                if self.spec.local_channels:
                    frames = dataset.frames(clip)[start : start + _RANGE_FRAMES].astype(np.float32)
                found.append(int8_ranges(self.spec, tensors, symbols, frames, number))
        return found


def _stacked(cuts: Sequence[Crop], device: torch.device) -> tuple[Tensor, Tensor | None]:
    symbols = torch.from_numpy(np.stack([cut[0] for cut in cuts])).to(device)
    frames = [cut[1] for cut in cuts if cut[1] is not None]
    return symbols, torch.from_numpy(np.stack(frames)).to(device) if frames else None
