"""Many requests at a time, pictures and speech: each gets what it would have got alone."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.service.images.pictures import COMPLETION, DRAWING, INTERPOLATION, base64_of, classes_of, noise, written
from tests.service.servers import Serve
from tests.service.toys import GENERATION, PICTURES, SPEECH

REQUESTS, AT_A_TIME = 120, 12
Order = tuple[str, dict[str, Any]]


def order(number: int) -> Order:
    """No two of the requests are the same; one of four is for sound."""
    model = list(PICTURES)[number % len(PICTURES)]
    names = [*classes_of(model), "any"]
    own: dict[str, Any] = {
        "model": model,
        "prompt": names[number // 4 % len(names)] if classes_of(model) else None,
        "seed": number,
        "n": number % 4 + 1,
        "temperature": (1.0, 0.5, 0.0)[number % 7 % 3],
        "guidance": (None, 2.0)[number % 2] if classes_of(model) else None,
        "output_format": ("png", "webp", "jpeg")[number % 5 % 3],
    }
    if number % 8 == 0:
        return "audio/speech", SPEECH | {"input": f"Canoe number {number}.", "seed": number}
    if number % 8 == 4:
        return "audio/generations", GENERATION | {"duration": 0.5, "seed": number}
    if number % 8 == 2:
        return "images/completions", COMPLETION | own | {"image": base64_of(written(noise(model, seed=number)))}
    if number % 8 == 6:
        return "images/interpolations", INTERPOLATION | {"seed": number, "steps": number % 6 + 2}
    if number % 8 == 1:
        return "images/generations", DRAWING | own | {"stream": True, "partial_images": 0}
    return "images/generations", DRAWING | own


def body(client: httpx.Client, wanted: Order) -> bytes:
    """What of an answer must always be the same: all but when it was made."""
    route, fields = wanted
    given = {name: value for name, value in fields.items() if value is not None}
    response = client.post(f"/v1/{route}", json=given)
    assert response.status_code == 200, response.text
    if route.startswith("audio") or "text/event-stream" in response.headers["content-type"]:
        return re.sub(rb'"created_at":\s*\d+', b"", response.content)
    return repr(response.json()["data"]).encode()


@pytest.mark.slow
def test_nobody_gets_anything_of_anybody_else(serve: Serve) -> None:
    orders = [order(number) for number in range(REQUESTS)]
    with serve(interactive_slots=8, max_queued_streams=AT_A_TIME) as server, server.client() as client:
        alone = [body(client, wanted) for wanted in orders]
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            together = list(pool.map(lambda wanted: body(client, wanted), orders))
        assert not [line for line in server.log if "traceback" in line]
    assert len(set(alone)) > REQUESTS * 0.9  # at temperature 0 the seed does not matter
    assert [number for number in range(REQUESTS) if together[number] != alone[number]] == []
