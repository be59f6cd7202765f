"""The files of pictures: in the requested format and size, with what made them."""

from __future__ import annotations

import json
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ancestral.catalog.models import ImageModel
from ancestral.images.drawing import Drawing
from ancestral.images.encoding import encode, encode_indexed
from ancestral.images.pixels import BatchDecoder
from ancestral.models.palette import WHITE, rgba

_NAMES: Final = frozenset({"prompt", "style", "from", "to"})


def picture_file(drawing: Drawing, model: ImageModel, index: int, batch: BatchDecoder) -> bytes:
    """Picture ``index`` of a drawing, in the requested format and size.

    A PNG file says how to make it again: a text chunk ``recipe`` has the model and the fields of the request, as JSON.
    Names are written as the model has them, so that requests which differ in case alone give the same file. A finished
    picture of a model with a palette is an indexed PNG, with the indices and the palette of the model.
    """
    recipe = {"model": model.entry.id, "model_sha256": model.sha256, **drawing.recipe(index)}
    for field in _NAMES & recipe.keys():
        if isinstance(recipe[field], str):
            recipe[field] = model.canonical(recipe[field])
    texts = {"recipe": json.dumps(recipe)}
    width, height = map(int, drawing.size.split("x"))
    canvas = (width, height) if drawing.fit == "pad" else None
    if not (model.spec.palette and drawing.output_format == "png" and batch.complete):
        return encode(batch.pixels[index], drawing.output_format, drawing.scale, texts, canvas)
    return encode_indexed(batch.symbols[index], shown_palette(drawing, model), drawing.scale, texts, canvas)


def shown_palette(drawing: Drawing, model: ImageModel) -> NDArray[np.uint8]:
    """The palette of a file, RGBA ``[P, 4]``: its transparent entry is white if the background is opaque."""
    colours = rgba(model.spec)
    return np.where(colours[:, 3:] == 0, np.uint8(WHITE), colours) if drawing.background == "opaque" else colours


def decoder_of(drawing: Drawing, model: ImageModel) -> BatchDecoder:
    """What turns the symbols of a drawing into its pictures."""
    return BatchDecoder(model.spec, drawing.count, transparent=drawing.background == "transparent")
