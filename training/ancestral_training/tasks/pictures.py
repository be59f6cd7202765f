"""What all tasks of pictures share: the data, the weights that a run starts from, and the checkpoint it writes; and the
tasks of a classifier and of an encoder that tells identities apart (1606.05328, section 3.3)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ancestral_models.architectures.classifier import ClassifierSpec, EncoderSpec
from ancestral_models.architectures.pixelcnn import CONTEXT_PREFIX, PixelCNNAutoencoderSpec, PixelCNNSpec
from ancestral_models.checkpoint import Checkpoint, Tensors, load, save
from ancestral_models.engines import load_image_engine
from ancestral_models.engines.images.engine import ImageStreamRequest
from ancestral_models.networks import build_network
from ancestral_models.networks.pixelcnn import PixelCNNAutoencoder
from ancestral_models.spec import LABEL_ROWS, STYLE, ImageSpec, PictureSpec, pixels_of
from ancestral_training import metrics
from ancestral_training.data.images import (
    Epochs,
    IdentityBatches,
    Images,
    Pictures,
    PictureSet,
    binarise,
    first_two,
    held_out,
    kept_pixels,
    matching_pictures,
    spread,
    write_sheet,
)
from ancestral_training.loop import fastest_precision, load_weights, read_start, require_spec
from ancestral_training.model_card import picture_card


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
        """Write the averaged weights as a checkpoint; see :class:`~ancestral_training.loop.Task`."""
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
        """The mean over pictures of the loss of one batch; see :class:`~ancestral_training.loop.Task`."""
        train = self.pictures.train
        chosen = self._epochs.take(step * self.batch, self.batch, rank)
        symbols = self._symbols(train.images[chosen], step, rank)
        labels = torch.from_numpy(train.labels[chosen]).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            logits = model(symbols.to(device))
        return metrics.classification_loss(self.spec, logits.float(), labels), len(chosen)

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """The accuracy of validation pictures, of every attribute."""
        figures = metrics.accuracy(metrics.classifier_of(self.spec, model), self.held_out(self.pictures.valid))
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
        first_two(self.pictures.valid.known_identities)
        return IdentityBatches(self.pictures.train.known_identities, self.batch // _EACH, _EACH, self.seed)

    def loss(self, model: nn.Module, step: int, rank: int, device: torch.device) -> tuple[Tensor, int]:
        """The triplet loss of one batch; see :class:`~ancestral_training.loop.Task`."""
        train = self.pictures.train
        chosen = self._batches.batch(step, rank)
        symbols = self._symbols(train.images[chosen], step, rank, 1)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            vectors = model(symbols.to(device))
        identities = torch.from_numpy(train.known_identities[chosen]).to(device)
        return triplet_loss(vectors.float(), identities), len(chosen)

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Retrieval of validation identities, in full precision."""
        figures = metrics.retrieve(
            partial(metrics.embed, model.to("cpu")), self.held_out(self.pictures.valid)
        )._asdict()
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


# Training an image network, of any architecture, on a set of pictures.

_VALIDATED = 500
_ROWS, _COLUMNS, _MOST_COLUMNS = 4, 10, 40
"""Size of a sheet; with attributes there is a column for each value of the first one, up to 40."""
_SCORED = 50
"""Pictures scored at once."""


