"""What every request for pictures may say besides what they show, and what that comes to for a model: seeds, sizes,
backgrounds. Whatever can be refused is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ancestral.catalog.models import ImageModel
from ancestral.catalog.seeds import part_seed, seed_or_drawn
from ancestral.errors import InvalidRequest, check_choice, check_range, check_type
from ancestral.images.palettes import check_palette
from ancestral.images.sizes import MAX_SIDE, multiple
from ancestral.models.entries import MAX_BEST_OF, MAX_GUIDANCE, MAX_TEMPERATURE
from ancestral.models.spec import STYLE

_SIZE: Final = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")
MAX_PICTURES: Final = 1000
"""Most pictures sampled in one batch."""


@dataclass(frozen=True, kw_only=True)
class DrawOptions:
    """What every request for pictures may say. The defaults are the model's own."""

    seed: int | str | None = None
    """A number, or a text such as a name (:func:`ancestral.catalog.seeds.seed_of_text`); drawn if None."""
    temperature: float | None = None
    guidance: float | None = None
    """Classifier-free guidance; class-conditional models only."""
    style: str | None = None
    """Class-conditional models only."""
    size: str | None = None
    """``WIDTHxHEIGHT`` of the files: a whole multiple of the model's own size, which is the default."""
    pad: bool = False
    """Whether the picture may be smaller than the file."""
    output_format: str = "png"
    """``png``, ``webp`` or ``jpeg``."""
    background: str = "auto"
    """``transparent``, ``opaque``, or ``auto``: transparent where model and format allow it."""
    palette: str | Path | Sequence[str] | None = None
    """A name of :data:`ancestral.images.palettes.PALETTES`, a .gpl or .hex file, or colours like ``#00ff7f`` to convert
    the pictures to; None leaves them as they were sampled."""
    best_of: int = 1
    """Candidates of each picture of classes, of a model with a classifier; see :attr:`Drawing.best_of`."""

    def seeds(self, count: int) -> tuple[int, ...]:
        """A seed for every candidate of every picture; the first one has the request's own."""
        check_range("n", count, 1, MAX_PICTURES)
        check_range("best_of", self.best_of, 1, MAX_BEST_OF)
        check_range("best_of", count * self.best_of, 1, MAX_PICTURES)
        seed = seed_or_drawn(self.seed)
        return tuple(part_seed(seed, index) for index in range(count * self.best_of))

    def one_seed(self) -> int:
        """The seed that all pictures of a sheet or an interpolation share."""
        if self.best_of > 1:
            message = "best_of: not for pictures that share a seed"
            raise InvalidRequest(message, param="best_of", code="invalid_value")
        return self.seeds(1)[0]


def shared_fields(model: ImageModel, options: DrawOptions, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The fields of every :class:`~ancestral.images.drawing.Drawing`.

    Raises:
        InvalidRequest: the model cannot do what an option says; ``param`` names it.
    """
    check_range("temperature", 1.0 if options.temperature is None else options.temperature, 0.0, MAX_TEMPERATURE)
    check_range("guidance", 1.0 if options.guidance is None else options.guidance, 0.0, MAX_GUIDANCE)
    require_classifier(model.entry.id, options.best_of, classified=model.classified)
    scale, padded = _scale(model, options.size, pad=options.pad)
    return {
        "seeds": seeds,
        "temperature": model.entry.temperature if options.temperature is None else options.temperature,
        "guidance": _guidance(model, options.guidance),
        "style": options.style,
        "size": options.size if padded else f"{model.spec.width * scale}x{model.spec.height * scale}",
        "scale": scale,
        "fit": "pad" if padded else None,
        "output_format": options.output_format,
        "background": _background(model, options),
        "palette": None if options.palette is None else check_palette(options.palette),
        "best_of": options.best_of,
    }


def has_classes(model: ImageModel) -> bool:
    """Whether the model has another attribute than the style."""
    return any(name != STYLE for name in model.spec.named)


def require_classifier(model_id: str, best_of: int, *, classified: bool) -> None:
    """Raise :class:`InvalidRequest` if there are candidates, and no classifier to choose among them."""
    if best_of > 1 and not classified:
        message = f"best_of: {model_id} has no classifier to tell the best by"
        raise InvalidRequest(message, param="best_of", code="model_not_capable")


def _background(model: ImageModel, options: DrawOptions) -> str:
    """``opaque`` or ``transparent``."""
    check_choice("background", options.background, ("auto", "transparent", "opaque"))
    able = model.spec.transparent and options.output_format != "jpeg"
    if options.background == "transparent" and not able:
        what = f"{model.entry.id} has no transparent colour" if not model.spec.transparent else "jpeg has none"
        message = f"background: transparent is not possible, because {what}"
        raise InvalidRequest(
            message, param="background", code="model_not_capable" if not model.spec.transparent else "conflict"
        )
    return "transparent" if able and options.background != "opaque" else "opaque"


def _guidance(model: ImageModel, guidance: float | None) -> float:
    if not has_classes(model):
        if guidance not in (None, 1.0):
            message = f"guidance: {model.entry.id} has no classes to tell apart"
            raise InvalidRequest(message, param="guidance", code="model_not_capable")
        return 1.0
    return model.entry.guidance if guidance is None else guidance


def _scale(model: ImageModel, size: str | None, *, pad: bool) -> tuple[int, bool]:
    """The side of the square, in pixels, that a pixel of the model becomes, and whether the file is padded.

    Args:
        model: draws the picture.
        size: of the file, as requested.
        pad: whether the picture may be smaller than the file.

    Raises:
        InvalidRequest: the size is too large, or too small, or it is not a multiple of the model's and is not padded.
    """
    if size in (None, "auto"):
        return 1, False
    check_type("size", size, str, "WIDTHxHEIGHT")
    if not (sides := _SIZE.fullmatch(str(size))):
        raise InvalidRequest(f"size: must be WIDTHxHEIGHT, not {size!r:.40}", param="size", code="invalid_size")
    width, height = map(int, sides.groups())
    spec = model.spec
    scale = multiple(spec, width, height)
    largest = min(width // spec.width, height // spec.height)
    if pad and scale is None and largest and max(width, height) <= MAX_SIDE:
        return largest, True
    if scale is None or max(width, height) > MAX_SIDE:
        near = max(1, min(round(width / spec.width), MAX_SIDE // max(spec.width, spec.height)))
        message = (
            f"size: {model.entry.id} draws {model.size}, and nothing smaller; a multiple up to {MAX_SIDE} is made "
            f"with larger pixels, like {near * spec.width}x{near * spec.height}"
        )
        raise InvalidRequest(message, param="size", code="invalid_size")
    return scale, False
