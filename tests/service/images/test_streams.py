"""Pictures that are shown while they are drawn: server-sent events, and `WS /v1/images/stream`."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.exceptions import InvalidStatus

from ancestral.images.files import UNDRAWN
from ancestral_service.ws import MAX_ERRORS
from tests.service.images.pictures import (
    BEST,
    BODIES,
    SPECS,
    Pixels,
    classes_of,
    decode,
    draw,
    entries,
    events,
    post,
    same,
    shown,
    watching,
)
from tests.service.servers import Serve, Server
from tests.service.shaky import reading_slowly
from tests.service.toys import PICTURES

FIELDS = {"type", "b64_json", "created_at", "size", "quality", "background", "output_format", "index", "seed"}
BIRDS = {"model": "subclasses", "prompt": "birds", "n": 4}
ELF = {"model": "palette", "prompt": "elf"}


# Server-sent events


def drawn_rows(pixels: Pixels, whole: Pixels) -> int:
    """How many rows are there: they are the finished picture's, and what is below is grey."""
    undrawn = np.all(pixels[..., :3] == UNDRAWN, axis=(1, 2))
    rows = len(pixels) - int(np.cumprod(undrawn[::-1]).sum())
    assert np.array_equal(pixels[:rows], whole[:rows])
    assert (pixels[rows:, :, 3:] == 255).all()
    return rows


STREAMED: list[tuple[str, dict[str, Any], int]] = [
    ("generations", {}, 0), ("generations", {"size": "24x18"}, 1),
    ("generations", {"model": "binary", "prompt": "any"}, 3), ("generations", {"n": 3, "output_format": "webp"}, 2),
    ("generations", ELF, 1), ("generations", BIRDS, 0), ("generations", BEST, 0),
    ("completions", {"rows": 4, "n": 2}, 3), ("edits", {}, 2), ("reconstructions", {"n": 2}, 1),
]  # fmt: skip
"""Route, request, and how many unfinished pictures are asked for."""


