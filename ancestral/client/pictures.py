"""Pictures that a server draws."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ancestral.client.connection import KEY, Connection, new_key, parsed
from ancestral.errors import check_choice, check_range
from ancestral.formats import format_of
from ancestral.images.drawing import MAX_SIDE
from ancestral.images.files import MEDIA_TYPES, SUFFIXES
from ancestral_models.architectures.classifier import Shown


class RemotePictures(Sequence["RemotePicture"]):
    """Pictures of one request. Nothing is sampled before something of them is read; that raises ``InvalidRequest`` if
    they cannot be drawn, and ``ServerError``.

    Args:
        connection: to the server.
        body: of the request, without the format.
        count: pictures.
        size: of each: width and height in pixels.
    """

    def __init__(self, connection: Connection, body: Mapping[str, Any], count: int, size: tuple[int, int]) -> None:
        self.size = size
        """Width and height of each, in pixels."""
        self._connection, self._body, self._count = connection, dict(body), count

    @property
    def height(self) -> int:
        """Rows of every picture."""
        return self.size[1]

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> RemotePicture: ...
    @overload
    def __getitem__(self, index: slice) -> list[RemotePicture]: ...
    def __getitem__(self, index: int | slice) -> RemotePicture | list[RemotePicture]:
        found = range(len(self))[index]
        return RemotePicture(self, found) if isinstance(found, int) else [self[number] for number in found]

    @cached_property
    def drawn(self) -> list[dict[str, Any]]:
        """The server's answer for each: ``b64_json`` (a PNG), ``seed``, ``revised_prompt`` if the seed drew any of
        what it shows, and ``attributes`` of a model with a classifier."""
        return self._draw(self._body | {"n": self._count})

    def file(self, index: int, form: str, scale: int = 1) -> bytes:
        """Picture ``index`` as a file of this format, made (and signed, where it signs) by the server."""
        check_choice("form", form, MEDIA_TYPES)
        check_range("scale", scale, 1, MAX_SIDE // max(self.size))
        picture = self.drawn[index]
        if (form, scale) != ("png", 1):
            width, height = self.size
            made = {"seed": picture["seed"], "output_format": form, "size": f"{width * scale}x{height * scale}"}
            made |= {"best_of": 1} if "best_of" in self._body else {}
            made |= {"background": "opaque"} if form == "jpeg" else {}
            (picture,) = self._draw(self._body | made)
        return base64.b64decode(picture["b64_json"])

    def _draw(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        # With the key an answer that was lost is not drawn again.
        headers, body = {KEY: new_key()}, {**body, "response_format": "b64_json"}
        answer = self._connection.request("POST", "/v1/images/generations", json=body, headers=headers)
        found: list[dict[str, Any]] = parsed(answer)["data"]
        return found


class RemotePicture:
    """One picture, drawn when something of it is read."""

    def __init__(self, pictures: RemotePictures, index: int) -> None:
        self._pictures, self._index = pictures, index

    @property
    def seed(self) -> int:
        """The same model, request and seed give the same picture."""
        return int(self._pictures.drawn[self._index]["seed"])

    @property
    def prompt(self) -> str | None:
        """What it was drawn to show: what was asked for, and what its seed has drawn."""
        revised = self._pictures.drawn[self._index].get("revised_prompt")
        return revised if revised is not None else self._pictures._body.get("prompt")

    @property
    def shown(self) -> Mapping[str, Shown]:
        """What it shows, by attribute: the value that the classifier of the model finds most likely, whatever it was
        drawn to show, and its probability. Empty of a model without a classifier."""
        found = self._pictures.drawn[self._index].get("attributes", {})
        return {name: Shown(one["value"], one["probability"]) for name, one in found.items()}

    @cached_property
    def image(self) -> Image.Image:
        """The picture for Pillow: ``L``, ``RGB`` or ``RGBA``."""
        picture = Image.open(io.BytesIO(self.file("png")))
        transparent = picture.mode == "RGBA" or "transparency" in picture.info
        return picture.convert("RGBA" if transparent else "L" if picture.mode in ("1", "L") else "RGB")

    @cached_property
    def array(self) -> NDArray[np.uint8]:
        """``uint8 [H, W, C]``: grey (C = 1), RGB or RGBA."""
        pixels = np.asarray(self.image)
        return pixels[..., None] if pixels.ndim == 2 else pixels

    def file(self, form: str, scale: int = 1) -> bytes:
        """A file, ``png``, ``webp`` or ``jpeg``; arguments as of :meth:`save`."""
        return self._pictures.file(self._index, form, scale)

    def save(self, path: str | Path, scale: int = 1) -> None:
        """Write a file; its suffix, ``.png``, ``.webp``, ``.jpg`` or ``.jpeg``, is the format.

        Args:
            path: of the file.
            scale: side in pixels of each drawn pixel.

        Raises:
            InvalidRequest: it has another suffix, or it cannot be drawn.
            ServerError: the server refuses, fails or does not answer.
        """
        form = format_of(Path(path), SUFFIXES)
        Path(path).write_bytes(self.file(form, scale))

    def _repr_png_(self) -> bytes:
        """The picture, in a notebook."""
        return self.file("png", max(1, 160 // self._pictures.size[1]))
