"""A picture that a client has uploaded, to symbols. Nothing in the file is trusted.

The size is read from the header before anything is decoded, so that a file that would take much memory is refused.
"""

from __future__ import annotations

import base64
import io
import struct
import warnings
import zlib
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile

from ancestral.errors import InvalidRequest
from ancestral.images.drawing import MAX_SIDE, MaskedPicture, multiple
from ancestral.images.files import mask_file
from ancestral_models.spec import WHITE, ImageSpec, nearest_symbols

FORMATS: Final = ("PNG", "WEBP", "JPEG")
TOO_LARGE: Final = (Image.DecompressionBombError, Image.DecompressionBombWarning)
"""What Pillow raises when the header announces many more pixels than are taken here."""
_HALF: Final = 128
"""Opaque enough, of 0 to 255, to be kept."""
_MODES: Final = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA"})
_MAX_SCANS: Final = 100
"""Of a JPEG, with those in what is appended to it; progressive ones have about ten. Each takes time for the whole
picture, in however few bytes."""

warnings.filterwarnings("ignore", module=r"PIL\.")  # about clients' files, which our log does not need


class _Unusable(Exception):
    """The file is refused; the message is for the client."""


def decode_picture(data: bytes, spec: ImageSpec, param: str) -> tuple[NDArray[np.uint8], float | None]:
    """Decode a PNG, WebP or JPEG file of a model's size, or of a whole multiple of it, which is averaged.

    Transparent pixels are put on white. Colours become grey for a model of grey pictures, black or white (at a
    threshold of 128) for a model of two levels, and the nearest colours of the palette for a model with one. Where the
    palette has a transparent colour, transparent pixels become that; in a picture without any, pure white does.

    Args:
        data: the whole file.
        spec: of the model.
        param: the field that the file came in, for the error.

    Returns:
        Symbols, ``uint8 [H, W, C]``, and of a model with a palette how far the colours were
        (:func:`ancestral_models.spec.nearest_symbols`).

    Raises:
        InvalidRequest: the file is of another format, damaged or truncated, or the picture's size or colours are not
            supported; ``code`` is ``invalid_image``.
    """
    (found,) = decode_for_each(data, [spec], param)
    assert found is not None
    return found


def decode_for_each(
    data: bytes, specs: Sequence[ImageSpec], param: str
) -> list[tuple[NDArray[np.uint8], float | None] | None]:
    """The same of several models, for which the file is decoded once; None for a model of another size, unless all are:
    then the error is that of the last."""
    pictures = _opened(data, specs, lambda image, spec: (_coloured if spec.palette else _flat)(image, spec), param)
    return [None if picture is None else _symbols(picture, spec) for picture, spec in zip(pictures, specs, strict=True)]


def _symbols(picture: Image.Image, spec: ImageSpec) -> tuple[NDArray[np.uint8], float | None]:
    if spec.palette:
        symbols, distance = nearest_symbols(np.array(picture, np.uint8), spec)
        return symbols, round(distance, 3)
    pixels = np.asarray(picture, np.uint8).reshape(spec.height, spec.width, spec.channels)
    return ((pixels >= 128).astype(np.uint8) if spec.binary else pixels), None


def decode_masked(image: bytes, mask: bytes, spec: ImageSpec) -> MaskedPicture:
    """Decode a picture, and the mask that says what of it is to be drawn anew.

    Args:
        image: as of :func:`decode_picture`.
        mask: a PNG or WebP file of such a size; a pixel of the model is drawn anew where it is less than half opaque.
        spec: of the model.

    Raises:
        InvalidRequest: one of them cannot be read, or the mask keeps all or nothing; ``param`` names it.
    """
    symbols, palette_error = decode_picture(image, spec, "image")
    (opened,) = _opened(mask, [spec], _rgba, "mask")
    assert opened is not None
    kept = np.array(opened.getchannel("A"), np.uint8) >= _HALF
    message = "nothing is to be drawn: it is transparent nowhere" if kept.all() else ""
    if not kept.any():
        message = "nothing is kept: /v1/images/generations draws whole pictures"
    if message:
        raise InvalidRequest(f"mask: {message}", param="mask", code="invalid_mask")
    canonical = base64.b64encode(mask_file(kept)).decode()
    return MaskedPicture(np.where(kept[..., None], symbols, 0).astype(np.uint8), kept, canonical, palette_error)


