"""What requests for pictures show, resolved: labels, and the labels that seeds draw. Whatever can be refused is refused
here or in options.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.catalog.models import ImageModel
from ancestral.errors import InvalidRequest, check_type
from ancestral.images.drawing import ClassDrawing, Completion, Edit, Interpolation, Label, Labels, Reconstruction
from ancestral.images.masks import MaskedPicture
from ancestral.images.options import DrawOptions, has_classes, shared_fields
from ancestral.models.conditioning import draw_labels, draw_matching_labels
from ancestral.models.spec import STYLE


def class_drawing(
    model: ImageModel, prompt: str | None, count: int, options: DrawOptions, param: str = "prompt"
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
    labels, seeds = requested_labels(model, prompt, options.style, param), options.seeds(count)
    resolved = [_drawn(model, labels, seed, named_style=options.style is not None) for seed in seeds]
    return ClassDrawing(
        **shared_fields(model, options, seeds),
        prompt=prompt,
        labels=tuple(found for found, _ in resolved),
        requested=(labels,),
        revised_prompts=tuple(revised for _, revised in resolved),
    )


def sheet_drawing(
    model: ImageModel, name: str, prompt: str | None, options: DrawOptions, param: str = "prompt"
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
    requested = _indices(requested_labels(model, prompt, options.style, param))
    seed = options.one_seed()
    of_frames = model.sheet_attributes[name]
    for attribute, label in zip(attributes, requested, strict=True):
        if label is not None and attribute in of_frames:
            message = f"{param}: the sheet {name!r} has pictures of more than one {attribute}, so none can be named"
            raise InvalidRequest(message, param=param, code="conflict")
    same = draw_matching_labels(model.spec, model.label_rows, requested, seed)
    values = [[frame.get(attribute) for attribute in attributes] for frame in frames]
    labels = [[old if new is None else new for old, new in zip(same, row, strict=True)] for row in values]
    return ClassDrawing(
        **shared_fields(model, options, (seed,) * len(frames)),
        prompt=prompt,
        labels=tuple(map(tuple, labels)),
        requested=(tuple(requested),),
        revised_prompts=tuple(model.names(row, style=options.style is None) for row in labels),
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
    options: DrawOptions,
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
        **_as_named(model, prompt, count, options, param),
        rows=len(rows),
        palette_error=palette_error,
        prompt_symbols=rows.size,
        prompt_sha256=hashlib.sha256(rows.tobytes()).hexdigest(),
    )


def _as_named(model: ImageModel, prompt: str | None, count: int, options: DrawOptions, param: str) -> dict[str, Any]:
    """The fields of a :class:`ClassDrawing` whose seeds draw no labels."""
    labels, seeds = requested_labels(model, prompt, options.style, param), options.seeds(count)
    return shared_fields(model, options, seeds) | {
        "prompt": prompt,
        "labels": (labels,) * len(seeds),
        "requested": (labels,),
        "revised_prompts": (None,) * len(seeds),
    }


def edit(
    model: ImageModel,
    masked: MaskedPicture,
    prompt: str | None,
    count: int,
    options: DrawOptions,
    param: str = "prompt",
) -> Edit:
    """A region of a picture, drawn anew; arguments as of :func:`completion`."""
    return Edit(
        **_as_named(model, prompt, count, options, param),
        mask=masked.mask,
        palette_error=masked.palette_error,
        prompt_symbols=int(masked.kept.sum()) * model.spec.channels,
        prompt_sha256=hashlib.sha256(masked.data.tobytes()).hexdigest(),
    )


def interpolation(
    model: ImageModel, begin: str | Sequence[float], end: str | Sequence[float], steps: int, options: DrawOptions
) -> Interpolation:
    """One picture for every step from one list of names, or vector, to another; as :func:`class_drawing`."""
    if not has_classes(model) and model.spec.encoder is None:
        message = f"model: {model.entry.id} has no classes to go between"
        raise InvalidRequest(message, param="model", code="model_not_capable")
    ends = _end(model, begin, options.style, "from"), _end(model, end, options.style, "to")
    begins, ended = _frozen(begin), _frozen(end)
    return Interpolation(
        **shared_fields(model, options, (options.one_seed(),) * steps),
        prompt="-to-".join(name if isinstance(name, str) else "embedding" for name in (begins, ended)),
        begin=begins,
        end=ended,
        steps=steps,
        ends=ends,
        requested=ends,
        revised_prompts=(None,) * steps,
    )


def reconstruction(
    model: ImageModel, symbols: NDArray[np.uint8], palette_error: float | None, count: int, options: DrawOptions
) -> Reconstruction:
    """Pictures of what another one shows, or of the person on it; as :func:`class_drawing`.

    Args:
        model: that draws.
        symbols: of the picture ``[H, W, C]``.
        palette_error: of that picture.
        count: of the pictures.
        options: of the request; neither style nor guidance.
    """
    return Reconstruction(
        **shared_fields(model, options, options.seeds(count)),
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
    indices = _indices(labels)
    resolved = draw_labels(model.spec, model.label_rows, indices, seed)
    if resolved == indices:
        return labels, None
    return tuple(resolved), model.names(resolved, style=not named_style)


def _indices(labels: Labels) -> list[int | None]:
    """The labels that a prompt names."""
    return [label for label in labels if not isinstance(label, tuple)]


def _end(model: ImageModel, end: str | Sequence[float], style: str | None, param: str) -> Labels:
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
    if model.spec.encoder is not None:
        return (tuple(end),)
    labels: list[Label] = [*_labels(model, {}, style)]
    labels[next(index for index, name in enumerate(model.spec.named) if name != STYLE)] = tuple(end)
    return tuple(labels)


def _frozen(end: str | Sequence[float]) -> str | tuple[float, ...]:
    return end if isinstance(end, str) else tuple(end)
