"""Bad requests: the right 4xx, `param` names what is wrong, and the server goes on."""

from __future__ import annotations

import json
import socket
import zlib
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.service.api.job_requests import JSON, URL, check_envelope
from tests.service.servers import Server
from tests.service.shaky import rest_of
from tests.service.toys import SPEECH

# Bad requests: the right 4xx, `param` names what is wrong, and the server goes on.


@pytest.fixture(autouse=True, scope="module")
def _the_server_goes_on(server: Server) -> Any:
    with server.unharmed():
        yield
    assert server.speak().status_code == 200


@pytest.mark.parametrize(
    ("param", "value", "status"), [("speed", 9, 400), ("input", "\ud800", 400), ("x", 1, 400), ("model", "frog", 404)]
)
def test_a_wrong_value_is_named(server: Server, param: str, value: Any, status: int) -> None:
    """tests/service/test_requests.py has those of every field."""
    response = httpx.post(server.url + URL, content=json.dumps(SPEECH | {param: value}), headers=JSON, timeout=60)
    assert check_envelope(response, status, param)["message"].startswith(f"{param}: ")


BAD_BODIES: list[tuple[bytes, str | None]] = [
    (b"", None), (b"{", None), (b"\xff\xfe{}", None), (b'{"model": "tiny", "input": "\xe9"}', None), (b"[]", None),
    (json.dumps(SPEECH)[:-1].encode() + b', "seed": ' + b"9" * 10_000 + b"}", "seed"),
    (json.dumps(SPEECH)[:-1].encode() + b', "voice": "bob"}', "voice"),
    (b'{"voice": {"id": "ann", "id": "bob"}}', "id"), (json.dumps(SPEECH).encode("utf-16"), None), (b"{}", "voice"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "param"), BAD_BODIES)
def test_a_body_that_is_no_json_object_is_refused(server: Server, body: bytes, param: str | None) -> None:
    response = httpx.post(server.url + URL, content=body, headers=JSON)
    check_envelope(response, 400, param)


@pytest.mark.parametrize("charset", ["latin-1", "utf-16", '"ISO-8859-1"'])
def test_json_in_another_charset_is_refused(server: Server, charset: str) -> None:
    headers = {"content-type": f"application/json; charset={charset}"}
    response = httpx.post(server.url + URL, content=json.dumps(SPEECH), headers=headers)
    assert "UTF-8" in check_envelope(response, 415, None)["message"]


def test_a_compressed_body_is_refused_by_name(server: Server) -> None:
    headers = JSON | {"content-encoding": "deflate"}
    response = httpx.post(server.url + URL, content=zlib.compress(json.dumps(SPEECH).encode()), headers=headers)
    check_envelope(response, 415, "Content-Encoding")


def test_a_file_that_is_sent_twice_is_named(server: Server) -> None:
    files = [("file", ("a.wav", b"a")), ("file", ("b.wav", b"b"))]
    response = httpx.post(f"{server.url}/v1/audio/likelihood", files=files, data={"model": "free", "voice": "ann"})
    assert check_envelope(response, 400, "file")["code"] == "duplicate_parameter"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
def test_other_media_are_refused(server: Server, kind: str) -> None:
    response = httpx.post(server.url + URL, content=json.dumps(SPEECH), headers={"content-type": kind})
    check_envelope(response, 415, None)


def test_json_with_parameters_and_capitals_is_json(server: Server) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    assert httpx.post(server.url + URL, content=json.dumps(SPEECH), headers=headers).status_code == 200


def test_a_body_of_20_megabytes(server: Server) -> None:
    """Whether it says so or not."""
    body = json.dumps(SPEECH | {"input": "a" * 20_000_000})
    check_envelope(httpx.post(server.url + URL, content=body, headers=JSON), 413, None)
    pieces = (b'{"input": "' if n == 0 else b"a" * 100_000 for n in range(200))
    check_envelope(httpx.post(server.url + URL, content=pieces, headers=JSON), 413, None)


@pytest.mark.parametrize("more", ["", "Expect: 100-continue\r\n"])
def test_a_body_that_is_too_large_is_not_waited_for(server: Server, more: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        head = f"POST {URL} HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n{more}"
        connection.sendall(f"{head}Content-Type: application/json\r\nConnection: close\r\n\r\n".encode())
        answer = rest_of(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer


def test_unknown_routes_and_methods(server: Server) -> None:
    with server.client() as client:
        check_envelope(client.get("/v1/nothing"), 404, None)
        check_envelope(client.get("/v1/models/nothing"), 404, "model")
        check_envelope(client.get(URL), 405, None)  # test_openapi.py has all routes


# HEAD, websockets over HTTP, problem details, request ids, safe headers and logs.


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/v1/models/tiny", "/v1/jobs", "/openapi.json", "/docs"])
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


WEBSOCKETS = (
    "audio/speech/stream", "images/stream", "text-to-speech/ann/stream-input", "text-to-speech/ann/multi-stream-input",
    "realtime",
)  # fmt: skip


def test_a_websocket_is_not_served_over_http(server: Server) -> None:
    for path in WEBSOCKETS:
        response = httpx.get(f"{server.url}/v1/{path}")
        check_envelope(response, 426, None)
        assert response.headers["upgrade"] == "websocket"


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/audio/speech"])
def test_a_handshake_is_refused_with_an_error(server: Server, path: str) -> None:
    """test_connections.py and test_auth.py have those of other pages and without a key."""
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{server.port}{path}", proxy=None)
    response = refused.value.response
    assert (response.status_code, response.headers["content-type"]) == (404, "application/json")
    assert response.headers["x-request-id"]
    error = json.loads(response.body or b"")["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["param"] is None


@pytest.mark.parametrize("path", WEBSOCKETS)
def test_another_page_opens_no_websocket(server: Server, keyed: Server, path: str) -> None:
    for one in (server, keyed):
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://127.0.0.1:{one.port}/v1/{path}", origin=Origin("https://other.example"), proxy=None)
        assert refused.value.response.status_code == 403


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
    assert server.speak(input=secret + " [[XX]]").status_code == 400
    lines = json.dumps(server.log)
    assert "canoe seventeen" not in lines
    assert any(line["message"] == "request" and line["status"] == 400 for line in server.log)
