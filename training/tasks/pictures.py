"""What all tasks of pictures share: the data, the weights that a run starts from, and the checkpoint it writes; and the
tasks of a classifier and of an encoder that tells identities apart (1606.05328, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ancestral.models.architectures.classifier import ClassifierSpec, EncoderSpec
from ancestral.models.checkpoint import Checkpoint, Tensors, save
from ancestral.models.networks import build_network
from ancestral.models.spec import PictureSpec
from ancestral.training.data.batches import Epochs, IdentityBatches
from ancestral.training.data.images import Images, Pictures, PictureSet, binarise, held_out, matching_pictures
from ancestral.training.loop import fastest_precision
from ancestral.training.metrics import accuracy, classification_loss, classifier_of, embed, retrieve
from ancestral.training.model_card import picture_card
from ancestral.training.start import load_weights, read_start


@dataclass(frozen=True)
class PictureTask:
    """Pictures of two levels are binarised anew each time; held-out ones always in the same way."""

    spec: PictureSpec
    data: Path
    batch: int = 16
    """Pictures per process and step."""
    precision: str = field(default_factory=fastest_precision)
    """Precision of the arithmetic."""
    start: Path | None = None
    """The checkpoint whose weights the run starts from, of the same spec."""
    seed: int = 0
    unit: str = "pictures"
    half: ClassVar[bool] = False
    """Whether checkpoints are in half precision."""

    @cached_property
    def pictures(self) -> PictureSet:
        """The data.

        Raises:
            ValueError: they are not pictures of the spec's size and palette.
        """
        return matching_pictures(self.data, self.spec)

    def network(self) -> nn.Module:
        """The network to train, with the weights of ``start`` if there are any.

        Raises:
            ValueError: ``start`` holds no such network.
        """
        network = build_network(self.spec)
        if self._start is not None:
            load_weights(network, self._weights(network, self._start.tensors))
        return network

    def _may_differ(self) -> Sequence[str]:
        """Fields of the spec in which ``start`` may differ."""
        return ()

    def _weights(self, network: nn.Module, tensors: Tensors) -> Tensors:
        """The weights of ``start`` for the new network."""
        return dict(tensors)

    @cached_property
    def _start(self) -> Checkpoint | None:
        """The checkpoint ``start``, read once, so that the model card names the weights that were really used."""
        return read_start(self.start, self.spec, self._may_differ())

    @cached_property
    def _epochs(self) -> Epochs:
        return Epochs(len(self.pictures.train.images), self.seed)

    def _symbols(self, images: Images, *key: int) -> Tensor:
        """Pictures ``int64 [B, H, W, C]`` as the network sees them in training; ``key`` is what the noise follows from,
        beside the seed."""
        return self._drawn(images, np.random.default_rng([self.seed, *key]))

    def _drawn(self, images: Images, rng: np.random.Generator) -> Tensor:
        return torch.from_numpy((binarise(images, rng) if self.spec.binary else images).astype(np.int64))

    def held_out(self, pictures: Pictures, count: int | None = None) -> Pictures:
        """The first pictures of a set, or all, as the model sees them in evaluation."""
        return held_out(pictures, self.spec, self.seed, count)

    def export(self, model: nn.Module, out: Path, trained: dict[str, Any], figures: dict[str, float]) -> None:
        """Write the averaged weights as a checkpoint; see :class:`~ancestral.training.loop.Task`."""
        tensors = {name: tensor.cpu().numpy() for name, tensor in model.state_dict().items()} | self._beside()
        if self._start is not None:
            trained = trained | {"started from the weights of SHA-256": self._start.sha256}
        text = picture_card(self.spec, self.pictures.source, len(self.pictures.train.images), trained, figures)
        save(out, self.spec, tensors, text, half=self.half)

    def _beside(self) -> Tensors:
        """What a checkpoint has beside the weights."""
        return {}


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


_EACH = 4
"""Pictures of one identity in a batch (K)."""


@dataclass(frozen=True)
class EmbeddingTask(PictureTask):
    """The triplet loss, without a unit, over batches of ``batch / 4`` identities with up to four pictures each."""

    spec: EncoderSpec
    batch: int = 256
    measure: str = "triplet loss"

    @cached_property
    def pictures(self) -> PictureSet:
        """The data.

        Raises:
            ValueError: they are not pictures of the spec's size and palette, or have no identities.
        """
        pictures = super().pictures
        if pictures.train.identities is None:
            raise ValueError(f"{self.data}: identity_train is missing")
        return pictures

    def network(self) -> nn.Module:
        """The network to train, with the weights of ``start`` if there are any.

        Raises:
            ValueError: ``start`` holds no encoder, or another one; the output has no length of 1; the pictures or the
                batch are too few.
        """
        if not self.spec.normalised:
            raise ValueError("normalised: the triplet loss needs vectors of length 1")
        _ = self._batches
        return super().network()

    @cached_property
    def _batches(self) -> IdentityBatches:
        if self.batch < 2 * _EACH or self.batch % _EACH:
            raise ValueError(f"batch: must be a multiple of {_EACH}, at least {2 * _EACH}, not {self.batch}")
        return IdentityBatches(self.pictures.train.known_identities, self.batch // _EACH, _EACH, self.seed)

    def loss(self, model: nn.Module, step: int, rank: int, device: torch.device) -> tuple[Tensor, int]:
        """The triplet loss of one batch; see :class:`~ancestral.training.loop.Task`."""
        train = self.pictures.train
        chosen = self._batches.batch(step, rank)
        symbols = self._symbols(train.images[chosen], step, rank, 1)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            vectors = model(symbols.to(device))
        identities = torch.from_numpy(train.known_identities[chosen]).to(device)
        return triplet_loss(vectors.float(), identities), len(chosen)

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Retrieval of validation identities, in full precision."""
        figures = retrieve(partial(embed, model.to("cpu")), self.held_out(self.pictures.valid))._asdict()
        return {f"valid_{name}": float(value) for name, value in figures.items()}


