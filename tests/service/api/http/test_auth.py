"""API keys and origins, on a small app of their own behind a real socket."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest
from pydantic import ValidationError
from pydantic_settings import BaseSettings
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ancestral_service.api.http.auth import Keys, KeysError, new_key, parse_keys, read_keys
from ancestral_service.jobs.state import Caller
from ancestral_service.settings import Origins
from tests.service.api.http.support import JSON, KEYS, bearer, check_refused, heard, line, make_app, served
from tests.service.servers import Serve, Server
from tests.service.shaky import ENDLESS
from tests.service.speech.sounds import recording
from tests.service.ws_client import talking
from tests.waiting import eventually


@pytest.mark.parametrize("name", KEYS)
def test_a_key_is_known_by_its_name(url: str, name: str) -> None:
    own, proxy = {"xi-api-key": KEYS[name]}, {"authorization": "Basic cHJveHk6cHJveHk="}
    spaced = {"authorization": f"bearer  {KEYS[name]}"}
    for headers in (bearer(KEYS[name]), spaced, own, bearer(KEYS[name]) | own, proxy | own):
        assert httpx.get(f"{url}/v1/me", headers=headers).json() == name
        assert heard(url, **headers) == name


WRONG = [
    {}, bearer(new_key()), {"xi-api-key": new_key()}, {"authorization": "Bearer"}, bearer(KEYS["first"][:-1]),
    bearer(KEYS["first"].swapcase()), bearer(hashlib.sha256(KEYS["first"].encode()).hexdigest()),
    {"authorization": KEYS["first"]}, {"authorization": f"Basic {KEYS['first']}"}, {"api-key": KEYS["first"]},
    {"cookie": f"authorization=Bearer {KEYS['first']}"}, bearer(KEYS["first"]) | {"xi-api-key": KEYS["second"]},
]  # fmt: skip


@pytest.mark.parametrize("headers", WRONG)
def test_without_one_key_of_ours_nothing_is_served(url: str, headers: dict[str, str]) -> None:
    response = httpx.get(f"{url}/v1/me", headers=headers)
    assert "API key" in check_refused(response)
    assert not any(part in response.text for value in headers.values() for part in value.split() if len(part) > 9)
    with pytest.raises(InvalidStatus) as refused:
        heard(url, **headers)
    assert refused.value.response.status_code == 401
    assert json.loads(refused.value.response.body or b"") == response.json()


def test_a_key_in_an_address_is_no_key(url: str) -> None:
    for name in ("api_key", "xi-api-key", "authorization", "token"):
        check_refused(httpx.get(f"{url}/v1/me", params={name: KEYS["first"]}))


def test_a_header_that_is_no_ascii_is_refused(url: str) -> None:
    check_refused(httpx.get(f"{url}/v1/me", headers={"authorization": "Bearer anc_\xe9".encode("latin-1")}))


def test_without_a_file_everybody_is_anonymous() -> None:
    with served(make_app(None)) as open_url:
        for headers in ({}, bearer("sk-anything")):
            assert httpx.get(f"{open_url}/v1/me", headers=headers).json() == "anonymous"
            assert heard(open_url, **headers) == "anonymous"


def test_an_empty_file_lets_nobody_in(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("# nobody yet\n")
    with served(make_app(tmp_path / "keys")) as closed_url:
        check_refused(httpx.get(f"{closed_url}/v1/me", headers=bearer(KEYS["first"])))


def test_the_file_is_read_again_when_it_changes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Keys, "look_seconds", 0.2)
    path = tmp_path / "keys"
    path.write_text(line("first"))
    with served(make_app(path)) as changing, httpx.Client(base_url=changing) as client:

        def works(name: str) -> bool:
            return client.get("/v1/me", headers=bearer(KEYS[name])).status_code == 200

        def complaints() -> list[str]:
            return [str(vars(record)["reason"]) for record in caplog.records if record.levelno == logging.ERROR]

        assert (works("first"), works("second")) == (True, False)
        (tmp_path / "new").write_text(line("second"))
        os.replace(tmp_path / "new", path)
        eventually(lambda: works("second"))
        assert not works("first")

        # A file that is wrong, then gone: the last good keys stay, and the log says so once, without quoting.
        path.write_text(line("first") + "third " + KEYS["third"])
        eventually(lambda: works("second") and len(complaints()) == 1)
        assert "line 2: sha256" in complaints()[0]
        assert KEYS["third"] not in caplog.text
        assert KEYS["third"] not in complaints()[0]
        path.unlink()
        eventually(lambda: works("second") and len(complaints()) == 2)
        time.sleep(1.5 * Keys.look_seconds)
        assert (works("first"), works("second"), len(complaints())) == (False, True, 2)

        def lacking_descriptors(_path: Path) -> NoReturn:
            monkeypatch.setattr("ancestral_service.api.http.auth.read_keys", read_keys)
            raise KeysError("cannot be read") from OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr("ancestral_service.api.http.auth.read_keys", lacking_descriptors)
        path.write_text(line("third"))
        eventually(lambda: works("third"))
        assert not works("second")


def test_a_file_is_read() -> None:
    text = f"# who\n\n{line('first')}\t{line('second', 'concurrent_streams=2  requests_per_minute=60 # the shop')}"
    first, second = parse_keys(text)
    assert (first.caller, second.caller) == (Caller("first"), Caller("second", 60, 2))
    assert first.digest == hashlib.sha256(KEYS["first"].encode()).digest()


HASH = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alice", "line 1: sha256: "), (f"alice {HASH[:-1]}", "line 1: sha256: "),
        (f"alice {HASH.upper()}", "line 1: sha256: "), (f"\n# x\nalice {KEYS['first']}", "line 3: sha256: "),
        (f"{HASH} alice", "line 1: sha256: "), (f"-alice {HASH}", "line 1: name: "),
        (f"{'a' * 65} {HASH}", "line 1: name: "), (f"älice {HASH}", "line 1: name: "),
        (f"alice {HASH} requests_per_minute=0", "line 1: field 3: "),
        (f"alice {HASH} requests_per_minute=100000", "line 1: field 3: "),
        (f"alice {HASH} requests_per_minute=٣", "line 1: field 3: "),
        (f"alice {HASH} concurrent_streams=1 admin=1", "line 1: field 4: "),
        (f"alice {HASH} concurrent_streams=1 concurrent_streams=2", "line 1: concurrent_streams: "),
        (f"alice {HASH}\nalice {HASH[::-1]}", "line 2: name: "), (f"alice {HASH}\nbob {HASH}", "line 2: sha256: "),
    ],
)  # fmt: skip
def test_a_wrong_line_is_named_and_not_quoted(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(KeysError) as raised:
        Keys(tmp_path / "keys")
    assert str(raised.value).startswith(f"{tmp_path / 'keys'}: {message}")
    assert not any(word in str(raised.value) for word in text.split() if len(word) > 20)


@pytest.mark.parametrize(
    ("data", "message"),
    [(None, "cannot be read: No such file"), (b"\xff\xfe", "not UTF-8 text"), (b"#" * (1 << 20) + b"#", "larger than")],
)
def test_a_file_that_is_no_text_of_ours(tmp_path: Path, data: bytes | None, message: str) -> None:
    if data is not None:
        (tmp_path / "keys").write_bytes(data)
    with pytest.raises(KeysError, match=message):
        read_keys(tmp_path / "keys")


def test_keys_are_random_and_long() -> None:
    made = {new_key() for _ in range(100)}
    assert len(made) == 100
    assert {(key[:4], len(key)) for key in made} == {("anc_", 47)}


def test_nobody_without_a_key_gets_a_body_read(keyed: Server) -> None:
    check_refused(httpx.post(f"{keyed.url}/v1/audio/speech", content=b'{"a": 1', headers=JSON))


SCORE = "/v1/audio/likelihood"
FORM = {"files": {"file": ("a.wav", recording())}, "data": {"model": "free", "voice": "ann"}}


def test_forms_of_other_pages_need_a_key(server: Server, keyed: Server, keys: dict[str, str]) -> None:
    def sent(method: str, path: str, origin: str, to: Server = server, **options: Any) -> tuple[int, str | None]:
        response = httpx.request(
            method, f"{to.url}{path}", headers={"origin": origin, **options.pop("headers", {})}, **options
        )
        return response.status_code, response.json().get("error", {}).get("code")

    refused = (403, "origin_refused")
    for origin in ("https://other.example", "null"):
        assert sent("POST", SCORE, origin, **FORM) == refused
        assert sent("POST", SCORE, origin, content=b"x") == refused, "before the body is read"
        assert sent("POST", "/v1/jobs/0/cancel", origin) == sent("DELETE", "/v1/jobs/0", origin) == refused
        headers = bearer(keys["forms"])
        assert sent("POST", SCORE, origin, keyed, headers=headers, **FORM) == (200, None), "a page has no key"
    assert sent("POST", SCORE, server.url, **FORM) == (200, None)


def test_who_is_revoked_is_served_no_more(serve: Serve, tmp_path: Path) -> None:
    file, headers = tmp_path / "keys", bearer(KEYS["first"])
    file.write_text(line("first") + line("second"))
    with serve(api_keys_file=str(file)) as server, ExitStack() as stack:

        def ask(method: str, path: str, **options: Any) -> httpx.Response:
            own = headers | options.pop("more_headers", {})
            request = httpx.stream(method, f"{server.url}{path}", headers=own, timeout=30, **options)
            return stack.enter_context(request)

        stream = ask("POST", "/v1/audio/speech", json=ENDLESS)
        bound = ask("POST", "/v1/audio/speech", json=ENDLESS, more_headers={"idempotency-key": "a"})
        events = ask("GET", f"/v1/jobs/{stream.headers['x-job-id']}/events")
        talks = [stack.enter_context(talking(server, additional_headers=own)) for own in (headers, {})]
        for talk, key in zip(talks, (None, KEYS["first"]), strict=True):
            talk.configure(api_key=key)
            talk.say("input.text", text="It is late. ")
            talk.until("audio.start")
        file.write_text(line("second"))
        for talk in talks:
            with pytest.raises(ConnectionClosed):
                talk.until("session.done")
            assert talk.connection.close_code == 1008
        for response in (stream, bound, events):
            with pytest.raises(httpx.RemoteProtocolError):
                response.read()
        file.write_text(line("first") + line("second"))
        own_job = f"{server.url}/v1/jobs/{bound.headers['x-job-id']}"
        eventually(lambda: httpx.get(own_job, headers=headers).json().get("status") == "cancelled")


class _Settings(BaseSettings):
    cors_origins: Origins = ()


def test_origins_are_listed_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _Settings().cors_origins == ()
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example, http://localhost:5173,app://shell,http://[::1]:80,")
    assert _Settings().cors_origins == ("https://a.example", "http://localhost:5173", "app://shell", "http://[::1]:80")


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "a.example", "https://a.example/", "https://A.example", "https://u@a.example", '["https://a"]'],
)
def test_what_is_no_origin_is_refused(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    monkeypatch.setenv("CORS_ORIGINS", f"https://b.example,{origin}")
    with pytest.raises(ValidationError, match="an origin is scheme://host"):
        _Settings()
