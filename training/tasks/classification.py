"""Training a classifier of pictures on real ones: the sum of the cross-entropies of all attributes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ancestral.models.architectures.classifier import ClassifierSpec
from ancestral.models.checkpoint import Checkpoint, save
from ancestral.models.networks import build_network
from ancestral.training.data.epochs import Epochs
from ancestral.training.data.images import PictureSet, binarise, held_out, matching_pictures
from ancestral.training.metrics.classification import accuracy, classification_loss, classifier_of
from ancestral.training.model_card import picture_card
from ancestral.training.precision import fastest_precision
from ancestral.training.start import load_weights, read_start


@dataclass(frozen=True)
class ClassificationTask:
    """Pictures, in epochs; labels that are unspecified are left out of the loss.

    Pictures of two levels are binarised anew each time; held-out ones always in the same way.
    """

    spec: ClassifierSpec
    data: Path
    batch: int = 100
    """Pictures per process and step."""
    precision: str = field(default_factory=fastest_precision)
    """Precision of the convolutions."""
    start: Path | None = None
    """The checkpoint whose weights the run starts from, of the same spec."""
    seed: int = 0
    unit: str = "pictures"
    measure: str = "nats"

    @cached_property
    def pictures(self) -> PictureSet:
        """The data.

        Raises:
            ValueError: they are not pictures of the spec's size and palette, or have other attributes.
        """
        pictures = matching_pictures(self.data, self.spec)
        if pictures.attributes != self.spec.attributes:
            raise ValueError(f"{self.data}: its attributes are not the classifier's")
        return pictures

    def network(self) -> nn.Module:
        """The network to train, with the weights of ``start`` if there are any.

        Raises:
            ValueError: ``start`` holds no classifier, or another one.
        """
        network = build_network(self.spec)
        if self._start is not None:
            load_weights(network, dict(self._start.tensors))
        return network

    @cached_property
    def _start(self) -> Checkpoint | None:
        """The checkpoint ``start``, read once, so that the model card names the weights that were really used."""
        return read_start(self.start, self.spec)

    @cached_property
    def _epochs(self) -> Epochs:
        return Epochs(len(self.pictures.train.images), self.seed)

    def loss(self, model: nn.Module, step: int, rank: int, device: torch.device) -> tuple[Tensor, int]:
        """The mean over pictures of the loss of one batch; see :class:`~ancestral.training.loop.Task`."""
        train = self.pictures.train
        chosen = self._epochs.take(step * self.batch, self.batch, rank)
        images = train.images[chosen]
        if self.spec.binary:
            images = binarise(images, np.random.default_rng([self.seed, step, rank]))
        labels = torch.from_numpy(train.labels[chosen]).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            logits = model(torch.from_numpy(images.astype(np.int64)).to(device))
        return classification_loss(self.spec, logits.float(), labels), len(chosen)

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """The accuracy of validation pictures, of every attribute."""
        pictures = held_out(self.pictures.valid, self.spec, self.seed)
        figures = accuracy(classifier_of(self.spec, model), pictures)
        return {f"valid_{name.replace(' ', '_')}": value for name, value in figures.items()}

    def export(self, model: nn.Module, out: Path, trained: dict[str, Any], figures: dict[str, float]) -> None:
        """Write the averaged weights as a checkpoint, in half precision; see :class:`~ancestral.training.loop.Task`."""
        tensors = {name: tensor.cpu().numpy() for name, tensor in model.state_dict().items()}
        if self._start is not None:
            trained = trained | {"started from the weights of SHA-256": self._start.sha256}
        pictures = self.pictures
        text = picture_card(self.spec, pictures.source, len(pictures.train.images), trained, figures)
        save(out, self.spec, tensors, text, half=True)
