"""From a request for pictures to what is drawn: seeds, sizes, backgrounds, labels, and the labels that seeds draw.

Whatever can be refused is refused here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ancestral.catalog.descriptions import ImageModel
from ancestral.catalog.palettes import check_palette
from ancestral.catalog.seeds import part_seed, seed_or_drawn
from ancestral.errors import InvalidRequest, check_range, check_type
from ancestral.images.drawing import (
    MAX_BATCH,
    MAX_SIDE,
    ClassDrawing,
    Completion,
    Edit,
    Interpolation,
    Label,
    Labels,
    MaskedPicture,
    Portrait,
    Reconstruction,
    label_indices,
    multiple,
)
from ancestral_models.conditioning import draw_labels
from ancestral_models.entries import MAX_NUMBER
from ancestral_models.spec import STYLE

if TYPE_CHECKING:
    from ancestral.requests import Draw


def _seeds(request: Draw, count: int) -> tuple[int, ...]:
    """A seed for every candidate of every picture; the first one has the request's own."""
    check_range("n", count, 1, MAX_BATCH)
    check_range("best_of", count * request.best_of, 1, MAX_BATCH)
    seed = seed_or_drawn(request.seed)
    return tuple(part_seed(seed, index) for index in range(count * request.best_of))


def _one_seed(request: Draw) -> int:
    """The seed that all pictures of a sheet or an interpolation share."""
    _refuse_candidates(request, "that share a seed")
    return seed_or_drawn(request.seed)


def _refuse_candidates(request: Draw, what: str) -> None:
    if request.best_of > 1:
        raise InvalidRequest(f"best_of: not for pictures {what}", param="best_of", code="invalid_value")