MARGIN = 0.2
"""Alpha: by how much a squared distance to a picture of somebody else should exceed one to a picture of the same."""


def triplet_loss(vectors: Tensor, identities: Tensor, margin: float = MARGIN) -> Tensor:
    """The triplet loss with semi-hard negatives (FaceNet: Schroff et al. 2015, arXiv:1503.03832, section 3): the mean
    of [|a - p|² - |a - n|² + margin]₊ over all pairs (a, p) of one identity; n is chosen for each.

    Args:
        vectors: ``[B, F]``, of length 1.
        identities: ``[B]``, of which one at least has two pictures, and one at least is another.
        margin: alpha.
    """
    distances = squared_distances(vectors)
    anchors, positives, negatives = semi_hard(distances.detach(), identities)
    return F.relu(distances[anchors, positives] - distances[anchors, negatives] + margin).mean()


def squared_distances(vectors: Tensor) -> Tensor:
    """``[B, B]``, of vectors ``[B, F]`` of length 1."""
    return 2.0 - 2.0 * vectors @ vectors.t()


def semi_hard(distances: Tensor, identities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A negative for every anchor and positive: the nearest one that is further away than the positive.

    Where all are nearer, it is the furthest. The very nearest negatives would make all vectors collapse into one early
    in the training (section 3.2).

    Args:
        distances: ``[B, B]``.
        identities: ``[B]``.

    Returns:
        The indices of anchors, positives and negatives: one triplet for each pair of one identity, in both orders.
    """
    same = identities[:, None] == identities
    anchors, positives = (same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)).nonzero(as_tuple=True)
    others = distances[anchors].masked_fill(same[anchors], torch.inf)
    further = others.masked_fill(others <= distances[anchors, positives][:, None], torch.inf)
    nearest, furthest = further.min(dim=1), others.masked_fill(same[anchors], -torch.inf).argmax(dim=1)
    return anchors, positives, torch.where(nearest.values.isinf(), furthest, nearest.indices)
