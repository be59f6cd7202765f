"""A file that may have been made here, read: its format, its signature, the recipe in its tags, its symbols or sound.

Nothing in the file is trusted. XMP and other XML is not read at all.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ancestral.catalog.catalog import Catalog
from ancestral.catalog.descriptions import ImageModel, SpeechModel
from ancestral.codecs import pyav
from ancestral.detection.query import not_tried
from ancestral.errors import InvalidRequest, NotFound
from ancestral.formats import FFMPEG, sniff
from ancestral.images.decoding import FORMATS, TOO_LARGE, decode_for_each
from ancestral.provenance.c2pa import Signer, SigningError, read
from ancestral_models.checkpoint import parse_object

MAX_RECIPE_BYTES: Final = 64 << 10
_UNINDEXED: Final = 4.0
"""The rank of models without a palette among the others, in steps of colour from the palette."""


@dataclass(frozen=True)
class Upload:
    """What a file says of itself."""

    media_type: str
    signature: Mapping[str, Any]
    """The part ``signature`` of the answer."""
    recipe: Mapping[str, Any] | None
    """The recipe of its signed manifest, or else of its tags."""

    @property
    def is_picture(self) -> bool:
        """Whether it is a picture; else it is sound."""
        return self.media_type.startswith("image/")


def media_type_of(data: bytes) -> str:
    """The media type of a file, by its first bytes; raises InvalidRequest for a format that is not read."""
    if (found := sniff(data)) is None:
        message = "file: it is not a PNG, WebP or JPEG file, nor a WAV, FLAC, Ogg or MP3 file"
        raise InvalidRequest(message, param="file", code="invalid_file")
    return found


def read_upload(data: bytes, signer: Signer | None = None, *, trusted: str = "") -> Upload:
    """A file without its content.

    Args:
        data: the whole file.
        signer: whose signatures are ``own``, and trusted.
        trusted: other certificates, see :func:`ancestral.provenance.c2pa.read`.

    Raises:
        InvalidRequest: its format is not read, or the manifest in it is damaged.
    """
    media_type = media_type_of(data)
    try:
        chain = trusted if signer is None else f"{trusted}\n{signer.chain}"  # PEM need not end in a line's end
        report = None if media_type == "audio/ogg" else read(data, media_type, trusted=chain)
    except SigningError as error:
        return Upload(media_type, not_tried(str(error)), _tagged(data, media_type))
    if report is None:
        return Upload(media_type, {"status": "none"}, _tagged(data, media_type))
    own = signer is not None and report.trusted and report.serial_number == signer.serial
    found = {"status": "valid" if report.valid else "invalid", **asdict(report), "own": own}
    signed = flat_recipe(report.recipe) if report.valid and report.recipe is not None else None
    return Upload(media_type, found, signed or _tagged(data, media_type))


def flat_recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe as the fields of a request; also of a manifest of ``/v1/jobs/{id}/manifest``, which holds a request."""
    if not isinstance(request := recipe.get("request"), Mapping):
        return dict(recipe)
    names = ("model", "model_sha256", "seed", "prompt_sha256")
    return {**request, **{name: recipe[name] for name in names if recipe.get(name) is not None}}


def parse_recipe(text: str, param: str = "recipe") -> dict[str, Any]:
    """A recipe or a manifest that came as JSON.

    Raises:
        InvalidRequest: it is no JSON object.
    """
    with suppress(ValueError):
        if len(text) <= MAX_RECIPE_BYTES:
            return flat_recipe(parse_object(text))
    message = f"{param}: must be a JSON object of at most {MAX_RECIPE_BYTES >> 10} KiB: a recipe or a manifest"
    raise InvalidRequest(message, param=param, code="invalid_recipe")


def symbols_of(data: bytes, catalog: Catalog, ids: Sequence[str]) -> list[tuple[ImageModel, NDArray[np.uint8]]]:
    """A picture as each of these models sees it that draws pictures of its size; those whose colours it has come first.

    Raises:
        InvalidRequest: the file cannot be decoded, or no model draws pictures of its size.
    """
    models = [catalog.image_model(name, "image_likelihood") for name in ids]
    seen = decode_for_each(data, [model.spec for model in models], "file")
    found = [(model, *each) for model, each in zip(models, seen, strict=True) if each is not None]
    found.sort(key=lambda each: _UNINDEXED if each[2] is None else each[2])
    return [(model, symbols) for model, symbols, _ in found]


def candidates(
    catalog: Catalog, model: str | None, recipe: Mapping[str, Any] | None, voice: str | None, *, picture: bool
) -> list[str]:
    """The ids of the models that may have made a file: that of the request, of the recipe, or all; of sound one, the
    first that has the voice.

    Raises:
        NotFound: there is no such model.
        InvalidRequest: it makes pictures, and the file is sound, or the reverse.
    """
    kind = ImageModel if picture else SpeechModel
    told = None if recipe is None else recipe.get("model")
    if model is None and isinstance(told, str):
        with suppress(NotFound):  # of another server
            if isinstance(found := catalog.model(told), kind):
                return [found.entry.id]
    if model is not None:
        if not isinstance(found := catalog.model(model), kind):
            message = f"model: {found.entry.id} does not make {'pictures' if picture else 'sound'}"
            raise InvalidRequest(message, param="model", code="model_not_capable")
        return [found.entry.id]
    able = "image_generation" if picture else "likelihood"
    fitting = [name for name, found in catalog.models.items() if isinstance(found, kind) and able in found.capabilities]
    if not fitting:
        raise InvalidRequest("file: no model here makes anything of its kind", param="file", code="model_not_capable")
    if picture:
        return fitting
    if isinstance(named := voice or (recipe or {}).get("voice"), str):
        with suppress(InvalidRequest):  # what needs the voice is not tried, and says so
            return [catalog.model_and_voice(None, named, able)[0].entry.id]
    return fitting[:1]


def _tagged(data: bytes, media_type: str) -> dict[str, Any] | None:
    """The recipe in the tags of a file, if it has one of ours."""
    text = _png_text(data) if media_type == "image/png" else _comment(data, media_type)
    with suppress(InvalidRequest):
        if text is not None and {"model", "seed"} <= (found := parse_recipe(text)).keys():
            return found
    return None


def _png_text(data: bytes) -> str | None:
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            text = image.info.get("recipe")
    except (*TOO_LARGE, OSError, SyntaxError, ValueError):  # decoding says what is wrong with it
        return None
    return text if isinstance(text, str) else None


def _comment(data: bytes, media_type: str) -> str | None:
    if media_type not in FFMPEG:
        return None
    av = pyav()
    try:
        # Tags need no decoder, and a cover picture, which is a stream as well, is not decoded without one.
        options, form = {"codec_whitelist": ""}, FFMPEG[media_type]
        with av.open(io.BytesIO(data), "r", format=form, options=options, metadata_errors="replace") as file:
            streams = [stream.metadata for stream in file.streams.audio[:1]]
            return next((tags["comment"] for tags in (file.metadata, *streams) if "comment" in tags), None)
    except (av.FFmpegError, ValueError):
        return None
