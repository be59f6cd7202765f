"""Training a classifier of pictures on real ones: the sum of the cross-entropies of all attributes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor, nn

from ancestral.models.architectures.classifier import ClassifierSpec
from ancestral.training.data.images import PictureSet
from ancestral.training.metrics.classification import accuracy, classification_loss, classifier_of
from ancestral.training.tasks.pictures import PictureTask


@dataclass(frozen=True)
class ClassificationTask(PictureTask):
    """Pictures, in epochs; labels that are unspecified are left out of the loss."""

    spec: ClassifierSpec
    batch: int = 100
    measure: str = "nats"
    half: ClassVar[bool] = True

    @cached_property
    def pictures(self) -> PictureSet:
        """The data.

        Raises:
            ValueError: they are not pictures of the spec's size and palette, or have other attributes.
        """
        pictures = super().pictures
        if pictures.attributes != self.spec.attributes:
            raise ValueError(f"{self.data}: its attributes are not the classifier's")
        return pictures

    def loss(self, model: nn.Module, step: int, rank: int, device: torch.device) -> tuple[Tensor, int]:
        """The mean over pictures of the loss of one batch; see :class:`~ancestral.training.loop.Task`."""
        train = self.pictures.train
        chosen = self._epochs.take(step * self.batch, self.batch, rank)
        symbols = self._symbols(train.images[chosen], step, rank)
        labels = torch.from_numpy(train.labels[chosen]).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            logits = model(symbols.to(device))
        return classification_loss(self.spec, logits.float(), labels), len(chosen)

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """The accuracy of validation pictures, of every attribute."""
        figures = accuracy(classifier_of(self.spec, model), self.held_out(self.pictures.valid))
        return {f"valid_{name.replace(' ', '_')}": value for name, value in figures.items()}
