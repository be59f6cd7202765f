"""Requests and responses of the routes that draw from an uploaded picture, and of its vector."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ancestral.service.images.schemas import MAX_PICTURES, PALETTE_DISTANCE, PARTIAL_IMAGES, PictureRequest
from ancestral.service.jobs.schemas import Described


class DecodingRequest(PictureRequest):
    """The fields of requests for pictures of what an uploaded picture shows, but for that picture."""

    n: int = Field(default=1, ge=1, le=MAX_PICTURES)
    """Number of pictures, each with a seed of its own."""
    stream: bool = False
    """Answer with server-sent events."""
    partial_images: int = Field(default=0, ge=0, le=3, description=PARTIAL_IMAGES)


class ReconstructionRequest(DecodingRequest):
    """``POST /v1/images/reconstructions`` and ``/portraits``, with the picture as text, as manifests are verified."""

    image: str = Field(min_length=1)
    """A PNG, WebP or JPEG file in base64, or as a `data:` URL."""


class Encoding(Described):
    """The vector of a picture."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float]
    """Usable as `from` and `to` of interpolations of the same model."""


class EncodingUsage(Described):
    """The tokens of a request: the sub-pixels of the picture."""

    prompt_tokens: int
    total_tokens: int


class EncodingList(Described):
    """The vectors of pictures, in the shape of OpenAI's embeddings."""

    object: Literal["list"] = "list"
    data: list[Encoding]
    model: str
    usage: EncodingUsage
    palette_distance: float | None = Field(default=None, description=PALETTE_DISTANCE)
