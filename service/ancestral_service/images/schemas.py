"""What routes and the websocket of pictures answer, their queries, and the messages of its clients."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, JsonValue

from ancestral.catalog.descriptions import ANY
from ancestral.requests import (
    PALETTE_NAME,
    SIZE,
    Background,
    ClassRequest,
    Described,
    ImageFormat,
    ImageRequest,
    Names,
    Seed,
    StrictRequest,
)
from ancestral_service.ws import ApiKey, ServerEvent, SessionClose


class ImageGenerate(ClassRequest):
    """The message that requests pictures over a websocket."""

    type: Literal["image.generate"]
    coarse: bool = False
    """Send the coarse scale first (`image.coarse`), of a model that samples pictures in two scales."""
    api_key: ApiKey = None

    def request(self) -> ImageRequest:
        """The request over HTTP for the same pictures."""
        own = {"type", "coarse", "api_key"}
        return ImageRequest(**self.model_dump(by_alias=True, exclude=own), response_format="b64_json")


class ImageCancel(StrictRequest):
    """Cancel the request in progress."""

    type: Literal["image.cancel"]


ImageMessage = ImageGenerate | ImageCancel | SessionClose
IMAGE_MESSAGES: dict[str, type[ImageMessage]] = {
    "image.generate": ImageGenerate,
    "image.cancel": ImageCancel,
    "session.close": SessionClose,
}
"""The messages of a client of ``/v1/images/stream``, by type."""


_REVISED = (
    "The prompt with the names that the seed has drawn, if it has drawn any; with it the seed gives this picture."
)
PALETTE_DISTANCE = (
    "How far the uploaded colours were from those of the model's palette, which took their places: the root mean "
    "square of the differences of red, green and blue, in 0 to 255. Only of models with a palette."
)


_ATTRIBUTES = (
    "What the picture shows, by the classifier of the model, which is not asked what was named; if it has one."
)


class AttributeShown(Described):
    """What a picture shows of one attribute."""

    value: str
    """The most likely value."""
    probability: float = Field(ge=0.0, le=1.0)
    """What the classifier gives it."""


class ImageObject(Described):
    """One picture: a URL or its bytes in base64."""

    url: str | None = None
    b64_json: str | None = None
    revised_prompt: str | None = Field(default=None, description=_REVISED)
    seed: Seed
    """A request for one picture with this seed returns the same picture."""
    attributes: dict[str, AttributeShown] | None = Field(default=None, description=_ATTRIBUTES)


class TokenDetails(Described):
    """The input tokens by kind."""

    image_tokens: int
    text_tokens: int


class ImageUsage(Described):
    """The tokens of a request: sub-pixels, given and sampled, also of candidates; a class is one text token."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: TokenDetails


class ImageEvent(Described):
    """The fields of every server-sent event of a stream of pictures."""

    b64_json: str = Field(json_schema_extra={"contentEncoding": "base64"})
    created_at: int
    size: str
    drawn_size: str | None = None
    """Of the picture within a file that was padded."""
    quality: Literal["auto"] = "auto"
    background: Literal["transparent", "opaque"]
    output_format: ImageFormat
    index: int = Field(ge=0)
    """The index of the picture in the request."""
    seed: Seed
    """The seed of this picture."""
    revised_prompt: str | None = Field(default=None, description=_REVISED)


_EVENT_EXAMPLE: dict[str, JsonValue] = {
    "b64_json": "iVBORw0KGgo=", "created_at": 1700000000, "size": "28x28", "quality": "auto", "background": "opaque",
    "output_format": "png", "index": 0, "seed": 7,
}  # fmt: skip


_USAGE_EXAMPLE: dict[str, JsonValue] = {
    "input_tokens": 1, "output_tokens": 784, "total_tokens": 785,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 1},
}  # fmt: skip


def _shown_as(event: str, **fields: JsonValue) -> ConfigDict:
    """The example of an event."""
    return ConfigDict(json_schema_extra={"examples": [{"type": event} | _EVENT_EXAMPLE | fields]})


class PartialPicture(ImageEvent):
    """A partial picture: the rows sampled so far, and the rest empty."""

    partial_image_index: int = Field(ge=0)


class CompletedPicture(ImageEvent):
    """A finished picture."""

    usage: ImageUsage
    """The usage of all pictures of the request."""
    attributes: dict[str, AttributeShown] | None = Field(default=None, description=_ATTRIBUTES)
    palette_distance: float | None = Field(default=None, description=PALETTE_DISTANCE)


class ImagePartial(PartialPicture):
    """A partial picture: the rows sampled so far, and the rest empty."""

    model_config = _shown_as("image_generation.partial_image", partial_image_index=0)

    type: Literal["image_generation.partial_image"] = "image_generation.partial_image"