@pytest.mark.parametrize(("route", "changes", "partial"), STREAMED)
def test_pictures_grow_by_rows_and_end_as_those_of_an_answer(
    server: Server, route: str, changes: dict[str, Any], partial: int
) -> None:
    answer = post(server, route, **changes)
    wholes, n, size = shown(answer), len(entries(answer)), answer.json()["size"]
    form = {"stream": "true", "partial_images": str(partial)}  # of a multipart form
    body = {"stream": True, "partial_images": partial} if route in ("generations", "completions") else form
    response = post(server, route, **changes | body | {"response_format": None})
    told = events(response)
    assert [(event.get("partial_image_index"), event["index"]) for event in told] == [
        (number, index) for number in (*range(partial), None) for index in range(n)
    ]
    prefix = "image_edit" if route == "edits" else "image_generation"
    assert [event["type"] for event in told] == [f"{prefix}.partial_image"] * partial * n + [f"{prefix}.completed"] * n
    height = SPECS[(BODIES[route] | changes)["model"]].height
    for event in told:
        picture = decode(base64.b64decode(event["b64_json"]))
        number, scale = event.get("partial_image_index", partial), len(picture) // height
        due = max(height * (number + 1) // (partial + 1), changes.get("rows", 0))
        assert drawn_rows(picture, wholes[event["index"]]) >= scale * due
        assert (event["size"], event["output_format"]) == (size, changes.get("output_format", "png"))
        assert event["background"] == ("transparent" if picture.shape[2] == 4 else "opaque")
        if number < partial:
            assert set(event) - {"revised_prompt"} == FIELDS | {"partial_image_index"}
    assert len({event["created_at"] for event in told}) == 1
    more = {"usage"} | set(answer.json()) & {"palette_distance"}
    for event, entry in zip(told[-n:], entries(answer), strict=True):
        assert set(event) == FIELDS | more | set(entry) & {"revised_prompt", "attributes"}
        assert {name: event[name] for name in entry} == entry
        assert {name: event[name] for name in more} == {name: answer.json()[name] for name in more}
    for name in ("x-seed", "x-model-sha256", "x-engine", "x-job-id"):
        assert response.headers[name]
    assert "content-length" not in response.headers


# The websocket


def test_an_answer_over_a_websocket_is_that_of_http(server: Server) -> None:
    asked: list[dict[str, Any]] = [
        *({"model": model, "prompt": (*classes_of(model), None, None)[1], "n": n, "temperature": 0.9}
          for model in PICTURES for n in (1, 3)),
        {"style": "oil", "n": 2}, {"prompt": None, "class": "cow"}, {"prompt": "any"}, BIRDS,
        {**BIRDS, "prompt": "owl"}, ELF, {**ELF, "background": "opaque"}, {**ELF, "palette": "db32"}, BEST,
        {"model": "grey", "prompt": None, "palette": "db32"}, {"coarse": True},
    ]  # fmt: skip
    with watching(server) as watch:
        for changes in asked:
            watch.generate(**changes)
            start, pictures, done = watch.answer()
            answer = post(server, "generations", **{k: v for k, v in changes.items() if k != "coarse"})
            assert same(pictures, shown(answer)), changes
            model = SPECS[changes.get("model", "rgb")]
            told = {
                "type": "image.start", "job": start["job"], "model": changes.get("model", "rgb"), "width": model.width,
                "height": model.height, "channels": shown(answer)[0].shape[2], "n": len(pictures), "seed": 7,
                "seeds": [entry["seed"] for entry in entries(answer)],
            }  # fmt: skip
            revised = [entry["revised_prompt"] for entry in entries(answer) if "revised_prompt" in entry]
            assert start == told | ({"revised_prompts": revised} if revised else {})
            if "attributes" in done:
                assert done["attributes"] == [entry["attributes"] for entry in entries(answer)]
        assert httpx.get(f"{server.url}/v1/jobs/{start['job']}").json()["status"] == "completed"
        watch.say("session.close")
        assert watch.closed() == 1000


@pytest.mark.parametrize(("changes", "n"), [(BIRDS, 1), (BIRDS, 3), (ELF, 1)])
@pytest.mark.every_engine
def test_the_coarse_scale_comes_first(server: Server, changes: dict[str, Any], n: int) -> None:
    pictures = np.stack(draw(server, **changes | {"n": n}))
    _, height, width, channels = pictures.shape
    with watching(server) as watch:
        watch.generate(**changes | {"n": n}, coarse=True)
        assert watch.told()["channels"] == channels
        assert watch.told() == {"type": "image.coarse", "width": width // 4, "height": height // 4}
        (coarse, *frames), _ = watch.frames()
    shape = (n, height // 4, width // 4, channels)
    assert np.array_equal(np.frombuffer(coarse, np.uint8).reshape(shape), pictures[:, 2::4, 2::4])
    assert b"".join(frames) == pictures.swapaxes(0, 1).tobytes()


GENERATE = {"type": "image.generate", "model": "rgb", "prompt": "dog"}
WRONG: list[tuple[str | dict[str, Any], str | None, str]] = [
    ("{", None, "json_invalid"), ({"type": "session.config"}, "type", "unknown_message"),
    ({"type": "image.cancel", "job": "x"}, "job", "unknown_parameter"),
    ({"type": "image.cancel"}, "type", "wrong_order"),
    ({"type": "image.generate"}, "model", "missing_parameter"),
    (GENERATE | {"model": "none"}, "model", "model_not_found"),
    (GENERATE | {"prompt": "zebra"}, "prompt", "class_not_found"), (GENERATE | {"class": "dog"}, "class", "conflict"),
    (GENERATE | {"size": "16x12"}, "size", "unknown_parameter"),
    (GENERATE | BEST | {"coarse": True}, "coarse", "conflict"),
    (GENERATE | BEST | {"n": 3}, "best_of", "invalid_value"),
]  # fmt: skip
"""Messages, the field that is named, and the code; tests/service/test_requests.py has the wrong values of fields, the
section "message" of refusals.txt what is no message of any protocol."""


def test_wrong_messages_are_named_and_the_session_goes_on(server: Server) -> None:
    with watching(server) as watch:
        for message, param, code in WRONG:
            watch.connection.send(json.dumps(message) if isinstance(message, dict) else message)
            error = watch.error()
            assert (error["param"], error["code"]) == (param, code), message
        watch.generate()
        assert same(watch.pictures(), draw(server))
        for _ in range(MAX_ERRORS):  # not one more: the connection may be closed already
            watch.connection.send("no")
        assert watch.closed() == 1008, "too many errors"


def test_a_url_with_parameters_is_refused(server: Server) -> None:
    with pytest.raises(InvalidStatus) as caught, watching(server, "?model=rgb"):
        pass
    response = caught.value.response
    error = json.loads(response.body or b"")["error"]
    assert (response.status_code, error["param"], error["code"]) == (400, "model", "unknown_parameter")


def test_keys_and_a_limit(keyed: Server, keys: dict[str, str]) -> None:
    mine, limited = keys["first-message"], keys["images-limited"]
    with watching(keyed) as watch:
        watch.generate(api_key=mine)
        assert same(watch.pictures(), shown(post(keyed, "generations", {"authorization": f"Bearer {mine}"})))
        watch.generate(seed=8)  # the connection has a caller now
        assert len(watch.pictures()) == 1
    for headers, fields in (({}, {}), ({}, {"api_key": "wrong"}), ({"xi-api-key": mine}, {"api_key": limited})):
        with watching(keyed, additional_headers=headers) as watch:
            watch.generate(**fields)
            error = watch.error()
            assert error["code"] == "invalid_api_key"
            assert ("not the key" in error["message"]) == bool(headers)
            assert watch.closed() == 1008
    assert mine not in str(keyed.log)
    with watching(keyed, additional_headers={"authorization": f"Bearer {limited}"}) as watch:
        watch.generate()
        watch.pictures()
        watch.generate()
        error = watch.error()
        assert (error["code"], error["type"]) == ("rate_limited", "rate_limit_error")
        assert 1 <= error["retry_after"] <= 60


def test_a_connection_without_a_key_does_not_stay(keyed: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ancestral_service.ws.KEY_SECONDS", 2.0)
    with watching(keyed) as watch:
        watch.say("image.cancel")
        assert watch.error()["code"] == "wrong_order"
        assert watch.closed() == 1008


# Its jobs, on a server whose one slot can be kept busy: what is asked for meanwhile has to wait


@pytest.fixture(scope="module")
def narrow(serve: Serve) -> Iterator[Server]:
    with serve(interactive_slots=1, max_queued_streams=1) as own:
        yield own


def status(server: Server, job: str) -> str:
    found: str = httpx.get(f"{server.url}/v1/jobs/{job}").json()["status"]
    return found


def test_it_can_be_cancelled(narrow: Server) -> None:
    with watching(narrow) as watch:
        with reading_slowly(narrow):
            watch.generate(n=10)
            job = watch.told()["job"]
            assert status(narrow, job) == "queued"
            watch.say("image.cancel")
            assert watch.told() == {"type": "image.cancelled"}
            assert status(narrow, job) == "cancelled"
            watch.say("image.cancel")
            assert watch.error()["code"] == "wrong_order"
            watch.generate()
            job = watch.told()["job"]
            assert httpx.post(f"{narrow.url}/v1/jobs/{job}/cancel").status_code == 200, "by somebody else"
            assert watch.told() == {"type": "image.cancelled"}
        watch.generate()
        assert same(watch.pictures(), draw(narrow))


def test_who_says_nothing_more_is_disconnected(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ancestral_service.ws.IDLE_SECONDS", 1.0)
    with watching(server) as watch:
        watch.generate()
        watch.pictures()
        assert watch.closed() == 1000


def test_one_request_at_a_time(narrow: Server) -> None:
    with watching(narrow) as watch, watching(narrow) as other:
        with reading_slowly(narrow):
            watch.generate()
            assert watch.told()["type"] == "image.start"
            watch.generate(seed=8)
            assert watch.error()["code"] == "wrong_order"
            other.generate()
            error = other.error()
            assert (error["code"], error["type"]) == ("overloaded", "rate_limit_error")
            assert error["retry_after"] >= 1
        rows, done = watch.frames()
        assert done["type"] == "image.done"
        assert b"".join(rows) == draw(narrow)[0].tobytes()


@pytest.mark.parametrize("how", ["vanish", "session.close"])
def test_who_leaves_ends_the_job(narrow: Server, how: str) -> None:
    with reading_slowly(narrow), watching(narrow) as watch:
        watch.generate(n=10)
        job = watch.told()["job"]
        assert status(narrow, job) == "queued"
        if how == "vanish":
            watch.vanish()
        else:
            watch.say("session.close")
            assert watch.closed() == 1000
        assert narrow.ended(job)["status"] == "cancelled"
    assert same(draw(narrow, n=2), draw(narrow, n=2))
