"""The server's messages of ``WS /v1/images/stream``. The client's are in :mod:`ancestral.service.images.schemas`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ancestral.service.images.schemas import AttributeShown
from ancestral.service.jobs.schemas import Seed
from ancestral.service.ws.schemas import ServerEvent


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
