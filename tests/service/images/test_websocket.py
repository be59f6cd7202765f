"""`WS /v1/images/stream`: rows as they are drawn, and what becomes of those who ask wrongly or leave."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.exceptions import InvalidStatus

from ancestral.catalog.seeds import part_seed
from ancestral.service.ws.credentials import KEY_SECONDS
from tests.service.images.pictures import Pixels, classes_of, draw, post, same, shown
from tests.service.images.websocket_client import watching
from tests.service.servers import Server
from tests.service.toys import PICTURES
from tests.service.ws_client import SECONDS


@pytest.mark.parametrize("model", PICTURES)
@pytest.mark.parametrize("n", [1, 3])
def test_the_pictures_are_those_of_http(server: Server, model: str, n: int) -> None:
    prompt = classes_of(model)[1] if PICTURES[model].conditions else None
    with watching(server) as watch:
        watch.generate(model=model, prompt=prompt, n=n, temperature=0.9)
        found = watch.pictures()
    assert same(found, draw(server, model=model, prompt=prompt, n=n, temperature=0.9))


def test_the_start_says_what_kinds_their_seeds_drew(server: Server) -> None:
    subclasses = {"model": "subclasses", "prompt": "birds", "n": 4}
    told = [entry["revised_prompt"] for entry in post(server, "generations", **subclasses).json()["data"]]
    with watching(server) as watch:
        watch.generate(**subclasses)
        start, *_ = watch.frames()
        assert start["revised_prompts"] == told
        watch.generate(**subclasses | {"prompt": "owl"})
        start, *_ = watch.frames()
        assert "revised_prompts" not in start


def test_the_start_says_what_comes(server: Server) -> None:
    with watching(server) as watch:
        watch.generate(n=2, style="oil")
        start, frames, _ = watch.frames()
        assert start == {
            "type": "image.start",
            "job": start["job"],
            "model": "rgb",
            "width": 8,
            "height": 6,
            "channels": 3,
            "n": 2,
            "seed": 7,
            "seeds": [7, part_seed(7, 1)],
        }
        assert sum(map(len, frames)) == 2 * 6 * 8 * 3
        watch.generate(seed=None)
        drawn, *_ = watch.frames()
    assert httpx.get(f"{server.url}/v1/jobs/{start['job']}").json()["status"] == "completed"
    assert drawn["seeds"] == [drawn["seed"]]
    assert drawn["seed"] != 7


def test_one_after_the_other(server: Server) -> None:
    asked: list[dict[str, Any]] = [{"seed": seed, "n": seed % 3 + 1, "style": "oil"} for seed in range(4)]
    asked += [{"prompt": None, "class": "cow"}, {"model": "binary", "prompt": "two"}, {"prompt": "any"}]
    with watching(server) as watch:
        for changes in asked:
            watch.generate(**changes)
            found = watch.pictures()
            assert same(found, draw(server, **changes))
        watch.say("session.close")
        assert watch.closed() == 1000


WRONG: list[tuple[str | bytes, str | None, str]] = [
    ("", None, "json_invalid"),
    ("{", None, "json_invalid"),
    ("[" * 5000, None, "json_invalid"),
    ("[]", None, "invalid_type"),
    (b"\x00\x01", None, "invalid_type"),
    ("{}", "type", "unknown_message"),
    ('{"type": "image.start"}', "type", "unknown_message"),
    ('{"type": "session.config"}', "type", "unknown_message"),
    ('{"type": ["image.generate"]}', "type", "unknown_message"),
    ('{"type": "image.generate"}', "model", "missing_parameter"),
    ('{"type": "image.cancel", "job": "x"}', "job", "unknown_parameter"),
    ('{"type": "image.cancel"}', "type", "wrong_order"),
    (json.dumps({"type": "image.generate", "model": "x" * 70000}), None, "message_too_large"),
]


def test_wrong_messages_are_named_and_the_session_goes_on(server: Server) -> None:
    with watching(server) as watch:
        for frame, param, code in WRONG:
            watch.connection.send(frame)
            error = watch.error()
            assert (error["param"], error["code"]) == (param, code)
        watch.generate()
        assert same(watch.pictures(), draw(server))


def test_a_wrong_request_is_named_and_another_may_follow(server: Server) -> None:
    """tests/service/test_requests.py has the wrong values of every field."""
    with watching(server) as watch:
        for changes, param, code in (
            ({"model": "none"}, "model", "model_not_found"),
            ({"prompt": "zebra"}, "prompt", "class_not_found"),
            ({"prompt": None}, "prompt", "missing_parameter"),
            ({"class": "dog"}, "class", "conflict"),
            ({"style": "pencil"}, "style", "style_not_found"),
            ({"n": 11}, "n", "less_than_equal"),
            ({"size": "16x12"}, "size", "unknown_parameter"),
        ):
            watch.generate(**changes)
            error = watch.error()
            assert (error["param"], error["code"]) == (param, code)
        watch.generate()
        assert same(watch.pictures(), draw(server))


def test_too_many_errors_end_the_connection(server: Server) -> None:
    with watching(server) as watch:
        for _ in range(20):
            watch.connection.send("no")
        assert watch.closed() == 1008


@pytest.mark.parametrize("query", ["?model=rgb", "?session_id=a&from_sample=0", "?x="])
def test_a_url_with_parameters_is_refused(server: Server, query: str) -> None:
    with pytest.raises(InvalidStatus) as refused, watching(server, query):
        pass
    response = refused.value.response
    assert response.status_code == 400
    error = json.loads(response.body or b"")["error"]
    assert (error["param"], error["code"]) == (query[1:].split("=")[0], "unknown_parameter")


def test_the_key_in_the_first_message(keyed: Server, keys: dict[str, str]) -> None:
    mine = keys["first-message"]
    with watching(keyed) as watch:
        watch.generate(api_key=mine)
        assert same(watch.pictures(), draw_as(keyed, mine))
        watch.generate(seed=8)  # the connection has a caller now
        assert len(watch.pictures()) == 1
    for fields in ({}, {"api_key": "wrong"}):
        with watching(keyed) as watch:
            watch.generate(**fields)
            assert watch.error()["code"] == "invalid_api_key"
            assert watch.closed() == 1008
    with watching(keyed, additional_headers={"xi-api-key": mine}) as watch:
        watch.generate(api_key=keys["images"])
        assert "not the key" in watch.error()["message"]
        assert watch.closed() == 1008
    assert mine not in str(keyed.log)


def draw_as(server: Server, key: str) -> list[Pixels]:
    return shown(post(server, "generations", {"authorization": f"Bearer {key}"}))


@pytest.mark.slow
def test_a_connection_without_a_key_does_not_stay(keyed: Server) -> None:
    assert KEY_SECONDS <= 20
    with watching(keyed) as watch:
        watch.say("image.cancel")
        assert watch.error()["code"] == "wrong_order"
        assert watch.closed() == 1008


@pytest.mark.parametrize("n", [1, 3])
def test_the_coarse_scale_comes_first(server: Server, n: int) -> None:
    spec = PICTURES["subclasses"]
    rows, columns = spec.height // 4, spec.width // 4
    with watching(server) as watch:
        watch.generate(model="subclasses", prompt="owl", n=n, coarse=True)
        assert watch.told()["type"] == "image.start"
        assert watch.told() == {"type": "image.coarse", "width": columns, "height": rows}
        coarse = watch.connection.recv(timeout=SECONDS)
        frames = []
        while isinstance(message := watch.connection.recv(timeout=SECONDS), bytes):
            frames.append(message)
        data = b"".join(frames)
        assert json.loads(message)["sha256"] == hashlib.sha256(data).hexdigest()
    assert isinstance(coarse, bytes)
    pictures = np.frombuffer(data, np.uint8).reshape(spec.height, n, spec.width, 3).swapaxes(0, 1)
    assert np.array_equal(np.frombuffer(coarse, np.uint8).reshape(n, rows, columns, 3), pictures[:, 2::4, 2::4])
    assert same(list(pictures), draw(server, model="subclasses", prompt="owl", n=n))


def test_a_model_of_one_scale_has_no_coarse_one(server: Server) -> None:
    with watching(server) as watch:
        watch.generate(coarse=True)
        assert same(watch.pictures(), draw(server))


def test_a_wrong_key_and_a_spent_limit_are_refused(keyed: Server, keys: dict[str, str]) -> None:
    mine, other = keys["images"], keys["images-limited"]
    with (
        pytest.raises(InvalidStatus) as refused,
        watching(keyed, additional_headers={"authorization": "Bearer wrong"}),
    ):
        pass
    assert refused.value.response.status_code == 401
    assert json.loads(refused.value.response.body or b"")["error"]["code"] == "invalid_api_key"
    with watching(keyed, additional_headers={"authorization": f"Bearer {mine}"}) as watch:
        watch.generate()
        assert len(watch.pictures()) == 1
    with watching(keyed, additional_headers={"xi-api-key": other}) as watch:
        watch.generate()
        watch.pictures()
        watch.generate()
        error = watch.error()
        assert (error["code"], error["type"]) == ("rate_limited", "rate_limit_error")
        assert 1 <= error["retry_after"] <= 60
