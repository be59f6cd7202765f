"""Pictures as server-sent events: unfinished as often as was asked for, then finished."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import numpy as np
import pytest

from ancestral.catalog.seeds import part_seed
from ancestral.images.pixels import UNDRAWN
from tests.service.api.envelope import check_envelope
from tests.service.images.pictures import Pixels, base64_of, decode, draw, events, noise, post, same, shown, written
from tests.service.servers import Server
from tests.service.toys import PICTURES

FIELDS = {"type", "b64_json", "created_at", "size", "quality", "background", "output_format", "index", "seed"}


def picture(event: dict[str, Any]) -> Pixels:
    return decode(base64.b64decode(event["b64_json"]))


def drawn_rows(pixels: Pixels, whole: Pixels) -> int:
    """How many rows are there: they are the finished picture's, and what is below is grey."""
    undrawn = np.all(pixels == UNDRAWN, axis=(1, 2))
    rows = len(pixels) - int(np.cumprod(undrawn[::-1]).sum())
    assert np.array_equal(pixels[:rows], whole[:rows])
    return rows


def test_a_finished_picture_alone(server: Server) -> None:
    response = post(server, "generations", stream=True, response_format=None)
    (event,) = events(response)
    assert set(event) == FIELDS | {"usage"}
    assert event["type"] == "image_generation.completed"
    assert (event["size"], event["output_format"], event["index"], event["seed"]) == ("8x6", "png", 0, 7)
    assert event["usage"] == post(server, "generations").json()["usage"]
    assert same([picture(event)], draw(server))
    for name in ("x-seed", "x-model-sha256", "x-engine", "x-job-id"):
        assert response.headers[name]
    assert "content-length" not in response.headers


@pytest.mark.parametrize("model", ["rgb", "binary"])
@pytest.mark.parametrize("wanted", [1, 2, 3])
@pytest.mark.parametrize("scale", [1, 3])
def test_partial_pictures_grow_by_rows(server: Server, model: str, wanted: int, scale: int) -> None:
    spec = PICTURES[model]
    changes = {"model": model, "prompt": "any", "size": f"{spec.width * scale}x{spec.height * scale}"}
    told = events(post(server, "generations", stream=True, partial_images=wanted, **changes))
    (whole,) = draw(server, **changes)
    assert [event["type"] for event in told] == [
        *["image_generation.partial_image"] * wanted,
        "image_generation.completed",
    ]
    assert [event["partial_image_index"] for event in told[:-1]] == list(range(wanted))
    assert all(set(event) == FIELDS | {"partial_image_index"} for event in told[:-1])
    rows = [drawn_rows(picture(event), whole) for event in told]
    assert rows == sorted(rows)
    due = [spec.height * (number + 1) // (wanted + 1) for number in range(wanted)]
    assert all(there >= scale * least for there, least in zip(rows, due, strict=False))
    assert rows[-1] == spec.height * scale
    assert len({(event["created_at"], event["size"], event["seed"]) for event in told}) == 1


def test_several_pictures_grow_side_by_side(server: Server) -> None:
    told = events(post(server, "generations", stream=True, partial_images=2, n=3, output_format="webp"))
    assert [(event.get("partial_image_index"), event["index"]) for event in told] == [
        (number, index) for number in (0, 1, None) for index in range(3)
    ]
    wholes = draw(server, n=3)
    for event in told:
        assert event["output_format"] == "webp"
        assert event["seed"] == part_seed(7, event["index"])
        drawn_rows(picture(event), wholes[event["index"]])
    assert same([picture(event) for event in told[-3:]], wholes)
    assert len({json.dumps(event["usage"]) for event in told[-3:]}) == 1


def test_completions_grow_from_what_is_given(server: Server) -> None:
    changes = {"image": base64_of(written(noise("rgb"))), "rows": 4, "n": 2}
    told = events(post(server, "completions", stream=True, partial_images=3, **changes))
    wholes = shown(post(server, "completions", **changes))
    assert len(told) == 4 * 2
    for event in told:
        assert drawn_rows(picture(event), wholes[event["index"]]) >= 4
    assert same([picture(event) for event in told[-2:]], wholes)


@pytest.mark.parametrize("route", ["generations", "completions"])
def test_what_makes_no_sense(server: Server, route: str) -> None:
    image = {"image": base64_of(written(noise("rgb")))} if route == "completions" else {}
    error = check_envelope(post(server, route, partial_images=2, **image), 400, "partial_images")
    assert error["code"] == "needs_stream"
    changes = {"partial_images": 2, "stream": False} | image
    check_envelope(post(server, route, **changes), 400, "partial_images")
    error = check_envelope(post(server, route, stream=True, response_format="url", **image), 400, "response_format")
    assert error["code"] == "conflict"
    unknown = check_envelope(post(server, route, stream=True, prompt="zebra", **image), 400, "prompt")
    assert unknown["code"] == "class_not_found"


def test_interpolations_are_not_streamed(server: Server) -> None:
    for field, value in (("stream", True), ("partial_images", 1)):
        assert check_envelope(post(server, "interpolations", **{field: value}), 400, field)["code"] == (
            "unknown_parameter"
        )


def test_a_stream_that_is_asked_for_later_is_a_job(server: Server) -> None:
    headers = {"prefer": "respond-async"}
    response = post(server, "generations", headers, stream=True, partial_images=3)
    assert response.status_code == 202
    job = response.json()["id"]
    assert server.ended(job)["status"] == "completed"
    content = httpx.get(f"{server.url}/v1/jobs/{job}/content")
    assert same([decode(content.content)], draw(server))


def test_a_key_that_was_used_gives_the_whole_stream_again(server: Server) -> None:
    headers = {"idempotency-key": "image-events-1"}
    changes = {"stream": True, "partial_images": 2, "seed": None}
    first, second = (post(server, "generations", headers, **changes) for _ in range(2))
    assert first.headers["x-job-id"] == second.headers["x-job-id"]
    ends = [events(response)[-1] for response in (first, second)]
    assert ends[0] == ends[1]
    assert len(events(second)) == 3
