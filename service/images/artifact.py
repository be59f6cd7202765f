"""The file of a finished job of pictures: one picture, or a ZIP archive of several."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ancestral.catalog.models import ImageModel
from ancestral.images.encoding import MEDIA_TYPES
from ancestral.images.files import decoder_of
from ancestral.images.sheet import file_of
from ancestral.service.images.payloads import PicturesPayload
from ancestral.service.jobs.archive import ZIP, write_archive
from ancestral.service.jobs.encoder import Encoder


class ImageEncoder(Encoder):
    """Symbols to a file. The same pictures always give the same bytes."""

    def __init__(self, payload: PicturesPayload, model: ImageModel) -> None:
        super().__init__()
        self.media_type = MEDIA_TYPES[payload.output_format] if payload.file_count == 1 else ZIP
        self.batch_symbols = model.spec.dims
        self._payload = payload
        self._model = model
        self._decode = decoder_of(payload, model)
        self._entries: list[tuple[int, int]] = []

    def encode(self, index: int, symbols: NDArray[np.uint8]) -> bytes:
        self._decode(symbols)
        return b""

    def finish(self) -> bytes:
        payload, model = self._payload, self._model
        pictures = [file_of(payload, model, index, self._decode) for index in payload.returned]
        if len(pictures) == 1:
            self._entries = [(0, len(pictures[0]))]
            return pictures[0]
        archive = io.BytesIO()
        self._entries = write_archive(archive, pictures, payload.output_format)
        return archive.getvalue()

    def entries(self) -> Sequence[tuple[int, int]]:
        return self._entries