@dataclass(frozen=True)
class ImageTask(PictureTask):
    """Whole pictures, in epochs, scored in bits per sub-pixel. ``start`` may not draw edits yet."""

    spec: ImageSpec
    label_dropout: float = 1 / 20
    """The probability of replacing each label by "unspecified": low, because people name most labels."""
    unconditional: float = 0.1
    """The share of the pictures that lose all labels but the style, as in the unconditional pass of guidance, and of
    those that lose each label but the style with probability 1/2. Labels that are left out each by itself are hardly
    ever left out together."""
    edited: float = 0.25
    """The share of the pictures that are edits, of a network that draws them: only their regions are scored."""
    measure: str = "bits/dim"

    @cached_property
    def pictures(self) -> PictureSet:
        """The data.

        Raises:
            ValueError: they are not pictures of the spec's size, or have another palette or other attributes.
        """
        spec, pictures = self.spec, super().pictures
        if spec.attributes and (spec.attributes, spec.label_rows) != (pictures.attributes, len(pictures.label_rows)):
            raise ValueError(f"{self.data}: its attributes are not the model's")
        return pictures

    def _may_differ(self) -> Sequence[str]:
        return ["label_rows", *(["context_channels"] if self._draws_edits else [])]

    def _weights(self, network: nn.Module, tensors: Tensors) -> Tensors:
        # The map of what edits keep is as before training, but adds nothing: so the network is the one it was.
        state = {n: t.numpy() for n, t in network.state_dict().items() if n.startswith(CONTEXT_PREFIX)}
        context = {name: np.zeros_like(t) if name.endswith("out") else t for name, t in state.items()}
        return context | {name: tensor for name, tensor in tensors.items() if name != LABEL_ROWS}

    @property
    def _draws_edits(self) -> bool:
        return isinstance(self.spec, PixelCNNSpec) and self.spec.context_channels > 0

    def _batch(self, step: int, rank: int) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Pictures ``int64 [B, H, W, C]``, and what the network is given beside them: labels, if it has conditions, and
        the pixels that edits keep, if it draws them."""
        train = self.pictures.train
        chosen = self._epochs.take(step * self.batch, self.batch, rank)
        rng = np.random.default_rng([self.seed, step, rank])
        labels = train.labels[chosen].copy()
        images = self._drawn(train.images[chosen], rng)
        kind = rng.random(len(labels))
        sparse = np.where(kind < 2 * self.unconditional, 0.5, self.label_dropout)
        rates = np.where(kind < self.unconditional, 1.0, sparse)
        kept = np.zeros(images.shape[:3], np.bool_)
        if self._draws_edits:
            edits = rng.random(len(labels)) < self.edited
            kept[edits] = kept_pixels(rng, int(edits.sum()), *images.shape[1:3])
            # Of an edit people name what is to change; the picture shows the rest.
            rates = np.where(edits & (rng.random(len(labels)) < 0.5), 0.75, rates)
        for column, (name, values) in enumerate(self.spec.attributes):
            dropped = rng.random(len(labels)) < (self.label_dropout if name == STYLE else rates)
            labels[dropped, column] = len(values)
        given = torch.from_numpy(labels) if self.spec.conditions else None
        return images, given, torch.from_numpy(kept) if self._draws_edits else None

    def loss(self, model: nn.Module, step: int, rank: int, device: torch.device) -> tuple[Tensor, int]:
        """Mean bits per sub-pixel of one batch; see :class:`Task`."""
        images, given, kept = (part if part is None else part.to(device) for part in self._batch(step, rank))
        assert images is not None, "a batch has pictures"
        logits: Tensor = model(images, given, getattr(torch, self.precision), kept)
        if kept is None:
            nats = F.cross_entropy(logits.float().flatten(0, 3), images.flatten())
        else:
            drawn = ~kept[..., None].expand_as(images)
            nats = F.cross_entropy(logits[drawn].float(), images[drawn])
        return nats / math.log(2), len(images)

    @torch.no_grad()
    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Likelihood of validation pictures, in full precision: with their labels, and unconditional."""
        chosen = self.held_out(self.pictures.valid, _VALIDATED)
        figures = likelihood(model, self.spec, chosen, device)
        if self._draws_edits:
            figures["bits_per_dim_edited"] = edited_bits(model, chosen, device)
        return {f"valid_{name}": value for name, value in figures.items()}

    def export(self, model: nn.Module, out: Path, trained: dict[str, Any], figures: dict[str, float]) -> None:
        """Write the averaged weights as a checkpoint, and a sheet of pictures beside it."""
        super().export(model, out, trained, figures)
        self._draw_sheet(load(out), out.with_name("sheets") / f"{trained['step']:07d}.png")

    def _beside(self) -> Tensors:
        return {LABEL_ROWS: self.pictures.label_rows} if self.spec.label_rows else {}

    def _draw_sheet(self, checkpoint: Checkpoint, file: Path) -> None:
        """Four pictures of values of the first attribute, a column each, to see the progress of the training."""
        engine, spec = load_image_engine("native", checkpoint), self.spec
        values = len(spec.conditions[0]) if spec.conditions else 0
        labels: Sequence[int | None] = range(min(values, _MOST_COLUMNS)) if values else [None] * _COLUMNS
        nothing = (None,) * (len(spec.conditions) - 1)
        requests = []
        for seed, label in enumerate([*labels] * _ROWS):
            h = engine.embed_labels(engine.draw_labels((label, *nothing), seed)) if spec.conditions else None
            requests.append(ImageStreamRequest(seed, h=h))
        write_sheet(pixels_of(engine.draw(requests), spec), len(labels), file)


@torch.no_grad()
def nats(
    model: nn.Module, images: NDArray[np.uint8], given: NDArray[np.int64] | None, device: torch.device
) -> Iterator[NDArray[np.float32]]:
    """-ln p of every sub-pixel, ``[B, H, W, C]``, batch by batch.

    Args:
        model: an image network.
        images: symbols.
        given: what the network is given beside each of them: labels, or a picture; None: nothing.
        device: that the model is on.
    """
    for start in range(0, len(images), _SCORED):
        symbols = torch.from_numpy(images[start : start + _SCORED].astype(np.int64)).to(device)
        part = None if given is None else torch.from_numpy(given[start : start + _SCORED]).to(device)
        logits = model(symbols, part)
        scores = F.cross_entropy(logits.flatten(0, 3), symbols.flatten(), reduction="none").view(symbols.shape)
        yield scores.cpu().numpy()


def likelihood(model: nn.Module, spec: ImageSpec, pictures: Pictures, device: torch.device) -> dict[str, float]:
    """Nats per picture and bits per sub-pixel (``bits_per_dim``); with conditions also ``…_unconditional``."""
    ways: dict[str, NDArray[np.int64] | None] = {"": pictures.labels if spec.conditions else None}
    if spec.conditions:
        ways["_unconditional"] = np.tile([len(names) for names in spec.conditions], (len(pictures.images), 1))
    figures = {}
    for way, labels in ways.items():
        total = sum(float(part.sum()) for part in nats(model, pictures.images, labels, device))
        figures[f"nats{way}"] = total / len(pictures.images)
        figures[f"bits_per_dim{way}"] = total / pictures.images.size / math.log(2)
    return figures


