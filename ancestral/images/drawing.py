"""What is drawn: frozen dataclasses with everything that pictures and their files depend on, besides the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from ancestral.catalog.descriptions import ImageModel, Plan
from ancestral.catalog.seeds import seed_as_json
from ancestral_models.architectures.classifier import Shown
from ancestral_models.spec import ImageSpec


@dataclass(frozen=True)
class MaskedPicture:
    """A picture of which some pixels are kept."""

    symbols: NDArray[np.uint8]
    """``[H, W, C]``, 0 where they are not kept."""
    kept: NDArray[np.bool_]
    """``[H, W]``."""
    mask: str = ""
    """The mask as a file in base64, the same for all files that mean the same; of a request."""
    palette_error: float | None = None
    """How far the picture's colours were from those of the palette, of a model with one."""

    @classmethod
    def from_bytes(cls, data: NDArray[np.uint8], spec: ImageSpec) -> MaskedPicture:
        """The inverse of :attr:`data`."""
        symbols = data[: spec.dims].reshape(spec.height, spec.width, spec.channels)
        return cls(symbols, data[spec.dims :].reshape(spec.height, spec.width) != 0)

    @cached_property
    def data(self) -> NDArray[np.uint8]:
        """What a job has as its upload: the symbols, and for each pixel 1 if it is kept, else 0."""
        return np.concatenate([self.symbols.ravel(), self.kept.ravel().astype(np.uint8)])


MAX_BATCH: Final = 1000
"""Most pictures sampled in one batch."""
MAX_SIDE: Final = 4096
"""The largest side of a picture, in pixels, that is taken or sent."""


def multiple(spec: ImageSpec, width: int, height: int) -> int | None:
    """The side, in pixels, that one pixel of the model has in a picture of this size; None if it is not whole."""
    scale = width // spec.width
    return scale if scale > 0 and (width, height) == (scale * spec.width, scale * spec.height) else None


Label = int | tuple[float, ...] | None
"""The value of one attribute: an index, an embedding vector ``[condition_channels]``, or None for unconditional."""
Labels = tuple[Label, ...]
"""A label for each attribute of the model, in the order of ``spec.attributes``; of a model that draws from pictures,
the vector of one alone."""


def label_indices(labels: Labels) -> list[int | None]:
    """The labels that a prompt names."""
    return [label for label in labels if not isinstance(label, tuple)]


@dataclass(frozen=True, kw_only=True)
class Drawing(Plan):
    """Pictures that are sampled together, as one stream, and the form of their files."""

    seeds: tuple[int, ...]
    """One per picture."""
    temperature: float
    guidance: float
    style: str | None
    size: str
    """``WIDTHxHEIGHT`` of the files, in pixels."""
    scale: int
    """Side of the square, in pixels of the file, that one pixel of the model becomes."""
    fit: str | None
    """``pad`` if the file is larger than the picture in it."""
    output_format: str
    background: str
    """``opaque`` or ``transparent``."""
    response_format: str = "b64_json"
    token: str = ""
    """The secret in the URLs of the pictures."""
    palette: str | tuple[str, ...] | None = None
    """The palette that sampled pictures are converted to (catalog/palettes.py): a name, or colours like ``#00ff7f``."""
    prompt: str | None = None
    """What the pictures show, in the words of the request; None if it names nothing."""
    requested: tuple[Labels, ...] = ()
    """The labels that the request names, without those that seeds have drawn."""
    revised_prompts: tuple[str | None, ...] = ()
    """One per picture: the prompt with the names that the picture's seed has drawn, if it has drawn any."""
    prompt_sha256: str | None = None
    """Hash of the symbols that came with the request."""
    prompt_symbols: int = 0
    """Symbols of each picture that came with the request."""
    best_of: int = 1
    """Candidates that are sampled for each picture: all seeds, prompts and labels are those of candidates, picture by
    picture. Returned is the one of each that shows best what it was sampled for (:mod:`ancestral.images.sampler`)."""
    chosen: tuple[int, ...] = ()
    """The candidates that are returned, by index; empty as long as they have not been chosen."""
    palette_error: float | None = None
    """How far the colours of an upload were from those of the model's palette (models.spec.nearest_symbols)."""
    shown: tuple[Mapping[str, Shown], ...] = ()
    """What each of the pictures that are returned shows, by attribute; empty until they have been sampled, and of a
    model without a classifier."""

    @property
    def excerpt(self) -> str | None:
        return self.prompt

    @property
    def seed(self) -> int:
        """The seed of the request."""
        return self.seeds[0]

    def seed_of(self, index: int) -> int:
        """The seed of file ``index``."""
        return self.seeds[self.returned[index]]

    def with_result(self, result: Mapping[str, Any] | None) -> Self:
        """The drawing of a job that has ended with this result: what only sampling could decide is decided."""
        if result is None:
            return self
        shown = tuple({name: Shown(**value) for name, value in one.items()} for one in result["shown"])
        return replace(self, chosen=tuple(result["chosen"]), shown=shown)

    @property
    def count(self) -> int:
        """The number of pictures that are sampled."""
        return len(self.seeds)

    @property
    def file_count(self) -> int:
        """The number of files: one for each picture that is returned."""
        return self.count // self.best_of

    @property
    def returned(self) -> Sequence[int]:
        """The number of the sampled picture in each file; of candidates it is known once they are chosen."""
        return self.chosen if self.best_of > 1 else range(self.file_count)

    @property
    def image_tokens(self) -> int:
        """What the request is charged for its upload."""
        return self.prompt_symbols * self.count

    @property
    def text_tokens(self) -> int:
        """What the request is charged for its labels."""
        return sum(label is not None for labels in self.requested for label in labels)

    def recipe(self, index: int) -> dict[str, Any]:
        """What picture ``index`` depends on, besides the model, with the names of a request. Written into PNG files."""
        seed = seed_as_json(self.seeds[index])
        recipe: dict[str, Any] = {"seed": seed, "temperature": self.temperature, "guidance": self.guidance}
        if self.palette is not None:
            recipe["palette"] = self.palette
        return recipe if self.style is None else recipe | {"style": self.style}