def shared_fields(model: ImageModel, options: Draw, seeds: tuple[int, ...], *, kept: bool = False) -> dict[str, Any]:
    """The fields of every :class:`~ancestral.images.drawing.Drawing`.

    Args:
        model: that draws.
        options: of the request.
        seeds: of the pictures.
        kept: whether a part of a picture is kept: such requests name few attributes, and guidance has another default.

    Raises:
        InvalidRequest: the model cannot do what an option says; ``param`` names it.
    """
    require_classifier(model.entry.id, options.best_of, classified=model.classified)
    scale, padded = _scale(model, options.size, pad=options.fit == "pad")
    return {
        "seeds": seeds,
        "temperature": model.entry.temperature if options.temperature is None else options.temperature,
        "guidance": _guidance(model, options.guidance, kept=kept),
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


def _background(model: ImageModel, options: Draw) -> str:
    """``opaque`` or ``transparent``."""
    able = model.spec.transparent and options.output_format != "jpeg"
    if options.background == "transparent" and not able:
        what, code = "jpeg has none", "conflict"
        if not model.spec.transparent:
            what, code = f"{model.entry.id} has no transparent colour", "model_not_capable"
        message = f"background: transparent is not possible, because {what}"
        raise InvalidRequest(message, param="background", code=code)
    return "transparent" if able and options.background != "opaque" else "opaque"


def _guidance(model: ImageModel, guidance: float | None, *, kept: bool) -> float:
    if not has_classes(model):
        if guidance not in (None, 1.0):
            message = f"guidance: {model.entry.id} has no classes to tell apart"
            raise InvalidRequest(message, param="guidance", code="model_not_capable")
        return 1.0
    if guidance is not None:
        return guidance
    return model.entry.edit_guidance if kept else model.entry.guidance


def _scale(model: ImageModel, size: str | None, *, pad: bool) -> tuple[int, bool]:
    """The side of the square, in pixels, that a pixel of the model becomes, and whether the file is padded.

    Args:
        model: draws the picture.
        size: of the file, as requested.
        pad: whether the picture may be smaller than the file.

    Raises:
        InvalidRequest: the size is too large, or too small, or it is not a multiple of the model's and is not padded.
    """
    if size is None or size == "auto":
        return 1, False
    width, height = map(int, size.split("x"))
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


def class_drawing(
    model: ImageModel, prompt: str | None, count: int, options: Draw, param: str = "prompt"
) -> ClassDrawing:
    """Pictures of a class, or of other attributes.

    Args:
        model: that draws.
        prompt: names of values of its attributes, separated by commas; None for a model without any.
        count: of the pictures that are returned.
        options: of the request.
        param: the name of ``prompt``, for errors.

    Raises:
        InvalidRequest: the model cannot draw this; ``param`` names the field.
    """
    fields, named_style = _as_named(model, prompt, count, options, param), options.style is not None
    (labels,) = fields["requested"]
    resolved = [_drawn(model, labels, seed, named_style=named_style) for seed in fields["seeds"]]
    fields["labels"], fields["revised_prompts"] = zip(*resolved, strict=True)
    return ClassDrawing(**fields)


def sheet_drawing(
    model: ImageModel, name: str, prompt: str | None, options: Draw, param: str = "prompt"
) -> ClassDrawing:
    """A sheet of the model: one thing in all directions and frames, from one seed; as :func:`class_drawing`.

    Args:
        model: that draws.
        name: of the sheet.
        prompt: as for :func:`class_drawing`. What it does not name is drawn once by the seed, for all pictures.
        options: of the request.
        param: as for :func:`class_drawing`.
    """
    _check_sheet(model, name)
    frames, attributes = model.sheet_labels[name], tuple(model.spec.named)
    requested = label_indices(requested_labels(model, prompt, options.style, param))
    seed = _one_seed(options)
    of_frames = model.sheet_attributes[name]
    for attribute, label in zip(attributes, requested, strict=True):
        if label is not None and attribute in of_frames:
            message = f"{param}: the sheet {name!r} has pictures of more than one {attribute}, so none can be named"
            raise InvalidRequest(message, param=param, code="conflict")
    same = draw_labels(model.spec, model.label_rows, requested, seed)
    shared = [None if name in of_frames else label for name, label in zip(attributes, same, strict=True)]
    values = [[frame.get(attribute) for attribute in attributes] for frame in frames]
    labels = [[old if new is None else new for old, new in zip(same, row, strict=True)] for row in values]
    return ClassDrawing(
        **shared_fields(model, options, (seed,) * len(frames)),
        prompt=prompt,
        labels=tuple(map(tuple, labels)),
        requested=(tuple(requested),),
        revised_prompts=(model.names(shared, style=options.style is None) or None,) * len(frames),
        sheet=name,
    )


def _check_sheet(model: ImageModel, name: str) -> None:
    known = model.entry.sheets
    if not known:
        message = f"sheet: {model.entry.id} has no sheets of its own"
        raise InvalidRequest(message, param="sheet", code="model_not_capable")
    if name not in known:
        message = f"sheet: {model.entry.id} has no sheet {name!r:.80}; it has {', '.join(known)}"
        raise InvalidRequest(message, param="sheet", code="invalid_value")


def completion(
    model: ImageModel,
    rows: NDArray[np.uint8],
    palette_error: float | None,
    prompt: str | None,
    count: int,
    options: Draw,
    param: str = "prompt",
) -> Completion:
    """The rest of a picture; as :func:`class_drawing`.

    Args:
        model: that draws.
        rows: symbols that are kept ``[rows, W, C]``.
        palette_error: of the picture that they are from.
        prompt: as for :func:`class_drawing`. Of what is not named anything may follow.
        count: of the pictures.
        options: of the request.
        param: as for :func:`class_drawing`.
    """
    return Completion(
        **_as_named(model, prompt, count, options, param, kept=True),
        rows=len(rows),
        palette_error=palette_error,
        prompt_symbols=rows.size,
        prompt_sha256=hashlib.sha256(rows.tobytes()).hexdigest(),
    )


def _as_named(
    model: ImageModel, prompt: str | None, count: int, options: Draw, param: str, *, kept: bool = False
) -> dict[str, Any]:
    """The fields of a :class:`ClassDrawing` whose seeds draw no labels."""
    labels, seeds = requested_labels(model, prompt, options.style, param), _seeds(options, count)
    return shared_fields(model, options, seeds, kept=kept) | {
        "prompt": prompt if model.spec.named else None,
        "labels": (labels,) * len(seeds),
        "requested": (labels,),
        "revised_prompts": (None,) * len(seeds),
    }


def edit(
    model: ImageModel, masked: MaskedPicture, prompt: str | None, count: int, options: Draw, param: str = "prompt"
) -> Edit:
    """A region of a picture, drawn anew; arguments as of :func:`completion`."""
    return Edit(
        **_as_named(model, prompt, count, options, param, kept=True),
        mask=masked.mask,
        palette_error=masked.palette_error,
        prompt_symbols=int(masked.kept.sum()) * model.spec.channels,
        prompt_sha256=hashlib.sha256(masked.data.tobytes()).hexdigest(),
    )


def interpolation(
    model: ImageModel, begin: str | Sequence[float], end: str | Sequence[float], steps: int, options: Draw
) -> Interpolation:
    """One picture for every step from one list of names, or vector, to another; as :func:`class_drawing`."""
    if not has_classes(model) and model.spec.encoder is None:
        message = f"model: {model.entry.id} has no classes to go between"
        raise InvalidRequest(message, param="model", code="model_not_capable")
    begins, ended = _frozen(begin, "from"), _frozen(end, "to")
    ends = _end(model, begins, options.style, "from"), _end(model, ended, options.style, "to")
    return Interpolation(
        **shared_fields(model, options, (_one_seed(options),) * steps),
        prompt="-to-".join(name if isinstance(name, str) else "embedding" for name in (begins, ended)),
        begin=begins,
        end=ended,
        steps=steps,
        ends=ends,
        requested=ends,
        revised_prompts=(None,) * steps,
    )


def reconstruction(
    model: ImageModel, symbols: NDArray[np.uint8], palette_error: float | None, count: int, options: Draw
) -> Reconstruction:
    """Pictures of what another one shows, or of the person on it; as :func:`class_drawing`.

    Args:
        model: that draws.
        symbols: of the picture ``[H, W, C]``.
        palette_error: of that picture.
        count: of the pictures.
        options: of the request; neither style nor guidance.
    """
    model.style(options.style)  # it has none
    _refuse_candidates(options, "of another picture")  # nobody has named what they show best
    kind = Portrait if "image_portrait" in model.capabilities else Reconstruction
    return kind(
        **shared_fields(model, options, _seeds(options, count)),
        source_symbols=symbols.size,
        palette_error=palette_error,
        revised_prompts=(None,) * count,
        prompt_sha256=hashlib.sha256(symbols.tobytes()).hexdigest(),
    )


def requested_labels(model: ImageModel, prompt: str | None, style: str | None, param: str = "prompt") -> Labels:
    """The labels that a request names.

    Raises:
        InvalidRequest: the model has no such value or style; or it has attributes, and none was named.
    """
    if style is not None:
        check_type("style", style, str, "a style's name")
    if prompt is None and has_classes(model):
        message = "prompt: required; values of attributes (/v1/images/classes lists them), separated by commas, or any"
        raise InvalidRequest(message, param="prompt", code="missing_parameter")
    if prompt is None:
        return _labels(model, {}, style)
    check_type(param, prompt, str, "a text")
    return _labels(model, model.labels(prompt, param), style)


def _labels(model: ImageModel, found: Mapping[str, int], style: str | None) -> tuple[int | None, ...]:
    """Labels by attribute, and the style of the field of that name, in the order of the attributes."""
    of_field = model.style(style)
    if None not in (of_field, found.get(STYLE)) and of_field != found[STYLE]:
        raise InvalidRequest("style: another one than the prompt names", param="style", code="conflict")
    named = dict(found) if of_field is None else {**found, STYLE: of_field}
    return tuple(named.get(name) for name in model.spec.named)


def _drawn(model: ImageModel, labels: Labels, seed: int, *, named_style: bool) -> tuple[Labels, str | None]:
    """The labels of one picture and, where its seed has drawn some, the prompt that names them.

    Args:
        model: of the options.
        labels: that were requested.
        seed: of the picture.
        named_style: whether the request has the field ``style``; then the prompt need not name it.
    """
    indices = label_indices(labels)
    resolved = draw_labels(model.spec, model.label_rows, indices, seed)
    if resolved == indices:
        return labels, None
    return tuple(resolved), model.names(resolved, style=not named_style)


def _end(model: ImageModel, end: str | tuple[float, ...], style: str | None, param: str) -> Labels:
    """The labels of one end; a vector stands for the first attribute that is not the style, or for a picture."""
    if model.spec.encoder is not None:
        model.style(style)  # it has none
        if isinstance(end, str):
            message = f"{param}: {model.entry.id} goes between vectors of pictures, which /v1/images/encodings gives"
            raise InvalidRequest(message, param=param, code="invalid_embedding")
    if isinstance(end, str):
        return _labels(model, model.labels(end, param), style)
    if len(end) != model.spec.condition_channels:
        message = f"{param}: a vector of {model.entry.id} has {model.spec.condition_channels} numbers, not {len(end)}"
        raise InvalidRequest(message, param=param, code="invalid_embedding")
    if not all(abs(number) <= MAX_NUMBER for number in end):
        message = f"{param}: the numbers of a vector lie between {-MAX_NUMBER:g} and {MAX_NUMBER:g}"
        raise InvalidRequest(message, param=param, code="invalid_embedding")
    if model.spec.encoder is not None:
        return (end,)
    labels: list[Label] = [*_labels(model, {}, style)]
    labels[next(index for index, name in enumerate(model.spec.named) if name != STYLE)] = end
    return tuple(labels)


def _frozen(end: str | Sequence[float], param: str) -> str | tuple[float, ...]:
    try:
        return end if isinstance(end, str) else tuple(map(float, end))
    except (TypeError, ValueError, OverflowError) as error:
        message = f"{param}: must be names, or a vector of numbers up to {MAX_NUMBER:g}"
        raise InvalidRequest(message, param=param, code="invalid_embedding") from error
