"""API keys and origins, on a small app of their own behind a real socket."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
import uvicorn
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from pydantic import ValidationError
from pydantic_settings import BaseSettings
from starlette.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from service.api.http import errors as error_responses
from service.api.http.auth import (
    Keys,
    KeysError,
    caller_of,
    new_key,
    parse_keys,
    read_keys,
)
from service.api.http.cors import check_origin, install_cors
from service.api.http.json_route import JsonRoute
from service.jobs.caller import Caller
from service.settings import Origins

KEYS = {name: f"anc_{name:x<43}" for name in ("first", "second", "third")}
PAGE = "https://page.example"
JSON = {"content-type": "application/json"}


def line(name: str, more: str = "") -> str:
    return f"{name} {hashlib.sha256(KEYS[name].encode()).hexdigest()} {more}\n"


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve an app until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            until(lambda: server.started or not thread.is_alive())
            assert server.started
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)


def until(happened: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def make_app(path: Path | None, origins: tuple[str, ...] = ()) -> FastAPI:
    """One route that says who is calling, the same as a websocket, and one that is open."""
    app = FastAPI()
    error_responses.install(app)
    app.state.keys = Keys.load(path)
    router = APIRouter(prefix="/v1", dependencies=[Depends(caller_of)])

    @router.get("/me")
    async def me(caller: Annotated[Caller, Depends(caller_of)]) -> str:
        return caller.name

    @router.websocket("/me", dependencies=[Depends(check_origin)])
    async def me_too(websocket: WebSocket, caller: Annotated[Caller, Depends(caller_of)]) -> None:
        await websocket.accept()
        await websocket.send_text(caller.name)
        await websocket.close()

    @app.get("/healthz")
    async def alive() -> str:
        return "ok"

    app.include_router(router)
    install_cors(app, origins)
    return app


def heard(url: str, **headers: str) -> str:
    """What the websocket says."""
    with connect(url.replace("http", "ws", 1) + "/v1/me", additional_headers=headers, proxy=None) as websocket:
        return str(websocket.recv(timeout=20))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text(line("first") + line("second", "requests_per_minute=9") + line("third"))
    return path


@pytest.fixture(scope="module")
def url(file: Path) -> Iterator[str]:
    with served(make_app(file)) as address:
        yield address


def check_refused(response: httpx.Response) -> str:
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    error = response.json()["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, "invalid_api_key")
    return str(error["message"])


@pytest.mark.parametrize("name", KEYS)
def test_a_key_is_known_by_its_name(url: str, name: str) -> None:
    for headers in (
        bearer(KEYS[name]),
        {"authorization": f"bearer  {KEYS[name]}"},
        {"xi-api-key": KEYS[name]},
        bearer(KEYS[name]) | {"xi-api-key": KEYS[name]},
        {"authorization": "Basic cHJveHk6cHJveHk=", "xi-api-key": KEYS[name]},
    ):
        assert httpx.get(f"{url}/v1/me", headers=headers).json() == name
        assert heard(url, **headers) == name


WRONG = [
    {},
    bearer(new_key()),
    {"xi-api-key": new_key()},
    {"authorization": "Bearer"},
    bearer(KEYS["first"][:-1]),
    bearer(KEYS["first"].swapcase()),
    bearer(hashlib.sha256(KEYS["first"].encode()).hexdigest()),
    {"authorization": KEYS["first"]},
    {"authorization": f"Basic {KEYS['first']}"},
    {"api-key": KEYS["first"]},
    {"cookie": f"authorization=Bearer {KEYS['first']}"},
    bearer(KEYS["first"]) | {"xi-api-key": KEYS["second"]},
]


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


def test_refusals_come_as_problems_too(url: str) -> None:
    response = httpx.get(f"{url}/v1/me", headers={"accept": "application/problem+json"})
    assert (response.status_code, response.json()["code"]) == (401, "invalid_api_key")
    assert response.headers["www-authenticate"] == "Bearer"


def test_routes_without_the_dependency_stay_open(url: str) -> None:
    assert httpx.get(f"{url}/healthz").status_code == 200


def test_without_a_file_everybody_is_anonymous() -> None:
    with served(make_app(None)) as open_url:
        for headers in ({}, bearer("sk-anything")):
            assert httpx.get(f"{open_url}/v1/me", headers=headers).json() == "anonymous"
            assert heard(open_url, **headers) == "anonymous"


def test_an_empty_file_lets_nobody_in(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("# nobody yet\n")
    with served(make_app(tmp_path / "keys")) as closed_url:
        check_refused(httpx.get(f"{closed_url}/v1/me", headers=bearer(KEYS["first"])))


def test_the_file_is_read_again_when_it_changes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
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
        until(lambda: works("second"))
        assert not works("first")

        # A file that is wrong, then gone: the last good keys stay, and the log says so once, without quoting.
        path.write_text(line("first") + "third " + KEYS["third"])
        until(lambda: works("second") and len(complaints()) == 1)
        assert "line 2: sha256" in complaints()[0]
        assert KEYS["third"] not in caplog.text
        assert KEYS["third"] not in complaints()[0]
        path.unlink()
        until(lambda: works("second") and len(complaints()) == 2)
        time.sleep(1.5 * Keys.look_seconds)
        assert (works("first"), works("second"), len(complaints())) == (False, True, 2)

        path.write_text(line("third"))
        until(lambda: works("third"))
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
        ("alice", "line 1: sha256: "),
        (f"alice {HASH[:-1]}", "line 1: sha256: "),
        (f"alice {HASH.upper()}", "line 1: sha256: "),
        (f"\n# x\nalice {KEYS['first']}", "line 3: sha256: "),
        (f"{HASH} alice", "line 1: sha256: "),
        (f"-alice {HASH}", "line 1: name: "),
        (f"{'a' * 65} {HASH}", "line 1: name: "),
        (f"älice {HASH}", "line 1: name: "),
        (f"alice {HASH} requests_per_minute", "line 1: field 3: "),
        (f"alice {HASH} requests_per_minute=0", "line 1: field 3: "),
        (f"alice {HASH} requests_per_minute=100000", "line 1: field 3: "),
        (f"alice {HASH} requests_per_minute=-1", "line 1: field 3: "),
        (f"alice {HASH} requests_per_minute=٣", "line 1: field 3: "),
        (f"alice {HASH} concurrent_streams=1 admin=1", "line 1: field 4: "),
        (f"alice {HASH} concurrent_streams=1 concurrent_streams=2", "line 1: concurrent_streams: "),
        (f"alice {HASH}\nalice {HASH[::-1]}", "line 2: name: "),
        (f"alice {HASH}\nbob {HASH}", "line 2: sha256: "),
    ],
)
def test_a_wrong_line_is_named_and_not_quoted(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(KeysError) as raised:
        Keys.load(tmp_path / "keys")
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


# Origins


@pytest.fixture(scope="module")
def shared(file: Path) -> Iterator[str]:
    with served(make_app(file, (PAGE, "http://localhost:5173"))) as address:
        yield address


PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,x-stainless-lang",
}


def allowed(response: httpx.Response) -> set[str]:
    return {name for name in response.headers if name.startswith("access-control-")}


def test_no_page_is_let_in_unless_listed(url: str) -> None:
    headers = {"origin": PAGE} | bearer(KEYS["first"])
    assert not allowed(httpx.get(f"{url}/v1/me", headers=headers))
    preflight = httpx.options(f"{url}/v1/me", headers={"origin": PAGE} | PREFLIGHT)
    assert (preflight.status_code, allowed(preflight)) == (405, set())


@pytest.mark.parametrize("origin", [PAGE, "http://localhost:5173"])
def test_a_listed_page_is_let_in(shared: str, origin: str) -> None:
    for headers, status in (({"origin": origin} | bearer(KEYS["first"]), 200), ({"origin": origin}, 401)):
        response = httpx.get(f"{shared}/v1/me", headers=headers)
        assert (response.status_code, response.headers["access-control-allow-origin"]) == (status, origin)
        assert {"x-seed", "x-request-id", "retry-after", "location"} <= set(
            response.headers["access-control-expose-headers"].split(", ")
        )
        assert "origin" in response.headers["vary"].lower()
        assert "access-control-allow-credentials" not in response.headers


def test_a_preflight_needs_no_key(shared: str) -> None:
    response = httpx.options(f"{shared}/v1/me", headers={"origin": PAGE} | PREFLIGHT)
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (200, PAGE)
    assert response.headers["access-control-allow-headers"] == PREFLIGHT["access-control-request-headers"]
    assert "POST" in response.headers["access-control-allow-methods"]
    assert "PUT" not in response.headers["access-control-allow-methods"]


@pytest.mark.parametrize("origin", ["https://other.example", f"{PAGE}.evil.example", f"{PAGE}:8443", "null"])
def test_another_page_is_not(shared: str, origin: str) -> None:
    served_anyway = httpx.get(f"{shared}/v1/me", headers={"origin": origin} | bearer(KEYS["first"]))
    assert "access-control-allow-origin" not in served_anyway.headers
    preflight = httpx.options(f"{shared}/v1/me", headers={"origin": origin} | PREFLIGHT)
    assert (preflight.status_code, "access-control-allow-origin" in preflight.headers) == (400, False)


def test_websockets_heed_the_same_list() -> None:
    with served(make_app(None, (PAGE,))) as address:
        for origin in (PAGE, address):
            assert heard(address, origin=origin) == "anonymous"
        for origin in ("https://other.example", "null", "", "http://127.0.0.1:1"):
            with pytest.raises(InvalidStatus) as refused:
                heard(address, origin=origin)
            assert refused.value.response.status_code == 403
            error = json.loads(refused.value.response.body or b"")["error"]
            assert (error["param"], error["code"]) == ("Origin", "origin_refused")


class CountingKeys(Keys):
    """Counts how often a key is checked."""

    checks = 0

    def identify(self, headers: Headers) -> Caller:
        self.checks += 1
        return super().identify(headers)


def test_a_key_is_checked_and_a_body_is_parsed_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app, parsed = make_app(file), []
    app.state.keys = CountingKeys.load(file)
    router = APIRouter(route_class=JsonRoute, dependencies=[Depends(caller_of)])

    @router.post("/v1/echo")
    async def echo(body: dict[str, int], caller: Annotated[Caller, Depends(caller_of)]) -> dict[str, int]:
        return body

    app.include_router(router)
    loads = json.loads

    def count(text: str | bytes, **options: Any) -> Any:
        parsed.append(text)
        return loads(text, **options)

    with served(app) as address:
        monkeypatch.setattr(json, "loads", count)
        response = httpx.post(f"{address}/v1/echo", content=b'{"a": 1}', headers=bearer(KEYS["first"]) | JSON)
        monkeypatch.undo()
        assert response.json() == {"a": 1}
        assert app.state.keys.checks == 1
        assert parsed == ['{"a": 1}']
        refused = httpx.post(f"{address}/v1/echo", content=b'{"a": 1', headers=JSON)
        assert refused.status_code == 401  # nobody without a key gets a body read


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
