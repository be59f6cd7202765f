"""`Idempotency-Key`: the same key and body are the same job, whoever lost whom in between."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Any

import httpx
import pytest

from tests.service.api.job_requests import check_envelope
from tests.service.images.pictures import noise, written
from tests.service.servers import Server
from tests.service.shaky import ENDLESS
from tests.service.toys import GENERATION, SPEECH
from tests.waiting import eventually

LONG = "The birch canoe slid. Is it late? No! " * 40


def speak(server: Server, key: str, headers: dict[str, str] | None = None, **changes: Any) -> httpx.Response:
    given = {"idempotency-key": key} | (headers or {})
    return httpx.post(f"{server.url}/v1/audio/speech", json=SPEECH | changes, headers=given, timeout=60)


@pytest.fixture
def key() -> str:
    return secrets.token_urlsafe(24)


def test_the_same_key_and_body_are_the_same_job(server: Server, key: str) -> None:
    body = {name: value for name, value in SPEECH.items() if name != "seed"}  # two jobs would draw two seeds
    url = f"{server.url}/v1/audio/speech"
    first, second, other = (
        httpx.post(url, json=body, headers={"idempotency-key": each}, timeout=60) for each in (key, key, f"{key}x")
    )
    assert first.status_code == second.status_code == 200
    assert first.headers["x-job-id"] == second.headers["x-job-id"]
    assert first.headers["x-seed"] == second.headers["x-seed"]
    assert first.content == second.content
    assert other.headers["x-job-id"] != first.headers["x-job-id"]
    job = httpx.get(f"{server.url}/v1/jobs/{first.headers['x-job-id']}").json()
    assert job["expires_at"] - job["completed_at"] == 120


def test_the_same_key_with_another_body_is_refused(server: Server, key: str) -> None:
    check_envelope(speak(server, key, voice="nobody"), 400, "voice")  # a refused request does not bind its key
    assert speak(server, key).status_code == 200
    refused = speak(server, key, input="Is it late?")
    assert check_envelope(refused, 422, "Idempotency-Key")["code"] == "idempotency_key_reused"
    url, headers = f"{server.url}/v1/audio/generations", {"idempotency-key": key}
    check_envelope(httpx.post(url, json=GENERATION, headers=headers), 422, "Idempotency-Key")
    assert speak(server, key).status_code == 200


def test_a_malformed_key_is_refused_and_the_longest_is_not(server: Server) -> None:
    for malformed in ("", "two words", "x" * 256, "\x7f", "a\tb"):
        check_envelope(speak(server, malformed), 400, "Idempotency-Key")
    assert speak(server, secrets.token_hex(127) + "~").status_code == 200


@pytest.mark.parametrize("form", ["wav", "mp3"])
def test_who_comes_back_gets_the_whole(server: Server, key: str, form: str) -> None:
    body, headers = SPEECH | {"input": LONG, "response_format": form}, {"idempotency-key": key}
    jobs, url = [], f"{server.url}/v1/audio/speech"
    for _ in range(3):  # leaves in the middle, again and again
        with httpx.stream("POST", url, json=body, headers=headers, timeout=60) as response:
            jobs.append(response.headers["x-job-id"])
            assert len(next(response.iter_raw())) > 0
    whole = speak(server, key, input=LONG, response_format=form)
    assert {*jobs, whole.headers["x-job-id"]} == {jobs[0]}
    assert whole.content == server.speak(input=LONG, response_format=form).content


def test_who_comes_back_to_many_gets_no_more_than_their_limit(keyed: Server, keys: dict[str, str], key: str) -> None:
    headers = {"authorization": f"Bearer {keys['parked']}"}

    def ask(name: str) -> AbstractContextManager[httpx.Response]:
        own = headers | {"idempotency-key": f"{key}{name}"}
        return httpx.stream("POST", f"{keyed.url}/v1/audio/speech", json=ENDLESS, headers=own, timeout=60)

    def is_parked(job: str) -> bool:
        return bool(httpx.get(f"{keyed.url}/v1/jobs/{job}", headers=headers).json()["status"] == "queued")

    for name in "ab":
        with ask(name) as response:
            assert response.status_code == 200
            assert next(response.iter_raw())
        eventually(partial(is_parked, response.headers["x-job-id"]), seconds=30)
    with ask("a") as first, ask("b") as second:
        assert (first.status_code, second.status_code) == (200, 429)
        second.read()
        assert check_envelope(second, 429, None)["code"] == "too_many_streams"


@pytest.mark.parametrize("prefer", [{}, {"prefer": "respond-async"}], ids=["waits", "asks"])
def test_who_wants_figures_gets_them_although_another_has_left(
    shared: Callable[..., Server], key: str, prefer: dict[str, str]
) -> None:
    form: dict[str, Any] = {"data": {"model": "grey"}, "headers": {"idempotency-key": key}}
    form["files"] = {"file": ("a.png", written(noise("grey")))}
    server = shared(interactive_slots=1)
    with ThreadPoolExecutor(2) as pool, ExitStack() as stack:
        speech = stack.enter_context(httpx.stream("POST", f"{server.url}/v1/audio/speech", json=ENDLESS, timeout=60))
        pieces = speech.iter_raw()

        def position() -> int | None:
            assert next(pieces), "whoever reads keeps the slot"
            place: int | None = httpx.get(f"{server.url}/v1/jobs/{server.newest()}").json()["queue_position"]
            return place

        url, other = f"{server.url}/v1/images/likelihood", form | {"headers": form["headers"] | prefer}
        leaving = pool.submit(httpx.post, url, timeout=2, **form)
        eventually(lambda: position() is not None)
        answer = pool.submit(httpx.post, url, timeout=60, **other)
        with pytest.raises(httpx.ReadTimeout):
            leaving.result()
        for _ in range(20):
            position()
        stack.close()
        assert answer.result().status_code == (202 if prefer else 200)
        assert server.ended(answer.result().headers["x-job-id"])["status"] == "completed"


def test_a_connection_that_ends_late_does_not_take_the_job_from_the_next(server: Server, key: str) -> None:
    said: dict[str, Any] = {"input": LONG[: len(LONG) // 4], "speed": 0.25}
    body, headers = SPEECH | said, {"idempotency-key": key}
    url = f"{server.url}/v1/audio/speech"
    with httpx.stream("POST", url, json=body, headers=headers, timeout=60) as late:
        held = late.iter_raw()  # a generator that nothing refers to closes the response
        assert next(held)
        with httpx.stream("POST", url, json=body, headers=headers, timeout=60) as response:
            pieces = response.iter_raw()
            whole = next(pieces)
            late.close()
            whole += b"".join(pieces)
    assert late.headers["x-job-id"] == response.headers["x-job-id"]
    assert whole == server.speak(**said).content
