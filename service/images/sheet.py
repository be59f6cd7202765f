"""Sprite sheets: the pictures of a job in one file, and an atlas that says where each is and how to make it again."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.service.catalog.models import ImageModel
from ancestral.service.images.artifact import shown_palette
from ancestral.service.images.decoder import BatchDecoder
from ancestral.service.images.encoding import encode, encode_indexed
from ancestral.service.images.payloads import ImagePayload


def sheet_file(payload: ImagePayload, model: ImageModel, batch: BatchDecoder, columns: int) -> bytes:
    """The pictures of a finished job, ``columns`` a row and without gaps, in the format and the scale of the job."""
    if not (model.spec.palette and payload.output_format == "png"):
        return encode(_joined(batch.pixels, columns), payload.output_format, payload.scale)
    return encode_indexed(_joined(batch.symbols, columns), shown_palette(payload, model), payload.scale)


def atlas(payload: ImagePayload, model: ImageModel, columns: int, image: str) -> bytes:
    """The JSON file beside a sheet called ``image``: places in pixels of the file, seeds and attributes.

    The prompt and the seed of a sprite give the same picture again, with the model, the temperature and the guidance.
    """
    width, height = model.spec.width * payload.scale, model.spec.height * payload.scale
    sprites = []
    for index, seed in enumerate(payload.seeds):
        attributes = _attributes(payload, model, index)
        recipe = payload.recipe(index)
        sprites.append({
            "name": f"{next(iter(attributes.values()), 'picture')}-{index}",
            "x": index % columns * width, "y": index // columns * height, "width": width, "height": height,
            "seed": seed, "prompt": payload.told[index] or recipe.get("prompt"), "attributes": attributes,
        })  # fmt: skip
    content: dict[str, Any] = {
        "image": image, "width": columns * width, "height": -(-payload.count // columns) * height,
        "model": model.entry.id, "model_sha256": model.sha256,
        "temperature": payload.temperature, "guidance": payload.guidance, "sprites": sprites,
    }  # fmt: skip
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def _attributes(payload: ImagePayload, model: ImageModel, index: int) -> dict[str, str]:
    """The names of the labels of one picture, of those that were asked for or drawn."""
    labels = zip(model.spec.attributes, payload.labels[index], strict=True)
    return {name: values[label] for (name, values), label in labels if isinstance(label, int)}


def _joined(pictures: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Pictures ``[N, H, W, C]`` in rows, as ``[rows * H, columns * W, C]``; places that remain are 0."""
    count, height, width, channels = pictures.shape
    rows = -(-count // columns)
    whole = np.zeros((rows * columns, height, width, channels), np.uint8)
    whole[:count] = pictures
    grid = whole.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return grid.reshape(rows * height, columns * width, channels)
