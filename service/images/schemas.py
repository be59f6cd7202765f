"""Requests for pictures and their responses: OpenAI's fields, and ours."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue

from ancestral.catalog.models import ANY
from ancestral.images.palettes import MAX_COLOURS, PALETTES
from ancestral.models.entries import MAX_BEST_OF, MAX_GUIDANCE
from ancestral.service.jobs.schemas import NO_EFFECT, Described, RequestSeed, Seed, StrictRequest
from ancestral.service.jobs.validation import pattern
from ancestral.service.ws.schemas import ApiKey, SessionClose

ImageFormat = Literal["png", "webp", "jpeg"]
Background = Literal["auto", "transparent", "opaque"]

MAX_PICTURES = 10
"""Most pictures sampled for one request."""
MAX_STEPS = 16
_PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBIAAAAVUlEQVR4nNWPOw4AIAhDrfe/Mw5GwqeQODjYCXi0yhg/CVqJbwn0M7sq2CsU"
    "asIZzu5DDKKEYuqrWOmgfZJAc1yALjU7UUJvTE6UMBijEx3sFHPfaAEOaAshdQo8RQAAAABJRU5ErkJggg=="
)
"""A PNG file of 28 by 28 pixels, for an example."""
PROMPT_OF_EDIT = (
    "Names that `/v1/images/classes` lists, of any attributes, separated by commas, in any case; or `any`: what the "
    "picture is to show. Of what is not named the network draws what suits the pixels that are kept. Either this or "
    "`class` is required."
)
PARTIAL_IMAGES = "Number of partial pictures that a stream sends before each finished one."
_Colour = Annotated[str, Field(pattern=pattern(r"^#[0-9a-fA-F]{6}$", "a colour like #00ff7f"))]
Palette = Annotated[str, Field(min_length=1, max_length=64)] | Annotated[list[_Colour], Field(max_length=MAX_COLOURS)]
PALETTE_NAME = (
    "The pictures' colours become the nearest of this palette, after sampling and without dithering; what is "
    f"transparent stays so: {', '.join(f'`{name}`' for name in PALETTES)}."
)
_BEST_OF = (
    "Candidates that are sampled for each picture; the one is returned that shows best what was named, by the model's "
    "classifier. Only of models that have one (capability `image_classification`). `usage` counts all candidates, and "
    "`n` times `best_of` is at most 10."
)
_SIZE = pattern(r"^(auto|[1-9][0-9]{0,3}x[1-9][0-9]{0,3})$", "auto, or WIDTHxHEIGHT in pixels, like 280x280")
_Name = Annotated[str, Field(min_length=1, max_length=256)]
_Names = Annotated[str, Field(min_length=1, max_length=4096)]
_Embedding = Annotated[list[Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]], Field(max_length=4096)]


class PictureRequest(StrictRequest):
    """The fields of every request for pictures."""

    model: str = Field(min_length=1, max_length=256)
    """The id of a model that `/v1/models` lists."""
    size: str | None = Field(default=None, pattern=_SIZE)
    """`WIDTHxHEIGHT`: the model's own (`auto`, the default), or a whole multiple, each pixel a square."""
    fit: Literal["exact", "pad"] | None = None
    """What to do about another `size`: `exact` refuses it; `pad` draws the largest whole multiple that fits, in the
    middle of a file of that size, on the colour of the picture's edge. The default is `exact`, and `pad` if `model` is
    an alias."""
    response_format: Literal["url", "b64_json"] | None = None
    """The default is `url`; it is `b64_json` if `model` is an alias that begins with `gpt-image`, as it is at OpenAI. A
    stream always uses `b64_json`."""
    output_format: ImageFormat = "png"
    """webp is lossless, jpeg is not."""
    background: Background = "auto"
    """Of a model with a transparent colour: `opaque` makes that white. `auto` is `transparent` where model and format
    allow it."""
    palette: Palette | None = Field(
        default=None,
        description=f"{PALETTE_NAME} Or a list of 2 to {MAX_COLOURS} colours.",
        examples=["game-boy", ["#1a1c2c", "#f4f4f4"]],
    )
    seed: RequestSeed | None = None
    """The same seed gives the same pictures; the response has a seed for each. Drawn if absent."""
    temperature: float | None = Field(default=None, ge=0.0, le=2.0, allow_inf_nan=False)
    """Divides the logits; 0 takes the most likely level, 1 samples the model as it is. The default is the model's
    own."""


class BaseImageRequest(PictureRequest):
    """The fields of every request for pictures of a model that has classes or other attributes."""

    style: _Name | None = None
    """A style that `/v1/images/classes` lists, in any case; default `any`: unspecified."""
    guidance: float | None = Field(default=None, ge=0.0, le=MAX_GUIDANCE, allow_inf_nan=False)
    """Strength of classifier-free guidance: 1 samples the model as it is; more gives pictures that show their class
    more clearly and differ less from each other. Anything but 1 takes twice as long. The default is the model's own."""


