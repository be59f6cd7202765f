"""What jobs that make or score pictures are to do; :mod:`ancestral.service.jobs.payload` says how payloads travel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from ancestral.catalog.models import ImageModel
from ancestral.images.drawing import (
    ClassDrawing,
    Completion,
    Drawing,
    Edit,
    Interpolation,
    Labels,
    Reconstruction,
    picture_recipe,
)
from ancestral.models.architectures.classifier import Shown
from ancestral.service.jobs.payload import Payload, SampledPayload


@dataclass(frozen=True, kw_only=True)
class PicturesPayload(Drawing, SampledPayload):
    """Pictures, and how a client gets them. The seed is that of the first one."""

    response_format: str
    token: str
    """The secret in the URLs of the pictures."""

    @property
    def excerpt(self) -> str | None:
        return self.prompt

    shown: tuple[Mapping[str, Shown], ...] = ()
    """What each of the pictures that are returned shows, by attribute; empty until they have been sampled, and of a
    model without a classifier."""

    def seed_of(self, index: int) -> int:
        return self.seeds[self.returned[index]]

    def recipe_of(self, model: ImageModel, index: int) -> dict[str, Any]:
        return picture_recipe(self, model, self.returned[index])

    def with_result(self, result: Mapping[str, Any] | None) -> Self:
        if result is None:
            return self
        shown = tuple({name: Shown(**value) for name, value in one.items()} for one in result["shown"])
        return replace(self, chosen=tuple(result["chosen"]), shown=shown)


@dataclass(frozen=True, kw_only=True)
class ImagePayload(ClassDrawing, PicturesPayload):
    """Pictures of a class."""

    n: int


@dataclass(frozen=True, kw_only=True)
class CompletionPayload(Completion, ImagePayload):
    """The rest of a picture; the symbols of its first rows are the job's upload."""

    @property
    def holds_upload(self) -> bool:
        return True


@dataclass(frozen=True, kw_only=True)
class EditPayload(Edit, ImagePayload):
    """A region of a picture, drawn anew; the picture and its mask are the job's upload."""

    @property
    def holds_upload(self) -> bool:
        return True


@dataclass(frozen=True, kw_only=True)
class ReconstructionPayload(Reconstruction, PicturesPayload):
    """Pictures of what another one shows; its symbols are the job's upload."""

    n: int


@dataclass(frozen=True, kw_only=True)
class InterpolationPayload(Interpolation, PicturesPayload):
    """Pictures between two ends, all from one seed."""

    @property
    def excerpt(self) -> str | None:
        ends = (self.begin, self.end)
        return " – ".join(end for end in ends if isinstance(end, str)) or None


@dataclass(frozen=True, kw_only=True)
class ImageLikelihoodPayload(Payload):
    """A picture to score; its symbols are the job's upload."""

    labels: Labels
    map: bool
    """Whether the answer shows the likelihood of every pixel."""
    white_bits: int
    """Bits per symbol that are white in that map."""
    palette_error: float | None
    """How far the picture's colours were from those of the palette, of a model with one."""


@dataclass(frozen=True, kw_only=True)
class EncodingPayload(Payload):
    """A picture whose vector is wanted; its symbols are the job's upload."""

    palette_error: float | None
    """How far the picture's colours were from those of the palette, of a model with one."""
