"""The file of a finished job of pictures: one picture, or a ZIP archive of several."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from service.catalog.models import ANY, ImageModel
from service.images.decoder import BatchDecoder, Pixels
from service.images.encoding import MEDIA_TYPES, encode
from service.images.payloads import PicturesPayload
from service.jobs.artifacts import Encoder

ZIP: Final = "application/zip"
_NAMES: Final = frozenset({"prompt", "style", "from", "to"})


def picture_file(payload: PicturesPayload, model: ImageModel, index: int, pixels: Pixels) -> bytes:
    """Picture ``index`` of a job, ``[H, W, C]``, in the requested format and size.

    A PNG file says how to make it again: a text chunk ``recipe`` has the model and the fields of the request, as JSON.
    Names are written as the model has them, so that requests which differ in case alone give the same file.
    """
    recipe = {"model": model.entry.id, "model_sha256": model.sha256, **payload.recipe(index)}
    for field in _NAMES & recipe.keys():
        if isinstance(recipe[field], str):
            recipe[field] = _as_known(model, field, recipe[field])
    width, height = map(int, payload.size.split("x"))
    canvas = (width, height) if payload.fit == "pad" else None
    return encode(pixels, payload.output_format, payload.scale, {"recipe": json.dumps(recipe)}, canvas)


def _as_known(model: ImageModel, field: str, name: str) -> str:
    spec = model.spec
    names = spec.styles if field == "style" else (*spec.classes, *spec.subclasses)
    return {known.casefold(): known for known in names}.get(name.strip().casefold(), ANY)


class ImageEncoder(Encoder):
    """Symbols to a file. The same pictures always give the same bytes."""

    def __init__(self, payload: PicturesPayload, model: ImageModel) -> None:
        super().__init__()
        self.media_type = MEDIA_TYPES[payload.output_format] if payload.count == 1 else ZIP
        self.batch_symbols = model.spec.dims
        self._payload = payload
        self._model = model
        self._decode = BatchDecoder(model.spec, payload.count)
        self._entries: list[tuple[int, int]] = []

    def encode(self, index: int, symbols: NDArray[np.uint8]) -> bytes:
        """See :class:`Encoder`."""
        self._decode(symbols)
        return b""

    def finish(self) -> bytes:
        """See :class:`Encoder`."""
        pictures = [
            picture_file(self._payload, self._model, index, pixels) for index, pixels in enumerate(self._decode.pixels)
        ]
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