class ImageCompleted(CompletedPicture):
    """A finished picture."""

    model_config = _shown_as("image_generation.completed", usage=_USAGE_EXAMPLE)

    type: Literal["image_generation.completed"] = "image_generation.completed"


class EditPartial(PartialPicture):
    """A partial picture of an edit: its rows so far, and the rest empty."""

    model_config = _shown_as("image_edit.partial_image", partial_image_index=0)

    type: Literal["image_edit.partial_image"] = "image_edit.partial_image"


class EditCompleted(CompletedPicture):
    """A finished edit."""

    model_config = _shown_as("image_edit.completed", usage=_USAGE_EXAMPLE)

    type: Literal["image_edit.completed"] = "image_edit.completed"


class ImagesObject(Described):
    """Pictures."""

    created: int
    data: list[ImageObject]
    output_format: ImageFormat
    size: str
    """Of the files; of a `sheet` that of one frame, as in the request."""
    drawn_size: str | None = None
    """Of the picture within a file that was padded."""
    usage: ImageUsage
    palette_distance: float | None = Field(default=None, description=PALETTE_DISTANCE)
    atlas: dict[str, JsonValue] | None = None
    """Of a `sheet`: where its frames are, and its animations, in TexturePacker's JSON (hash)."""


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


class ImageLikelihood(Described):
    """How likely a picture is. ``nats`` is minus the logarithm of its probability, ``dims`` counts sub-pixels."""

    bits_per_dim: float
    nats: float
    dims: int
    palette_distance: float | None = Field(default=None, description=PALETTE_DISTANCE)
    map: str | None = None
    """A PNG in base64, if requested: brighter pixels were less likely, white at 8 bits for each sub-pixel (1 bit, where
    a sub-pixel has two levels)."""


class AvatarQuery(Described):
    """The query parameters of ``GET /v1/avatars/{name}.png``, as those of a request for a picture."""

    model: str = Field(default="pixelcnn-avatars", min_length=1, max_length=256)
    """The id of a model."""
    prompt: Names = ANY
    """What every name's picture has; the name draws the rest."""
    style: str | None = Field(default=None, min_length=1, max_length=256)
    """The style of every name's picture; any if absent."""
    size: str | None = Field(default=None, pattern=SIZE)
    """`WIDTHxHEIGHT`: the model's own, or a whole multiple of it."""
    background: Background = "auto"
    """`opaque` makes a transparent background white."""
    palette: str | None = Field(default=None, min_length=1, max_length=64, description=PALETTE_NAME)


class ClassesQuery(Described):
    """The query parameters of ``GET /v1/images/classes``."""

    model: str | None = Field(default=None, min_length=1, max_length=256)
    """Only of this model; an id of `/v1/models`."""
    embeddings: bool = False
    """Include the embedding vector of each."""


class ClassObject(Described):
    """A value of an attribute of a model."""

    id: str
    object: str
    """The attribute: `class`, `style`, `species`, …; that of a subclass is `kind`."""
    model: str
    of_class: str | None = Field(default=None, alias="class")
    """The value of another attribute that this one belongs to."""
    thumbnail_url: str | None = None
    """A PNG file; absent if the model has none."""
    embedding: list[float] | None = None
    """The embedding vector, usable in interpolations. Only with `embeddings=true`."""


class ClassList(Described):
    """All values of all attributes, attribute by attribute."""

    object: Literal["list"] = "list"
    data: list[ClassObject]


class ImageStart(ServerEvent):
    """Pictures begin; their rows follow in binary frames."""

    type: Literal["image.start"] = "image.start"
    job: str
    """The id of the job."""
    model: str
    width: int
    """Pixels in a row."""
    height: int
    """Rows of a picture."""
    channels: int
    """Bytes of a pixel: 1 (grey), 3 (RGB) or 4 (RGBA)."""
    n: int
    """Number of pictures."""
    seed: Seed
    seeds: list[Seed]
    """The seed of each picture."""
    revised_prompts: list[str | None] | None = None
    """For each picture the names that its seed has drawn, in a prompt for it; absent if none has."""


class ImageCoarse(ServerEvent):
    """The coarse scale of all pictures follows in binary frames, before the first row; only if it was requested."""

    type: Literal["image.coarse"] = "image.coarse"
    width: int
    """Coarse pixels in a row; each stands for a square of the picture."""
    height: int
    """Rows of coarse pixels."""


class ImageDone(ServerEvent):
    """All rows have been sent; the next request may follow."""

    type: Literal["image.done"] = "image.done"
    rows: int = Field(ge=0)
    """Number of rows, of all pictures."""
    sha256: str
    """Of all bytes of all rows."""
    attributes: list[dict[str, AttributeShown]] | None = None
    """What each picture shows, by the classifier of the model, if it has one."""


class ImageCancelled(ServerEvent):
    """The request was cancelled."""

    type: Literal["image.cancelled"] = "image.cancelled"