@torch.no_grad()
def edited_bits(model: nn.Module, pictures: Pictures, device: torch.device) -> float:
    """Bits per sub-pixel of regions of pictures, given the rest of each and its labels; the same regions every time."""
    kept = kept_pixels(np.random.default_rng(0), len(pictures.images), *pictures.images.shape[1:3])
    total = 0.0
    for start in range(0, len(kept), _SCORED):
        images, labels, shown = (
            torch.from_numpy(part[start : start + _SCORED]).to(device)
            for part in (pictures.images.astype(np.int64), pictures.labels, kept)
        )
        drawn = ~shown[..., None].expand_as(images)
        logits = model(images, labels, None, shown)[drawn]
        total += float(F.cross_entropy(logits, images[drawn], reduction="sum"))
    return float(total / math.log(2) / int((~kept).sum()) / pictures.images.shape[3])


# Training a PixelCNN that is conditioned on a picture: an autoencoder, or portraits (1606.05328, 3.4 and 3.3).

_SHOWN, _SAMPLES = 10, 4
"""Pictures of a sheet, and reconstructions of each."""


@dataclass(frozen=True)
class ReconstructionTask(ImageTask):
    """The network sees a picture as the vector h and has to predict it or, for portraits, another one of that person.

    The encoder of an autoencoder is trained with the decoder; that of portraits stays as it is.
    """

    spec: PixelCNNAutoencoderSpec
    encoder: Path | None = None
    """The checkpoint of the encoder, exactly for portraits."""

    @cached_property
    def pictures(self) -> PictureSet:
        """The pictures; portraits need identities.

        Raises:
            ValueError: portraits are to be trained on pictures without identities.
        """
        pictures = super().pictures
        if self.spec.portraits and pictures.train.identities is None:
            raise ValueError(f"{self.data}: identity_train is missing, which portraits need")
        return pictures

    def network(self) -> nn.Module:
        """The network to train; that of portraits has the given encoder, which is not trained.

        Raises:
            ValueError: ``start`` holds another network, or the encoder is missing, superfluous or another one.
        """
        network = super().network()
        assert isinstance(network, PixelCNNAutoencoder)
        if self.spec.portraits != (self.encoder is not None):
            raise ValueError("encoder: portraits need the checkpoint of one, and an autoencoder trains its own")
        if self._encoder is not None:
            _ = self._pairs
            load_weights(network.encoder, dict(self._encoder.tensors))
            network.encoder.requires_grad_(False)
        return network

    @cached_property
    def _encoder(self) -> Checkpoint | None:
        if self.encoder is None:
            return None
        found = load(self.encoder)
        require_spec(self.encoder, found.spec, self.spec.encoder)
        return found

    @cached_property
    def _pairs(self) -> IdentityBatches:
        """Batches in which the two pictures of a person lie beside each other."""
        if self.batch < 4 or self.batch % 2:
            raise ValueError(f"batch: must be even and at least 4, for pairs of pictures, not {self.batch}")
        first_two(self.pictures.valid.known_identities)
        return IdentityBatches(self.pictures.train.known_identities, self.batch // 2, 2, self.seed)

    def _batch(self, step: int, rank: int) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Pictures, and for portraits the pictures that h is of: of a pair, each is predicted from the other."""
        if not self.spec.portraits:
            return super()._batch(step, rank)
        symbols = self._symbols(self.pictures.train.images[self._pairs.batch(step, rank)], step, rank, 1)
        return symbols, symbols.view(-1, 2, *symbols.shape[1:]).flip(1).flatten(0, 1), None

    def pairs(self, pictures: Pictures, count: int | None) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Held-out pictures that h is of, and those that are to be predicted, as the model sees them."""
        seen = self.held_out(pictures, None if self.spec.portraits else count)
        if not self.spec.portraits:
            return seen.images, seen.images
        given, wanted = first_two(pictures.known_identities)
        chosen = spread(len(given), count)
        return seen.images[given[chosen]], seen.images[wanted[chosen]]

    @torch.no_grad()
    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Likelihood of validation pictures, in full precision: given themselves or, for portraits, the other one."""
        given, wanted = self.pairs(self.pictures.valid, _VALIDATED)
        total = sum(float(part.sum()) for part in nats(model, wanted, given.astype(np.int64), device))
        return {"valid_nats": total / len(wanted), "valid_bits_per_dim": total / wanted.size / math.log(2)}

    def _draw_sheet(self, checkpoint: Checkpoint, file: Path) -> None:
        """Reconstructions of validation pictures, or portraits, below each of them."""
        engine = load_image_engine("native", checkpoint)
        given, _ = self.pairs(self.pictures.valid, _SHOWN)
        metrics.write_rows(
            [pixels_of(one, self.spec) for one in (given, *metrics.reconstruct(engine, given, _SAMPLES))], file
        )