@dataclass(frozen=True, kw_only=True)
class ClassDrawing(Drawing):
    """Pictures of a class, or of other attributes."""

    kind = "image"
    labels: tuple[Labels, ...]
    """One per picture, those that its seed has drawn included."""
    sheet: str | None = None
    """The name of a sheet of the model: its pictures show one thing in all frames, from one seed."""

    @property
    def file_count(self) -> int:
        """A sheet is one file."""
        return super().file_count if self.sheet is None else 1

    def recipe(self, index: int) -> dict[str, Any]:
        """The recipe of a sheet makes the whole sheet."""
        recipe = super().recipe(index) if self.sheet is None else {"sheet": self.sheet} | super().recipe(index)
        return recipe if self.prompt is None else {"prompt": self.prompt} | recipe


@dataclass(frozen=True, kw_only=True)
class Completion(ClassDrawing):
    """The rest of a picture; the symbols of its first rows come beside it."""

    kind = "completion"
    rows: int

    def recipe(self, index: int) -> dict[str, Any]:
        """The rows that were given are named by their hash alone."""
        return super().recipe(index) | {"rows": self.rows, "prompt_sha256": self.prompt_sha256}


@dataclass(frozen=True, kw_only=True)
class Edit(ClassDrawing):
    """A region of a picture, drawn anew; the symbols of the picture and the region come beside it (files.py)."""

    kind = "edit"
    mask: str
    """A PNG file in base64, as a request may have it: transparent where the picture is drawn anew."""

    def recipe(self, index: int) -> dict[str, Any]:
        """The picture is named by its hash alone."""
        return super().recipe(index) | {"mask": self.mask, "prompt_sha256": self.prompt_sha256}


@dataclass(frozen=True, kw_only=True)
class Reconstruction(Drawing):
    """Pictures of what another one shows; its symbols come beside it."""

    kind = "reconstruction"
    source_symbols: int

    @property
    def image_tokens(self) -> int:
        return self.source_symbols

    def recipe(self, index: int) -> dict[str, Any]:
        """The upload is named by its hash alone; there is no guidance."""
        recipe = super().recipe(index) | {"prompt_sha256": self.prompt_sha256}
        return {name: value for name, value in recipe.items() if name != "guidance"}


@dataclass(frozen=True, kw_only=True)
class Portrait(Reconstruction):
    """New pictures of the person on another one."""

    kind = "portrait"


@dataclass(frozen=True, kw_only=True)
class Interpolation(Drawing):
    """Pictures between two ends, all from one seed."""

    kind = "interpolation"
    begin: str | tuple[float, ...]
    end: str | tuple[float, ...]
    steps: int
    ends: tuple[Labels, Labels]

    def recipe(self, index: int) -> dict[str, Any]:
        return {"from": self.begin, "to": self.end, "steps": self.steps, "step": index} | super().recipe(index)

    @property
    def excerpt(self) -> str | None:
        return " – ".join(end for end in (self.begin, self.end) if isinstance(end, str)) or None


@dataclass(frozen=True, kw_only=True)
class PictureScore(Plan):
    """A picture to score, whose symbols are uploaded."""

    kind = "image_likelihood"
    labels: Labels
    map: bool
    """Whether the answer shows the likelihood of every pixel."""
    white_bits: int
    """Bits per symbol that are white in that map."""
    palette_error: float | None
    """How far the picture's colours were from those of the palette, of a model with one."""


@dataclass(frozen=True, kw_only=True)
class PictureEncoding(Plan):
    """A picture whose vector is wanted; its symbols are uploaded."""

    kind = "encoding"
    palette_error: float | None
    """As of :class:`PictureScore`."""


def picture_recipe(drawing: Drawing, model: ImageModel, index: int) -> dict[str, Any]:
    """What picture ``index`` is made from, as JSON values: the model and the fields of a request."""
    recipe = {"model": model.entry.id, "model_sha256": model.sha256, **drawing.recipe(index)}
    if model.spec.transparent:
        recipe["background"] = drawing.background
    for field in {"prompt", "style", "from", "to"} & recipe.keys():
        if isinstance(recipe[field], str):
            recipe[field] = model.canonical(recipe[field])
    return recipe
