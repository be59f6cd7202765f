"""What the tests of pictures share: requests, what their answers hold, files of every kind, and a websocket."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from websockets.sync.client import connect

from ancestral_models import checkpoint
from ancestral_models.engines.images.engine import ImageEngine
from ancestral_models.engines.images.native import NativeImageEngine
from ancestral_models.spec import pixels_of, rgba
from tests.service.api.job_requests import accepted
from tests.service.servers import Server
from tests.service.toys import ASYNC, ENCODED, PICTURES
from tests.service.ws_client import Client, checked_error

Pixels = NDArray[np.uint8]
SPECS: Final = PICTURES | ENCODED
DRAWING: Final[dict[str, Any]] = {"model": "rgb", "prompt": "dog", "seed": 7, "response_format": "b64_json"}
COMPLETION: Final[dict[str, Any]] = DRAWING | {"rows": 2}
INTERPOLATION: Final[dict[str, Any]] = {
    "model": "rgb", "from": "cat", "to": "cow", "steps": 3, "seed": 7, "response_format": "b64_json",
}  # fmt: skip
KEPT: Final = np.ones((8, 8), bool)
KEPT[2:6, 3:7] = False
"""What the standard edit keeps: all but a square in the middle."""
BEST: Final[dict[str, Any]] = {"model": "palette", "prompt": "orc, robe, axe", "n": 2, "best_of": 4}
"""Two pictures, each the best of four."""
_DECODING: Final = {"seed": 7, "response_format": "b64_json"}
BODIES: Final[dict[str, dict[str, Any]]] = {
    "generations": DRAWING, "completions": COMPLETION, "interpolations": INTERPOLATION,
    "edits": DRAWING | {"model": "palette", "prompt": "axe"}, "reconstructions": _DECODING | {"model": "autoencoder"},
    "portraits": _DECODING | {"model": "portraits"}, "encodings": {"model": "autoencoder"},
    "likelihood": {"model": "rgb"},
}  # fmt: skip
ROUTES: Final = tuple(BODIES)
FORMS: Final = ROUTES[3:]
"""The routes that take a multipart form."""


# Requests


def post(server: Server, route: str, headers: dict[str, str] | None = None, **changes: Any) -> httpx.Response:
    """POST the route's standard request, changed; a change to None takes the field out. A picture is uploaded where the
    route needs one, by default noise."""
    standard = BODIES[route]
    body = standard | changes
    if route in (*FORMS, "completions"):
        model = body["model"] if body["model"] in SPECS else standard["model"]
        body = {"file" if route == "likelihood" else "image": noise(model)} | body
    if route == "edits":
        body = {"mask": mask_of(KEPT)} | body
    found = {k: written(v) if isinstance(v, np.ndarray) else v for k, v in body.items() if v is not None}
    url = f"{server.url}/v1/images/{route}"
    if route in FORMS:
        uploads = {
            k: ("a.png", v) if isinstance(v, bytes) else v for k, v in found.items() if type(v) in (bytes, tuple)
        }
        fields = {name: value for name, value in found.items() if name not in uploads}
        return httpx.post(url, data=fields, files=uploads, headers=headers, timeout=60.0)
    text = json.dumps({name: base64_of(value) if isinstance(value, bytes) else value for name, value in found.items()})
    return httpx.post(url, content=text, headers={"content-type": "application/json"} | (headers or {}), timeout=60.0)


def draw(server: Server, **changes: Any) -> list[Pixels]:
    """The pictures of a class."""
    return shown(post(server, "generations", **changes))


def submit(server: Server, route: str = "generations", **changes: Any) -> str:
    """A job to be fetched later; its id."""
    response = post(server, route, ASYNC, **changes)
    job = accepted(response)
    assert response.headers["location"] == f"/v1/jobs/{job}"
    return job


def content(server: Server, job: str, **headers: str) -> httpx.Response:
    server.ended(job)
    return httpx.get(f"{server.url}/v1/jobs/{job}/content", headers=headers, timeout=60)


def manifest_of(server: Server, job: str) -> dict[str, Any]:
    server.ended(job)
    response = httpx.get(f"{server.url}/v1/jobs/{job}/manifest", timeout=60)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def verify(server: Server, manifest: dict[str, Any], **changes: Any) -> httpx.Response:
    """Have a manifest run again, with its request changed."""
    body = manifest | {"request": manifest["request"] | changes}
    return httpx.post(f"{server.url}/v1/verify", json=body, timeout=60)


# Answers


def decode(data: bytes) -> Pixels:
    """A file's pixels, ``[H, W, C]``."""
    with Image.open(io.BytesIO(data)) as image:
        indexed = "RGBA" if image.has_transparency_data else "RGB"
        pixels = np.asarray(image.convert(indexed) if image.mode == "P" else image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def recipe_of(data: bytes) -> dict[str, Any]:
    """What a PNG says of how it was made."""
    with Image.open(io.BytesIO(data)) as image:
        found: dict[str, Any] = json.loads(image.info["recipe"])
    return found


def entries(response: httpx.Response) -> list[dict[str, Any]]:
    """The pictures of an answer, and what is said of them."""
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["data"]
    return found


def files(response: httpx.Response) -> list[bytes]:
    """The files in an answer, from wherever they are."""
    found = []
    for entry in entries(response):
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
    return [entry["seed"] for entry in entries(response)]


def usage(given: int, drawn: int, names: int) -> dict[str, Any]:
    """What an answer says that was used: symbols that were given and drawn, and names in the prompt."""
    return {
        "input_tokens": given + names, "output_tokens": drawn, "total_tokens": given + drawn + names,
        "input_tokens_details": {"image_tokens": given, "text_tokens": names},
    }  # fmt: skip


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


# Pictures


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


def mask_of(kept: NDArray[np.bool_], scale: int = 1) -> bytes:
    """A file that is transparent where nothing is kept; its colours do not matter."""
    pixels = np.random.default_rng(2).integers(0, 256, (*kept.shape, 4)).astype(np.uint8)
    pixels[..., 3] = np.where(kept, 255, 0)
    return written(pixels.repeat(scale, 0).repeat(scale, 1))


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


@cache
def engine_of(zoo: Path, model: str, engine: str = "native") -> ImageEngine:
    """What draws the pictures of a server with this engine: others than ``native`` have single precision."""
    return NativeImageEngine(checkpoint.load(zoo / model / SPECS[model].kind), None if engine == "native" else False)


# The websocket


class Watch(Client):
    """One connection."""

    def generate(self, **changes: object) -> None:
        fields = {"model": "rgb", "prompt": "dog", "seed": 7} | changes
        self.say("image.generate", **{name: value for name, value in fields.items() if value is not None})

    def told(self) -> dict[str, Any]:
        """The next message, which is no picture."""
        message = self.hear()
        assert isinstance(message, dict)
        return message

    def error(self) -> dict[str, Any]:
        return checked_error(self.told())

    def frames(self) -> tuple[list[bytes], dict[str, Any]]:
        """What comes to the end of an answer, and its end."""
        frames = []
        while isinstance(message := self.hear(), bytes):
            frames.append(message)
        return frames, message

    def answer(self) -> tuple[dict[str, Any], list[Pixels], dict[str, Any]]:
        """A whole answer: its start, its pictures, its end; its messages are checked."""
        start = self.told()
        assert start["type"] == "image.start", start
        frames, done = self.frames()
        data, row = b"".join(frames), start["n"] * start["width"] * start["channels"]
        assert all(frame and len(frame) % row == 0 for frame in frames)
        ended = {"type": "image.done", "rows": start["height"], "sha256": hashlib.sha256(data).hexdigest()}
        judged = {"attributes": done["attributes"]} if start["model"] == "palette" else {}  # which has a classifier
        assert done == ended | judged
        shape = (start["height"], start["n"], start["width"], start["channels"])
        return start, list(np.frombuffer(data, np.uint8).reshape(shape).swapaxes(0, 1)), done

    def pictures(self) -> list[Pixels]:
        """The pictures of a whole answer."""
        return self.answer()[1]


@contextmanager
def watching(server: Server, query: str = "", **options: Any) -> Iterator[Watch]:
    url = f"ws://127.0.0.1:{server.port}/v1/images/stream{query}"
    with connect(url, proxy=None, compression=None, close_timeout=5, **options) as connection:
        yield Watch(connection)
