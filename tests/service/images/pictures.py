"""What the tests of pictures share: requests, what their answers hold, and files of every kind."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ancestral.models import checkpoint
from ancestral.models.engines import load_image_engine
from ancestral.models.engines.images.engine import ImageEngine
from ancestral.models.palette import pixels_of, rgba
from tests.service.servers import Server
from tests.service.toys import ENCODED, PICTURES

Pixels = NDArray[np.uint8]
SPECS: Final = PICTURES | ENCODED
DRAWING: Final[dict[str, Any]] = {"model": "rgb", "prompt": "dog", "seed": 7, "response_format": "b64_json"}
COMPLETION: Final[dict[str, Any]] = DRAWING | {"rows": 2}
INTERPOLATION: Final[dict[str, Any]] = {
    "model": "rgb", "from": "cat", "to": "cow", "steps": 3, "seed": 7, "response_format": "b64_json",
}  # fmt: skip
_BODIES = {"generations": DRAWING, "completions": COMPLETION, "interpolations": INTERPOLATION}


def post(server: Server, route: str, headers: dict[str, str] | None = None, **changes: Any) -> httpx.Response:
    """POST the route's standard request, changed; a change to None takes the field out."""
    body = {name: value for name, value in (_BODIES[route] | changes).items() if value is not None}
    return httpx.post(
        f"{server.url}/v1/images/{route}",
        content=json.dumps(body),
        headers={"content-type": "application/json"} | (headers or {}),
        timeout=60.0,
    )


def draw(server: Server, **changes: Any) -> list[Pixels]:
    """The pictures of a class."""
    return shown(post(server, "generations", **changes))


def decode(data: bytes) -> Pixels:
    """A file's pixels, ``[H, W, C]``."""
    with Image.open(io.BytesIO(data)) as image:
        indexed = "RGBA" if image.has_transparency_data else "RGB"
        pixels = np.asarray(image.convert(indexed) if image.mode == "P" else image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def files(response: httpx.Response) -> list[bytes]:
    """The files in an answer, from wherever they are."""
    assert response.status_code == 200, response.text
    found = []
    for entry in response.json()["data"]:
        if "url" in entry:
            file = httpx.get(entry["url"], timeout=60.0)
            assert file.status_code == 200, file.text
            found.append(file.content)
        else:
            found.append(base64.b64decode(entry["b64_json"]))
    return found


def shown(response: httpx.Response) -> list[Pixels]:
    """The pictures in an answer."""
    return [decode(file) for file in files(response)]


def seeds(response: httpx.Response) -> list[int]:
    """The seeds of the pictures in an answer."""
    return [entry["seed"] for entry in response.json()["data"]]


def events(response: httpx.Response) -> list[dict[str, Any]]:
    """What a stream told."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    lines = response.text.split("\n\n")
    assert lines.pop() == ""
    assert all(line.startswith("data: ") for line in lines)
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def same(one: list[Pixels], other: list[Pixels]) -> bool:
    """Whether pictures are equal, one by one."""
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def noise(model: str, scale: int = 1, seed: int = 0) -> Pixels:
    """A picture of a model's size, or of a multiple of it, ``[H, W, C]``; of levels, or colours, that it has."""
    return visible(model, random_symbols(model, scale, seed))


def random_symbols(model: str, scale: int = 1, seed: int = 0) -> Pixels:
    """The symbols of :func:`noise`."""
    spec = SPECS[model]
    size = (spec.height * scale, spec.width * scale, spec.channels)
    return np.random.default_rng(seed).integers(0, spec.levels, size).astype(np.uint8)


def visible(model: str, symbols: Pixels) -> Pixels:
    """The pixels of symbols ``[..., C]``: grey, RGB, or RGBA where the palette has a transparent colour."""
    spec = SPECS[model]
    return rgba(spec)[symbols[..., 0]] if spec.transparent else pixels_of(symbols, spec)


def classes_of(model: str) -> tuple[str, ...]:
    """The values of a model's first attribute; none where it has none."""
    return next(iter(PICTURES[model].conditions), ())


def image_of(pixels: Pixels) -> Image.Image:
    """The same for Pillow."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def written(image: Image.Image | Pixels, form: str = "PNG", **options: Any) -> bytes:
    """A file of it."""
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else image_of(image)).save(file, form, **options)
    return file.getvalue()


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def engine_of(zoo: Path, model: str, engine: str = "native") -> ImageEngine:
    """What draws the pictures of a server with this engine: others than ``native`` have single precision."""
    precision = "auto" if engine == "native" else "fp32"
    return load_image_engine("native", checkpoint.load(zoo / model / SPECS[model].kind), precision)
