"""The file of a finished job of pictures: one picture, or a ZIP archive of several."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ancestral.models.palette import WHITE, rgba
from ancestral.service.catalog.models import ImageModel
from ancestral.service.images.decoder import BatchDecoder
from ancestral.service.images.encoding import MEDIA_TYPES, encode, encode_indexed
from ancestral.service.images.payloads import PicturesPayload
from ancestral.service.jobs.encoder import Encoder

ZIP: Final = "application/zip"
_NAMES: Final = frozenset({"prompt", "style", "from", "to"})


def picture_file(payload: PicturesPayload, model: ImageModel, index: int, batch: BatchDecoder) -> bytes:
    """Picture ``index`` of a job, in the requested format and size.

    A PNG file says how to make it again: a text chunk ``recipe`` has the model and the fields of the request, as JSON.
    Names are written as the model has them, so that requests which differ in case alone give the same file. A finished
    picture of a model with a palette is an indexed PNG, with the indices and the palette of the model.
    """
    recipe = {"model": model.entry.id, "model_sha256": model.sha256, **payload.recipe(index)}
    for field in _NAMES & recipe.keys():
        if isinstance(recipe[field], str):
            recipe[field] = model.as_known(recipe[field])
    texts = {"recipe": json.dumps(recipe)}
    width, height = map(int, payload.size.split("x"))
    canvas = (width, height) if payload.fit == "pad" else None
    if not (model.spec.palette and payload.output_format == "png" and batch.complete):
        return encode(batch.pixels[index], payload.output_format, payload.scale, texts, canvas)
    return encode_indexed(batch.symbols[index], shown_palette(payload, model), payload.scale, texts, canvas)


def shown_palette(payload: PicturesPayload, model: ImageModel) -> NDArray[np.uint8]:
    """The palette of a file, RGBA ``[P, 4]``: its transparent entry is white if the background is opaque."""
    colours = rgba(model.spec)
    return np.where(colours[:, 3:] == 0, np.uint8(WHITE), colours) if payload.background == "opaque" else colours


def decoder_of(payload: PicturesPayload, model: ImageModel) -> BatchDecoder:
    """What turns the symbols of a job into its pictures."""
    return BatchDecoder(model.spec, payload.count, transparent=payload.background == "transparent")


class ImageEncoder(Encoder):
    """Symbols to a file. The same pictures always give the same bytes."""

    def __init__(self, payload: PicturesPayload, model: ImageModel) -> None:
        super().__init__()
        self.media_type = MEDIA_TYPES[payload.output_format] if payload.count == 1 else ZIP
        self.batch_symbols = model.spec.dims
        self._payload = payload
        self._model = model
        self._decode = decoder_of(payload, model)
        self._entries: list[tuple[int, int]] = []

    def encode(self, index: int, symbols: NDArray[np.uint8]) -> bytes:
        """See :class:`Encoder`."""
        self._decode(symbols)
        return b""

    def finish(self) -> bytes:
        """See :class:`Encoder`."""
        payload, model = self._payload, self._model
        pictures = [picture_file(payload, model, index, self._decode) for index in range(payload.count)]
        if len(pictures) == 1:
            self._entries = [(0, len(pictures[0]))]
            return pictures[0]
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
            for index, picture in enumerate(pictures):
                name = f"{index}.{self._payload.output_format}"
                file.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), picture)
                self._entries.append((archive.tell() - len(picture), len(picture)))
        return archive.getvalue()

    def entries(self) -> Sequence[tuple[int, int]]:
        """See :class:`Encoder`."""
        return self._entries
