"""Sprite sheets: the pictures of a job in one file, and an atlas that says where each is and how to make it again."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.catalog.models import ImageModel
from ancestral.images.drawing import ClassDrawing
from ancestral.images.encoding import encode, encode_indexed
from ancestral.images.files import shown_palette
from ancestral.images.pixels import BatchDecoder


def sheet_file(drawing: ClassDrawing, model: ImageModel, batch: BatchDecoder, columns: int) -> bytes:
    """The pictures of a finished job, ``columns`` a row and without gaps, in the format and the scale of the job."""
    if not (model.spec.palette and drawing.output_format == "png"):
        return encode(_joined(batch.pixels, columns), drawing.output_format, drawing.scale)
    return encode_indexed(_joined(batch.symbols, columns), shown_palette(drawing, model), drawing.scale)


def atlas(drawing: ClassDrawing, model: ImageModel, columns: int, image: str) -> bytes:
    """The JSON file beside a sheet called ``image``: places in pixels of the file, seeds and attributes.

    The prompt and the seed of a sprite give the same picture again, with the model, the temperature and the guidance.
    """
    width, height = model.spec.width * drawing.scale, model.spec.height * drawing.scale
    sprites = []
    for index, seed in enumerate(drawing.seeds):
        attributes = attributes_of(drawing, model, index)
        recipe = drawing.recipe(index)
        sprites.append({
            "name": f"{next(iter(attributes.values()), 'picture')}-{index}",
            "x": index % columns * width, "y": index // columns * height, "width": width, "height": height,
            "seed": seed, "prompt": drawing.revised_prompts[index] or recipe.get("prompt"), "attributes": attributes,
        })  # fmt: skip
    content: dict[str, Any] = {
        "image": image, "width": columns * width, "height": -(-drawing.count // columns) * height,
        "model": model.entry.id, "model_sha256": model.sha256,
        "temperature": drawing.temperature, "guidance": drawing.guidance, "sprites": sprites,
    }  # fmt: skip
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def attributes_of(drawing: ClassDrawing, model: ImageModel, index: int) -> dict[str, str]:
    """The names of the labels of one picture, of those that were asked for or drawn."""
    labels = zip(model.spec.attributes, drawing.labels[index], strict=True)
    return {name: values[label] for (name, values), label in labels if isinstance(label, int)}


def _joined(pictures: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Pictures ``[N, H, W, C]`` in rows, as ``[rows * H, columns * W, C]``; places that remain are 0."""
    count, height, width, channels = pictures.shape
    rows = -(-count // columns)
    whole = np.zeros((rows * columns, height, width, channels), np.uint8)
    whole[:count] = pictures
    grid = whole.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return grid.reshape(rows * height, columns * width, channels)