_Convert = Callable[[Image.Image, ImageSpec], Image.Image]


def _opened(data: bytes, specs: Sequence[ImageSpec], convert: _Convert, param: str) -> list[Image.Image | None]:
    """A picture as ``convert`` makes it for each model; None for a model of another size, unless all are.

    Raises:
        InvalidRequest: the file cannot be used; ``param`` names it.
    """
    try:
        return _decoded(data, specs, convert)
    except _Unusable as error:
        raise InvalidRequest(f"{param}: {error}", param=param, code="invalid_image") from error


def _decoded(data: bytes, specs: Sequence[ImageSpec], convert: _Convert) -> list[Image.Image | None]:
    """As :func:`_opened`; raises _Unusable."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            scales = _scales(image.size, specs)
            _check_kind(image)
            if image.format == "JPEG" and data.count(b"\xff\xda") > _MAX_SCANS:
                raise _Unusable(f"it is stored in more than {_MAX_SCANS} scans")
            _check_sums(data)
            image.load()
            return [
                convert(image, spec).reduce(scale) if scale else None for scale, spec in zip(scales, specs, strict=True)
            ]
    except TOO_LARGE as error:
        raise _Unusable(f"it has too many pixels; at most {MAX_SIDE} each way are taken") from error
    except UnidentifiedImageError as error:
        raise _Unusable("it is not a PNG, WebP or JPEG file") from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error) as error:
        raise _Unusable("it is damaged, or cut short") from error


def _scales(size: tuple[int, int], specs: Sequence[ImageSpec]) -> list[int | None]:
    width, height = size
    if max(size) > MAX_SIDE:
        raise _Unusable(f"it has {width} x {height} pixels; at most {MAX_SIDE} each way are taken")
    scales = [multiple(spec, width, height) for spec in specs]
    if not any(scales):
        wanted = f"{specs[-1].width} x {specs[-1].height}, or a multiple; of a sheet give one picture"
        raise _Unusable(f"it has {width} x {height} pixels; the model's are {wanted}")
    return scales


def _check_kind(image: Image.Image) -> None:
    if getattr(image, "n_frames", 1) != 1:
        raise _Unusable("it moves, where one picture is taken")
    stored = image.tile[0][3] if isinstance(image, PngImageFile) else image.mode  # whose mode hides 16 bits
    if image.mode not in _MODES or "16" in str(stored):
        raise _Unusable(f"its colours are stored as {stored}; grey, RGB and palettes of 8 bits are taken")


def _check_sums(data: bytes) -> None:
    """Check the checksums of a PNG up to its last chunk, which decoding does not."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        image.verify()


def _coloured(image: Image.Image, spec: ImageSpec) -> Image.Image:
    """RGBA, in which the background of a picture without transparency is made transparent if the palette can be."""
    if image.has_transparency_data and spec.transparent:
        found = image.convert("RGBA")
        # An alpha channel may say of no pixel that it is transparent; only sprites have a palette with such a colour.
        if image.mode == "P" or np.array(found)[..., 3].min() < 255:
            return found
    opaque = _plain(image).convert("RGBA")
    if spec.transparent:
        pixels = np.array(opaque)
        pixels[(pixels[..., :3] == WHITE).all(axis=2), 3] = 0
        opaque = Image.fromarray(pixels)
    return opaque


def _flat(image: Image.Image, spec: ImageSpec) -> Image.Image:
    return _plain(image).convert("L" if spec.channels == 1 else "RGB")


def _rgba(image: Image.Image, _spec: ImageSpec) -> Image.Image:
    if not image.has_transparency_data:
        raise _Unusable("it has no transparency, which says what is to be drawn")
    return image.convert("RGBA")


def _plain(image: Image.Image) -> Image.Image:
    """The picture on white."""
    if not image.has_transparency_data:
        return image
    coloured = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", coloured.size, "white"), coloured)
