"""The files of pictures: in the requested format and size, with what made them."""

from __future__ import annotations

import json

from ancestral.catalog.models import ImageModel
from ancestral.images.drawing import Drawing, picture_recipe
from ancestral.images.pixels import BatchDecoder, encode, encode_indexed


def picture_file(drawing: Drawing, model: ImageModel, index: int, batch: BatchDecoder) -> bytes:
    """Picture ``index`` of a drawing, in the requested format and size.

    A PNG file says how to make it again: a text chunk ``recipe`` has the model and the fields of the request, as JSON.
    Names are written as the model has them, so that requests which differ in case alone give the same file. A finished
    picture of a model with a palette is an indexed PNG, with the indices and the palette of the model; so is one that
    was put into another palette.
    """
    texts = recipe_texts(drawing, model, index)
    width, height = map(int, drawing.size.split("x"))
    canvas = (width, height) if drawing.fit == "pad" else None
    if batch.colours is None or drawing.output_format != "png" or not batch.complete:
        return encode(batch.pixels[index], drawing.output_format, drawing.scale, texts, canvas)
    return encode_indexed(batch.indices(batch.symbols[index]), batch.colours, drawing.scale, texts, canvas)


def recipe_texts(drawing: Drawing, model: ImageModel, index: int) -> dict[str, str]:
    """The text chunks of a PNG file that say how to make picture ``index`` again."""
    return {"recipe": json.dumps(picture_recipe(drawing, model, index))}


def decoder_of(drawing: Drawing, model: ImageModel) -> BatchDecoder:
    """What turns the symbols of a drawing into its pictures."""
    transparent = drawing.background == "transparent"
    return BatchDecoder(model.spec, drawing.count, transparent=transparent, palette=drawing.palette)
