"""HEAD, websockets over HTTP, problem details, request ids, safe headers and logs."""

from __future__ import annotations

import json
import time

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.service.api.envelope import JSON, URL, check_envelope
from tests.service.servers import Server
from tests.service.toys import SPEECH
from tests.service.ws_client import eventually

READABLE = [
    "/healthz",
    "/readyz",
    "/metrics",
    "/v1/models",
    "/v1/models/tiny",
    "/v1/audio/models",
    "/v1/audio/voices",
    "/v1/voices",
    "/v1/images/classes",
    "/v1/jobs",
    "/openapi.json",
    "/docs",
]


@pytest.mark.parametrize("path", READABLE)
def test_head_is_get_without_the_body(server: Server, path: str) -> None:
    with server.client() as client:
        found, head = client.get(path), client.head(path)
        assert (found.status_code, head.status_code, head.content) == (200, 200, b"")
        assert set(found.headers) == set(head.headers)
        assert found.headers["content-type"] == head.headers["content-type"]
        assert client.head("/v1/models/nothing").status_code == 404
        refused = client.head(URL)
        assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
        assert "HEAD" in client.delete("/v1/models").headers["allow"].split(", ")


def test_head_of_a_job(server: Server) -> None:
    with server.client() as client:
        job = client.post(URL, json=SPEECH, headers={"prefer": "respond-async"}).json()["id"]
        started = time.monotonic()
        assert client.head(f"/v1/jobs/{job}/events").headers["content-type"].startswith("text/event-stream")
        assert time.monotonic() - started < 5, "it does not wait for events"
        server.ended(job)
        found, head = client.get(f"/v1/jobs/{job}/content"), client.head(f"/v1/jobs/{job}/content")
        assert head.headers["content-length"] == str(len(found.content))
        assert head.headers["etag"] == found.headers["etag"]
    logged = {"message": "request", "method": "HEAD", "route": "/v1/jobs/{job_id}/content", "status": 200}
    assert eventually(lambda: any(logged.items() <= line.items() for line in server.log))


@pytest.mark.parametrize(
    "path",
    [
        "/v1/audio/speech/stream",
        "/v1/images/stream",
        "/v1/text-to-speech/ann/stream-input",
        "/v1/text-to-speech/ann/multi-stream-input",
    ],
)
def test_a_websocket_is_not_served_over_http(server: Server, path: str) -> None:
    response = httpx.get(server.url + path)
    check_envelope(response, 426, None)
    assert response.headers["upgrade"] == "websocket"


@pytest.mark.parametrize(
    ("path", "headers", "status", "param"),
    [
        ("/v1/nothing", {}, 404, None),
        ("/v1/audio/speech", {}, 404, None),
        ("/v1/images/stream", {"origin": "https://other.example"}, 403, "Origin"),
    ],
)
def test_a_handshake_is_refused_with_an_error(
    server: Server, path: str, headers: dict[str, str], status: int, param: str | None
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{server.port}{path}", additional_headers=headers, proxy=None)
    response = refused.value.response
    assert (response.status_code, response.headers["content-type"]) == (status, "application/json")
    assert response.headers["x-request-id"]
    error = json.loads(response.body or b"")["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["param"] == param


def test_errors_as_rfc_9457_problems(server: Server) -> None:
    accept = {"accept": "application/problem+json, application/json;q=0.5"}
    with server.client(headers=accept) as client:
        bad = client.post(URL, json=SPEECH | {"speed": 9})
        big = client.post(URL, content=b"a" * 2_000_000, headers=JSON)
        lost = client.get("/v1/nothing")
    for response, status, title in ((bad, 400, "Bad Request"), (lost, 404, "Not Found"), (big, 413, None)):
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"
        problem = response.json()
        assert (problem["type"], problem["status"]) == ("about:blank", status)
        assert problem["title"] == (title or problem["title"])
        assert problem["detail"]
    assert bad.json()["param"] == "speed"
    with server.client(headers={"accept": "application/problem+json;q=0"}) as client:
        check_envelope(client.get("/v1/nothing"), 404, None)


def test_a_request_id_is_returned_and_logged(server: Server) -> None:
    with server.client() as client:
        assert client.get("/healthz", headers={"x-request-id": "abc-123"}).headers["x-request-id"] == "abc-123"
        drawn = client.get("/healthz", headers={"x-request-id": "no spaces <please>"}).headers["x-request-id"]
        assert len(drawn) == 32
        assert client.get("/healthz").headers["x-request-id"] != drawn


def test_headers_that_keep_browsers_safe(server: Server) -> None:
    with server.client() as client:
        response = client.get("/v1/models", headers={"origin": "https://example.org"})
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "content-security-policy" in response.headers
        assert "access-control-allow-origin" not in response.headers
        assert "server" not in response.headers
        assert client.get("/docs").status_code == 200


def test_logs_hold_no_text(server: Server) -> None:
    secret = "The password is canoe seventeen."
    assert server.speak(input=secret).status_code == 200
    assert server.speak(input=secret + " 你").status_code == 400
    lines = json.dumps(server.log)
    assert "canoe seventeen" not in lines
    assert any(line["message"] == "request" and line["status"] == 400 for line in server.log)
