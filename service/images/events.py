"""The server's messages of ``WS /v1/images/stream``. The client's are in :mod:`ancestral.service.images.schemas`."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from ancestral.service.ws.schemas import ServerEvent, without_default


class ImageStart(ServerEvent):
    """Pictures begin; their rows follow in binary frames."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "image.start",
                    "job": "job_0123456789abcdef01234567",
                    "model": "pixelcnn-digits",
                    "width": 28,
                    "height": 28,
                    "channels": 1,
                    "n": 1,
                    "seed": 7,
                    "seeds": [7],
                }
            ]
        }
    )

    type: Literal["image.start"] = "image.start"
    job: str = Field(description="The id of the job.")
    model: str
    width: int = Field(description="Pixels in a row.")
    height: int = Field(description="Rows of a picture.")
    channels: int = Field(description="Bytes of a pixel: 1 (grey), 3 (RGB) or 4 (RGBA).")
    n: int = Field(description="Number of pictures.")
    seed: int
    seeds: list[int] = Field(description="The seed of each picture.")
    revised_prompts: list[str | None] | SkipJsonSchema[None] = Field(
        default=None,
        json_schema_extra=without_default,
        description="For each picture the names that its seed has drawn, in a prompt for it; absent if none has.",
    )


class ImageCoarse(ServerEvent):
    """The coarse scale of all pictures follows in binary frames, before the first row; only if it was requested."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"type": "image.coarse", "width": 8, "height": 8}]})

    type: Literal["image.coarse"] = "image.coarse"
    width: int = Field(description="Coarse pixels in a row; each stands for a square of the picture.")
    height: int = Field(description="Rows of coarse pixels.")


class ImageDone(ServerEvent):
    """All rows have been sent; the next request may follow."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "image.done",
                    "rows": 28,
                    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                }
            ]
        }
    )

    type: Literal["image.done"] = "image.done"
    rows: int = Field(ge=0, description="Number of rows, of all pictures.")
    sha256: str = Field(description="Of all bytes of all rows.")


class ImageCancelled(ServerEvent):
    """The request was cancelled."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"type": "image.cancelled"}]})

    type: Literal["image.cancelled"] = "image.cancelled"