class ImageRequest(BaseImageRequest):
    """``POST /v1/images/generations``: pictures of a class, or of other attributes."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": "pixelcnn-digits", "prompt": "7", "n": 2, "size": "280x280", "seed": 7}]
        }
    )

    prompt: str | None = Field(default=None, min_length=1, max_length=4096)
    """Names that `/v1/images/classes` lists, of any attributes, separated by commas, in any case; or `any`. The seed
    draws what is not named. Either this or `class` is required by a model that has classes."""
    asked_class: _Names | None = Field(default=None, alias="class")
    """The same as `prompt`."""
    n: int = Field(default=1, ge=1, le=MAX_PICTURES)
    """Number of pictures."""
    best_of: int = Field(default=1, ge=1, le=MAX_BEST_OF, description=_BEST_OF)
    sheet: _Name | None = None
    """A sheet that the model lays out (`/v1/models` lists them): one character in all directions and frames, from one
    seed, in one file; with `atlas`. `size` is that of one frame."""
    stream: bool = False
    """Answer with server-sent events."""
    partial_images: int = Field(default=0, ge=0, le=3, description=PARTIAL_IMAGES)
    moderation: Literal["auto", "low"] | None = Field(default=None, description=NO_EFFECT)
    quality: Literal["auto"] | None = Field(default=None, description=NO_EFFECT)
    user: str | None = Field(default=None, max_length=256, description=NO_EFFECT)


class CompletionRequest(ImageRequest):
    """``POST /v1/images/completions``: the rest of a picture whose first rows are given."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": "pixelcnn-digits", "class": "7", "rows": 14, "seed": 8, "image": _PICTURE}]
        }
    )

    image: str = Field(min_length=1)
    """A PNG, WebP or JPEG file in base64, or as a `data:` URL; of the model's size or a whole multiple."""
    rows: int | None = Field(default=None, ge=1)
    """Number of rows that are kept; half of them if absent."""


class EditRequest(ImageRequest):
    """``POST /v1/images/edits``, with the files as text, as manifests are verified."""

    prompt: str | None = Field(default=None, min_length=1, max_length=4096, description=PROMPT_OF_EDIT)
    input_fidelity: Literal["high", "low"] | None = Field(default=None, description=NO_EFFECT)
    image: str = Field(min_length=1)
    """A PNG, WebP or JPEG file in base64, or as a `data:` URL."""
    mask: str = Field(min_length=1)
    """A PNG or WebP file in the same way: transparent where the picture is drawn anew."""


class InterpolationRequest(BaseImageRequest):
    """``POST /v1/images/interpolations``: from one class or picture to another, one picture per step, one seed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": "pixelcnn-fashion", "from": "sandal", "to": "ankle boot", "steps": 5, "seed": 7}]
        }
    )

    begin: _Names | _Embedding = Field(alias="from")
    """Names as in a prompt, or a vector like those of `/v1/images/classes?embeddings=true`; of a model that draws from
    pictures, a vector of `/v1/images/encodings`."""
    end: _Names | _Embedding = Field(alias="to")
    """The same."""
    steps: int = Field(default=8, ge=2, le=MAX_STEPS)
    """Number of pictures, both ends included."""


class ImageGenerate(StrictRequest):
    """The message that requests pictures over a websocket; fields as in :class:`ImageRequest`."""

    type: Literal["image.generate"]
    model: str = Field(min_length=1, max_length=256)
    prompt: str | None = Field(default=None, min_length=1, max_length=4096)
    asked_class: _Names | None = Field(default=None, alias="class")
    style: _Name | None = None
    n: int = Field(default=1, ge=1, le=MAX_PICTURES)
    best_of: int = Field(default=1, ge=1, le=MAX_BEST_OF, description=_BEST_OF)
    seed: RequestSeed | None = None
    temperature: float | None = Field(default=None, ge=0.0, le=2.0, allow_inf_nan=False)
    guidance: float | None = Field(default=None, ge=0.0, le=MAX_GUIDANCE, allow_inf_nan=False)
    background: Background = "auto"
    palette: Palette | None = None
    coarse: bool = False
    """Send the coarse scale first (`image.coarse`), of a model that samples pictures in two scales."""
    api_key: ApiKey = None

    def request(self) -> ImageRequest:
        """The request over HTTP for the same pictures."""
        return ImageRequest(**self.model_dump(by_alias=True, exclude={"type", "coarse"}), response_format="b64_json")


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
    prompt: _Names = ANY
    """What every name's picture has; the name draws the rest."""
    style: _Name | None = None
    """The style of every name's picture; any if absent."""
    size: str | None = Field(default=None, pattern=_SIZE)
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
