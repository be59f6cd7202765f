"""What the routes of pictures refuse: one table. tests/service/test_requests.py has the wrong values of every field of
JSON bodies, test_uploads.py the files."""

from __future__ import annotations

import json
from typing import Any

import httpx
import numpy as np
import pytest

from tests.service.api.job_requests import check_envelope
from tests.service.images.pictures import FORMS, KEPT, ROUTES, draw, mask_of, noise, post, same, written
from tests.service.refusals import rows
from tests.service.servers import Server

ALPHA = np.zeros((8, 8, 4), np.uint8)
HOSTILE = [b"", b"GIF89a", written(noise("autoencoder"))[:60], written(noise("binary"))]
FILES: dict[str, list[tuple[dict[str, Any], str, str]]] = {
    "edits": [
        *(({"mask": file}, "mask", "invalid_mask") for file in (mask_of(KEPT | True), mask_of(KEPT & False))),
        *(({"mask": file}, "mask", "invalid_image") for file in (ALPHA[..., :3], ALPHA[:7], written(ALPHA)[:-20], b"")),
        *(({"image": file}, "image", "invalid_image") for file in (b"\x89PNG\r\n\x1a\n" + bytes(80), noise("rgb"))),
    ],
    "likelihood": [({"file": None, "image": ("a.png", HOSTILE[-1])}, "file", "-")],
    **{
        route: [*(({"image": file}, "image", "invalid_image") for file in HOSTILE),
                ({"image": None, "model": (None, "autoencoder")}, "image", "-")]
        for route in ("reconstructions", "encodings")
    },
}  # fmt: skip
"""For each route: changes of its standard request, the field that is named, and the code, or words of the message."""


def refused(route: str) -> list[tuple[dict[str, Any], str, str]]:
    """Those, and what refusals.txt has."""
    found = [(json.loads(sent), *told.split(" ", 1)) for sent, told in rows(f"images/{route}")] + FILES.get(route, [])
    if route in FORMS:
        field = "file" if route == "likelihood" else "image"
        found += [({field: (None, "text")}, field, "-"), ({"other": ("a.png", b"a")}, "other", "-")]
    return found


@pytest.mark.parametrize("route", ROUTES)
def test_what_is_refused_is_named(server: Server, route: str) -> None:
    with server.unharmed():
        for changes, param, code in refused(route):
            response = post(server, route, **changes)
            assert response.status_code in (400, 404), (changes, response.text)
            found = response.json()["error"]
            error = check_envelope(response, 404 if found["code"] == "model_not_found" else 400, param)
            assert code in ("-", error["code"]) or code in error["message"], (changes, error)
        assert same(draw(server), draw(server))


def test_bodies_over_the_limit(server: Server) -> None:
    check_envelope(post(server, "generations", prompt="A" * (2 << 20)), 413, None)
    check_envelope(post(server, "completions", image="A" * (2 << 20)), 400, "image")  # uploads may be larger


def test_wrong_queries_for_classes(server: Server) -> None:
    url = f"{server.url}/v1/images/classes"
    check_envelope(httpx.get(f"{url}?model=frog"), 404, "model")
    check_envelope(httpx.get(f"{url}?embeddings=perhaps"), 400, "embeddings")
