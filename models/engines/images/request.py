"""Requests for pictures: all that a picture depends on besides the weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ancestral.models.engines.base import RequestError
from ancestral.models.spec import COARSE, ImageSpec

Array = NDArray[np.float32]
Pixels = NDArray[np.uint8]
"""Symbols, each below ``levels``."""


Context = tuple[Array, Array]
"""What a network sees of the pixels that an edit keeps: what is added to the condition, and to h of coarse pixels."""


@dataclass(frozen=True)
class Edit:
    """A picture that keeps some of its pixels, as they are; the others are drawn, given all of those."""

    picture: Pixels
    """``[H, W, C]``; what is not kept has no effect."""
    kept: NDArray[np.bool_]
    """``[H, W]``; at least one is, and one is not."""


@dataclass(frozen=True)
class ImageStreamRequest:
    """All that a picture depends on besides the weights."""

    seed: int
    """0 … 2^63 - 1; keys the noise (models/noise.py)."""
    temperature: float = 1.0
    """Divides the logits; 0 takes the most likely symbol."""
    h: Array | None = None
    """``[condition_channels]``: of :meth:`ImageEngine.embed_labels`, of :meth:`ImageEngine.encode`, or an
    interpolation; required exactly where the model has conditions."""
    given: Pixels | None = None
    """``[rows, W, C]``: the first rows, which are kept as they are."""
    guidance: float = 1.0
    """Classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598): the logits are those of the unconditional pass
    plus ``guidance`` times the difference between the conditional ones and those. 1 samples the model as it is;
    anything else costs twice the work."""
    unconditional: Array | None = None
    """``[condition_channels]``: h of the unconditional pass; required exactly where guidance is not 1."""
    edit: Edit | None = None
    """The picture of which a region is drawn anew, by a model that draws edits."""


def of_coarse_pixels(request: ImageStreamRequest, context: Context | None) -> ImageStreamRequest:
    """The request for the coarse pixels of a picture."""
    given, edit, h, free = request.given, request.edit, request.h, request.unconditional
    if context is not None:
        h, free = (None if vector is None else vector + context[1] for vector in (h, free))
    return replace(
        request,
        h=h,
        unconditional=free,
        given=None if given is None else given[COARSE, COARSE],
        edit=None if edit is None else Edit(edit.picture[COARSE, COARSE], edit.kept[COARSE, COARSE]),
    )


def check_request(spec: ImageSpec, request: ImageStreamRequest) -> None:
    """Raise :class:`RequestError` for a request that does not fit ``spec``."""
    if not 0 <= request.seed < 2**63:
        raise RequestError("seed: must lie in 0 … 2^63 - 1")
    if not (np.isfinite(request.temperature) and request.temperature >= 0.0):
        raise RequestError("temperature: must be a finite number, at least 0")
    if (request.h is None) == spec.conditioned:
        raise RequestError("h: " + ("the model needs it" if spec.conditioned else "the model has no conditions"))
    _check_vector(spec, "h", request.h)
    _check_guidance(spec, request)
    if request.given is not None:
        shape = request.given.shape
        if len(shape) != 3 or shape[0] > spec.height or shape[1:] != (spec.width, spec.channels):
            raise RequestError(f"given: must be [<= {spec.height}, {spec.width}, {spec.channels}], not {list(shape)}")
        if request.given.dtype != np.uint8 or (len(request.given) and request.given.max() >= spec.levels):
            raise RequestError(f"given: must be bytes below {spec.levels}")
    if request.edit is not None:
        _check_edit(spec, request.edit)


def _check_edit(spec: ImageSpec, edit: Edit) -> None:
    if not spec.draws_edits:
        raise RequestError("edit: the model draws none")
    shape, size = edit.picture.shape, (spec.height, spec.width)
    if shape != (*size, spec.channels) or edit.picture.dtype != np.uint8 or edit.picture.max() >= spec.levels:
        raise RequestError(f"edit: {list(shape)} is no picture of the model")
    if edit.kept.shape != size or edit.kept.dtype != np.bool_ or not edit.kept.any() or edit.kept.all():
        raise RequestError("edit: must keep some pixels, and not all")


def _check_guidance(spec: ImageSpec, request: ImageStreamRequest) -> None:
    free = request.unconditional
    if not (np.isfinite(request.guidance) and request.guidance >= 0.0):
        raise RequestError("guidance: must be a finite number, at least 0")
    if request.guidance != 1.0 and request.h is None:
        raise RequestError("guidance: the model has no conditions")
    if (free is None) != (request.guidance == 1.0):
        raise RequestError("unconditional: " + ("guidance needs it" if free is None else "only guidance uses it"))
    _check_vector(spec, "unconditional", free)


def _check_vector(spec: ImageSpec, name: str, vector: Array | None) -> None:
    if vector is not None and (vector.shape != (spec.condition_channels,) or not np.isfinite(vector).all()):
        raise RequestError(f"{name}: must be {spec.condition_channels} finite numbers")
