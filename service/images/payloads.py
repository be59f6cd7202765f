"""What jobs that make or score pictures are to do; :mod:`ancestral.service.jobs.payload` says how payloads travel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ancestral.service.jobs.payload import Payload, SampledPayload

Label = int | tuple[float, ...] | None
"""The value of one attribute: an index, an embedding vector ``[condition_channels]``, or None for unconditional."""
Labels = tuple[Label, ...]
"""A label for each attribute of the model, in the order of ``spec.attributes``; of a model that draws from pictures,
the vector of one alone."""


@dataclass(frozen=True, kw_only=True)
class PicturesPayload(SampledPayload):
    """Pictures in one format; they are sampled together, as one stream."""

    guidance: float
    style: str | None
    size: str
    """``WIDTHxHEIGHT`` of the files, in pixels."""
    scale: int
    """Side of the square, in pixels of the file, that one pixel of the model becomes."""
    fit: str | None
    """``pad`` if the file is larger than the picture in it."""
    response_format: str
    output_format: str
    background: str
    """``opaque`` or ``transparent``."""
    token: str
    """The secret in the URLs of the pictures."""
    seeds: tuple[int, ...]
    """One per picture."""

    def drawn_size(self, width: int, height: int) -> str | None:
        """``WIDTHxHEIGHT`` of the picture in a padded file, of a model of this size; None if the file has no edge."""
        return f"{width * self.scale}x{height * self.scale}" if self.fit == "pad" else None

    @property
    def count(self) -> int:
        """The number of pictures."""
        return len(self.seeds)

    @property
    def subject(self) -> str | None:
        """What the pictures show, in the words of the request; None if it names nothing."""
        return None

    @property
    def told(self) -> tuple[str | None, ...]:
        """For each picture the prompt with the names that its seed has drawn; None where nothing was drawn."""
        return (None,) * self.count

    @property
    def requested_labels(self) -> tuple[Labels, ...]:
        """The labels that the request names, without those that seeds have drawn."""
        raise NotImplementedError

    @property
    def distance(self) -> float | None:
        """How far the colours of an upload were from those of the palette; None without either."""
        return None

    def recipe(self, index: int) -> dict[str, Any]:
        """What picture ``index`` depends on, besides the model, with the names of a request. Written into PNG files."""
        recipe: dict[str, Any] = {"seed": self.seeds[index], "temperature": self.temperature, "guidance": self.guidance}
        if self.background == "transparent":
            recipe["background"] = self.background
        return recipe if self.style is None else recipe | {"style": self.style}

    @property
    def prompt_symbols(self) -> int:
        """Symbols per picture that came with the request."""
        return 0

    @property
    def image_tokens(self) -> int:
        """What the request is charged for its upload."""
        return self.prompt_symbols * self.count

    @property
    def text_tokens(self) -> int:
        """What the request is charged for its labels."""
        return sum(label is not None for labels in self.requested_labels for label in labels)


@dataclass(frozen=True, kw_only=True)
class ImagePayload(PicturesPayload):
    """Pictures of a class."""

    prompt: str | None
    asked_class: str | None
    n: int
    labels: tuple[Labels, ...]
    """One per picture, those that its seed has drawn included."""
    requested: Labels
    """Those that the request names."""
    revised_prompts: tuple[str | None, ...]
    """One per picture: the prompt with the names that the picture's seed has drawn, if it has drawn any."""

    @property
    def subject(self) -> str | None:
        """See :class:`PicturesPayload`."""
        return self.asked_class if self.prompt is None else self.prompt

    @property
    def told(self) -> tuple[str | None, ...]:
        """See :class:`PicturesPayload`."""
        return self.revised_prompts

    def recipe(self, index: int) -> dict[str, Any]:
        """See :class:`PicturesPayload`."""
        prompt = self.subject
        return super().recipe(index) if prompt is None else {"prompt": prompt} | super().recipe(index)

    @property
    def requested_labels(self) -> tuple[Labels, ...]:
        """See :class:`PicturesPayload`."""
        return (self.requested,)


@dataclass(frozen=True, kw_only=True)
class CompletionPayload(ImagePayload):
    """The rest of a picture; the symbols of its first rows are the job's upload."""

    rows: int
    row_symbols: int
    """Symbols per row."""
    palette_distance: float | None
    """Of the whole upload (ancestral.models.palette.nearest_symbols), of a model with a palette."""

    @property
    def distance(self) -> float | None:
        """See :class:`PicturesPayload`."""
        return self.palette_distance

    @property
    def prompt_symbols(self) -> int:
        """See :class:`PicturesPayload`."""
        return self.rows * self.row_symbols

    def recipe(self, index: int) -> dict[str, Any]:
        """See :class:`PicturesPayload`. The rows that were given are named by their hash alone."""
        return super().recipe(index) | {"rows": self.rows, "prompt_sha256": self.prompt_sha256}


@dataclass(frozen=True, kw_only=True)
class ReconstructionPayload(PicturesPayload):
    """Pictures of what another one shows; its symbols are the job's upload."""

    n: int
    source_symbols: int
    """Of the upload."""
    palette_distance: float | None
    """Of the upload (ancestral.models.palette.nearest_symbols), of a model with a palette."""

    @property
    def distance(self) -> float | None:
        """See :class:`PicturesPayload`."""
        return self.palette_distance

    @property
    def requested_labels(self) -> tuple[Labels, ...]:
        """See :class:`PicturesPayload`: none."""
        return ()

    @property
    def image_tokens(self) -> int:
        """See :class:`PicturesPayload`."""
        return self.source_symbols

    def recipe(self, index: int) -> dict[str, Any]:
        """See :class:`PicturesPayload`. The upload is named by its hash alone; there is no guidance."""
        recipe = super().recipe(index) | {"prompt_sha256": self.prompt_sha256}
        return {name: value for name, value in recipe.items() if name != "guidance"}


@dataclass(frozen=True, kw_only=True)
class InterpolationPayload(PicturesPayload):
    """Pictures between two ends, all from one seed."""

    begin: str | tuple[float, ...]
    end: str | tuple[float, ...]
    steps: int
    ends: tuple[Labels, Labels]

    @property
    def subject(self) -> str | None:
        """See :class:`PicturesPayload`."""
        return "-to-".join(end if isinstance(end, str) else "embedding" for end in (self.begin, self.end))

    @property
    def requested_labels(self) -> tuple[Labels, ...]:
        """See :class:`PicturesPayload`."""
        return self.ends

    def recipe(self, index: int) -> dict[str, Any]:
        """See :class:`PicturesPayload`."""
        return {"from": self.begin, "to": self.end, "steps": self.steps, "step": index} | super().recipe(index)


@dataclass(frozen=True, kw_only=True)
class ImageLikelihoodPayload(Payload):
    """A picture to score; its symbols are the job's upload."""

    labels: Labels
    map: bool
    """Whether the answer shows the likelihood of every pixel."""
    white_bits: int
    """Bits per symbol that are white in that map."""
    palette_distance: float | None
    """How far the picture's colours were from those of the palette, of a model with one."""


@dataclass(frozen=True, kw_only=True)
class EncodingPayload(Payload):
    """A picture whose vector is wanted; its symbols are the job's upload."""

    palette_distance: float | None
    """How far the picture's colours were from those of the palette, of a model with one."""
