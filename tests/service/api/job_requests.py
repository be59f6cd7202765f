"""Requests for jobs, and the envelope of errors."""

from __future__ import annotations

from typing import Any

import httpx

from tests.service.servers import Server
from tests.service.toys import ASYNC, SPEECH

# Requests about jobs, which several test files send.


NOBODY = "job_000000000000000000000000"
FIELDS = {
    "id", "object", "kind", "model", "voice", "excerpt", "status", "progress", "created_at", "started_at",
    "completed_at", "expires_at", "queue_position", "eta_seconds", "samples_done", "samples_total", "error",
}  # fmt: skip
HEADER = 44
"""Bytes of the header of a WAV file."""


def accepted(response: httpx.Response) -> str:
    """The id of a job that is to be fetched later."""
    assert response.status_code == 202, response.text
    job: str = response.json()["id"]
    return job


def submit(server: Server, headers: dict[str, str] | None = None, **changes: Any) -> str:
    """A job to be fetched later, by default a second of sound; its id."""
    return accepted(server.generate(headers=ASYNC | (headers or {}), **changes))


def url(server: Server, job: str, part: str = "") -> str:
    return f"{server.url}/v1/jobs/{job}{part}"


def content(server: Server, job: str, part: str = "content", **headers: str) -> httpx.Response:
    return httpx.get(url(server, job, f"/{part}"), headers=headers, timeout=60)


def cancel(server: Server, job: str) -> httpx.Response:
    return httpx.post(url(server, job, "/cancel"))


def state(server: Server, job: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(url(server, job)).json()
    assert set(found) == FIELDS
    return found


# Requests to verify manifests.


TEXT = "Is it late? No!"


def finished(server: Server, body: dict[str, Any], route: str = "speech") -> str:
    """The id of a new job of sound, once it has completed."""
    job = accepted(httpx.post(f"{server.url}/v1/audio/{route}", json=body, headers=ASYNC, timeout=60))
    assert server.ended(job)["status"] == "completed"
    return job


def made(server: Server, route: str = "speech", **changes: Any) -> dict[str, Any]:
    """The manifest of a new job."""
    body = {"speech": SPEECH | {"input": TEXT, "seed": None}, "generations": {"model": "free", "voice": "bob"}}[route]
    manifest: dict[str, Any] = content(server, finished(server, body | changes, route), "manifest").json()
    return manifest


def verify(server: Server, manifest: Any, headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.post(f"{server.url}/v1/verify", json=manifest, headers=headers, timeout=60)


# What several test files share.

URL = "/v1/audio/speech"
JSON = {"content-type": "application/json"}


def check_envelope(response: httpx.Response, status: int, param: str | None) -> dict[str, Any]:
    """Every error looks like this; returns what is inside."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    assert set(response.json()) == {"error"}
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert error["type"] == ("invalid_request_error" if status < 429 else error["type"])
    assert error["code"]
    assert error["param"] == param
    assert "Traceback" not in response.text
    return error
