"""A model of pictures with its weights: drawings to batches of pictures. Synchronous, no I/O."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ancestral.catalog.descriptions import ImageModel, Part, Sampler
from ancestral.images.drawing import ClassDrawing, Drawing, Interpolation, Label, Labels, MaskedPicture, Reconstruction
from ancestral.images.drawing import Edit as EditDrawing
from ancestral.images.planning import require_classifier
from ancestral_models.architectures.classifier import Shown
from ancestral_models.classification import PictureClassifier
from ancestral_models.engines.base import probe_symbols
from ancestral_models.engines.images.engine import BatchEngine, BatchRequest, Edit, ImageBatch, ImageStreamRequest
from ancestral_models.spec import STYLE

# The exact likelihood of a picture (equation 1 of 1601.06759), in total and by pixel.


def report(scores: NDArray[np.float64]) -> dict[str, Any]:
    """What ``POST /v1/images/likelihood`` says of ln p of every sub-pixel ``[1, H, W, C]``."""
    bits = -scores[0] / math.log(2.0)
    return {
        "bits_per_dim": round(float(bits.mean()), 6),
        "nats": round(float(-scores.sum()), 3),
        "dims": bits.size,
        "bits": [[round(float(pixel), 3) for pixel in row] for row in bits.sum(axis=2)],
    }


# What pictures show, by the classifier of their model, and which candidate shows best what it was sampled for.


@dataclass(frozen=True)
class Judgement:
    """The pictures of a drawing that are returned."""

    chosen: tuple[int, ...]
    """Indices of these pictures among all that were sampled."""
    shown: tuple[dict[str, Shown], ...]

    def of(self, drawing: ClassDrawing) -> ClassDrawing:
        """The drawing of the pictures that are returned alone."""
        return replace(
            drawing,
            best_of=1,
            seeds=tuple(drawing.seeds[index] for index in self.chosen),
            labels=tuple(drawing.labels[index] for index in self.chosen),
            revised_prompts=tuple(drawing.revised_prompts[index] for index in self.chosen),
        )


def judge(classifier: PictureClassifier, drawing: ClassDrawing, symbols: NDArray[np.uint8]) -> Judgement:
    """Choose among candidates, and say what those that are chosen show.

    Of the ``drawing.best_of`` candidates of a picture the one is chosen whose labels, those that its seed has drawn
    included, are the most probable together by the classifier; of equal ones, and where nothing was named, the first.

    Args:
        classifier: of the model.
        drawing: that was sampled.
        symbols: of all its pictures ``[N, H, W, C]``.
    """
    logs = classifier.log_probabilities(symbols)
    scores = [
        sum(float(part[row, label]) for part, label in zip(logs, labels, strict=True) if isinstance(label, int))
        for row, labels in enumerate(drawing.labels)
    ]
    groups = np.array(scores).reshape(-1, drawing.best_of)
    chosen = tuple(int(index) for index in groups.argmax(axis=1) + np.arange(len(groups)) * drawing.best_of)
    names = [name for name, _ in classifier.spec.attributes]
    shown = [dict(zip(names, values, strict=True)) for values in classifier.shown_by(logs)]
    return Judgement(chosen, tuple(shown[index] for index in chosen))


_Conditions = tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]
_NO_PROMPT: Final = np.zeros(0, np.uint8)


@dataclass(frozen=True)
class ImageSampler(Sampler):
    """A model of pictures."""

    model: ImageModel
    engine: BatchEngine
    classifier: PictureClassifier | None = None
    """Says what pictures show; None of a model without one."""

    def part(self, drawing: Drawing, upload: NDArray[np.uint8] | None = None) -> Part:
        """The part that a drawing consists of.

        Args:
            drawing: what to draw.
            upload: symbols: of the rows that are kept, ``[rows * W * C]``; or of the picture that others are drawn
                from, ``[H * W * C]``; or a picture and its mask (files.py).
        """
        given, edit = None, None
        if isinstance(drawing, Reconstruction):
            assert upload is not None
            conditions: list[_Conditions] = [(self.encode(upload), None)] * drawing.count
        else:
            if upload is not None:
                given, edit = self._kept(drawing, upload)
            conditions = self._conditions(drawing)
        pictures = [
            ImageStreamRequest(
                seed, drawing.temperature, h, given, 1.0 if free is None else drawing.guidance, free, edit
            )
            for seed, (h, free) in zip(drawing.seeds, conditions, strict=True)
        ]
        return Part(self.engine.request(pictures), _NO_PROMPT)

    def _kept(self, drawing: Drawing, upload: NDArray[np.uint8]) -> tuple[NDArray[np.uint8] | None, Edit | None]:
        """The first rows that are given, or what an edit keeps. A completion is an edit, for a model that draws edits:
        so the coarse pixels are drawn given all of the rows, too."""
        spec = self.model.spec
        if isinstance(drawing, EditDrawing):
            masked = MaskedPicture.from_bytes(upload, spec)
            return None, Edit(masked.symbols, masked.kept)
        rows = upload.reshape(-1, spec.width, spec.channels)
        if not spec.draws_edits:
            return rows, None
        picture = np.zeros((spec.height, spec.width, spec.channels), np.uint8)
        picture[: len(rows)] = rows
        return None, Edit(picture, np.repeat(np.arange(spec.height) < len(rows), spec.width).reshape(picture.shape[:2]))

    def encode(self, symbols: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The vector h of a picture ``[H * W * C]``, of a model that draws from pictures."""
        spec = self.model.spec
        return self.engine.pictures.encode(symbols.reshape(spec.height, spec.width, spec.channels))

    def embed(self, labels: Labels) -> NDArray[np.float32] | None:
        """The conditioning vector h of these labels; None for a model without conditions."""
        if self.model.spec.encoder is not None:
            (vector,) = labels
            return np.array(vector, np.float32)
        if not self.model.spec.conditions:
            return None
        return self.engine.pictures.embed_labels([_array(label) for label in labels])

    def score(self, picture: NDArray[np.uint8], labels: Labels) -> NDArray[np.float64]:
        """ln p of every sub-pixel of a picture ``[1, H, W, C]``, given its labels or its own vector.

        Args:
            picture: the symbols.
            labels: of the picture.
        """
        h = self.embed(labels) if self.model.spec.encoder is None else self.encode(picture)
        return self.engine.pictures.score(picture, None if h is None else h[None])

    def judge(self, drawing: Drawing, symbols: NDArray[np.uint8]) -> Judgement | None:
        """Which of the pictures ``[N, H, W, C]`` are returned, and what they show.

        Returns:
            None for a model without a classifier, and for pictures that are not of classes.

        Raises:
            InvalidRequest: there are candidates, and no classifier to choose among them.
        """
        require_classifier(self.model.entry.id, drawing.best_of, classified=self.classifier is not None)
        if self.classifier is None or not isinstance(drawing, ClassDrawing):
            return None
        return judge(self.classifier, drawing, symbols)

    def request(self, labels: Labels, temperature: float, guidance: float) -> ImageStreamRequest:
        """How a picture with these labels is sampled, but for its seed."""
        free = self._style(labels) if self._guided(guidance, labels) else None
        return ImageStreamRequest(0, temperature, self.embed(labels), None, 1.0 if free is None else guidance, free)

    def _conditions(self, drawing: Drawing) -> list[_Conditions]:
        """h of every picture, and h of its unconditional pass."""
        if isinstance(drawing, ClassDrawing):
            return [
                (self.embed(labels), self._style(labels) if self._guided(drawing.guidance, labels) else None)
                for labels in drawing.labels
            ]
        assert isinstance(drawing, Interpolation)
        guided = any(self._guided(drawing.guidance, labels) for labels in drawing.ends)
        begin, end = (self.embed(labels) for labels in drawing.ends)
        begin_free, end_free = (self._style(labels) if guided else None for labels in drawing.ends)
        shares = np.linspace(0.0, 1.0, drawing.count)
        return [
            (_between(begin, end, share), _between(begin_free, end_free, share) if guided else None) for share in shares
        ]

    def _guided(self, guidance: float, labels: Labels) -> bool:
        """Whether guidance has an effect: the labels say more than the style."""
        named = zip(self.model.spec.named, labels, strict=True)
        return guidance != 1.0 and any(label is not None for name, label in named if name != STYLE)

    def _style(self, labels: Labels) -> NDArray[np.float32]:
        """h of the unconditional pass."""
        return self.engine.pictures.unconditional([_array(label) for label in labels])

    def open(self, part: Part) -> ImageBatch:
        return self.engine.open(batch_of(part))

    def restore(self, part: Part, state: bytes) -> ImageBatch:
        return self.engine.restore(batch_of(part), state)

    def warm(self) -> str:
        spec, pictures = self.model.spec, self.engine.pictures
        encoded = b"" if spec.encoder is None else self.encode(probe_symbols(spec.dims, spec.levels)).tobytes()
        h = np.zeros(spec.condition_channels, np.float32) if spec.conditioned else None
        (row,) = self.engine.step([self.engine.open(self.engine.request([ImageStreamRequest(0, h=h)]))], 1)
        return hashlib.sha256(pictures.probe() + encoded + row.tobytes()).hexdigest()


def _between(begin: NDArray[np.float32] | None, end: NDArray[np.float32] | None, share: float) -> NDArray[np.float32]:
    """The vector at this share of the way; one that both ends have in common is left exactly as it is."""
    assert begin is not None
    assert end is not None
    if np.array_equal(begin, end):
        return begin
    return np.asarray(begin * (1.0 - share) + end * share, np.float32)


def _array(label: Label) -> int | NDArray[np.float32] | None:
    return np.array(label, np.float32) if isinstance(label, tuple) else label


def batch_of(part: Part) -> BatchRequest:
    """The request for pictures that a part of a drawing has."""
    assert isinstance(part.request, BatchRequest)
    return part.request
