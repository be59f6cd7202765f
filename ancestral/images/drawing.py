"""What is drawn: frozen dataclasses with everything that pictures and their files depend on, besides the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Label = int | tuple[float, ...] | None
"""The value of one attribute: an index, an embedding vector ``[condition_channels]``, or None for unconditional."""
Labels = tuple[Label, ...]
"""A label for each attribute of the model, in the order of ``spec.attributes``; of a model that draws from pictures,
the vector of one alone."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
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
    palette: str | tuple[str, ...] | None = None
    """The palette that sampled pictures are converted to (images/palettes.py): a name, or colours like ``#00ff7f``."""
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
    picture. Returned is the one of each that shows best what it was sampled for (:mod:`ancestral.images.judging`)."""
    chosen: tuple[int, ...] = ()
    """The candidates that are returned, by index; empty as long as they have not been chosen."""
    palette_error: float | None = None
    """How far the colours of an upload were from those of the model's palette (models.palette.nearest_symbols)."""

    def drawn_size(self, width: int, height: int) -> str | None:
        """``WIDTHxHEIGHT`` of the picture in a padded file, of a model of this size; None if the file has no edge."""
        return f"{width * self.scale}x{height * self.scale}" if self.fit == "pad" else None

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
        recipe: dict[str, Any] = {"seed": self.seeds[index], "temperature": self.temperature, "guidance": self.guidance}
        if self.background == "transparent":
            recipe["background"] = self.background
        if self.palette is not None:
            recipe["palette"] = self.palette
        return recipe if self.style is None else recipe | {"style": self.style}


@dataclass(frozen=True, kw_only=True)
class ClassDrawing(Drawing):
    """Pictures of a class, or of other attributes."""

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

    rows: int

    def recipe(self, index: int) -> dict[str, Any]:
        """The rows that were given are named by their hash alone."""
        return super().recipe(index) | {"rows": self.rows, "prompt_sha256": self.prompt_sha256}


@dataclass(frozen=True, kw_only=True)
class Edit(ClassDrawing):
    """A region of a picture, drawn anew; the symbols of the picture and the region come beside it (masks.py)."""

    mask: str
    """A PNG file in base64, as a request may have it: transparent where the picture is drawn anew."""

    def recipe(self, index: int) -> dict[str, Any]:
        """The picture is named by its hash alone."""
        return super().recipe(index) | {"mask": self.mask, "prompt_sha256": self.prompt_sha256}


@dataclass(frozen=True, kw_only=True)
class Reconstruction(Drawing):
    """Pictures of what another one shows; its symbols come beside it."""

    source_symbols: int

    @property
    def image_tokens(self) -> int:
        return self.source_symbols

    def recipe(self, index: int) -> dict[str, Any]:
        """The upload is named by its hash alone; there is no guidance."""
        recipe = super().recipe(index) | {"prompt_sha256": self.prompt_sha256}
        return {name: value for name, value in recipe.items() if name != "guidance"}


@dataclass(frozen=True, kw_only=True)
class Interpolation(Drawing):
    """Pictures between two ends, all from one seed."""

    begin: str | tuple[float, ...]
    end: str | tuple[float, ...]
    steps: int
    ends: tuple[Labels, Labels]

    def recipe(self, index: int) -> dict[str, Any]:
        return {"from": self.begin, "to": self.end, "steps": self.steps, "step": index} | super().recipe(index)
