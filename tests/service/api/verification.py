"""Requests to verify manifests."""

from __future__ import annotations

from typing import Any

import httpx

from tests.service.servers import Server
from tests.service.toys import ASYNC, SPEECH

TEXT = "Is it late? No!"


def made(server: Server, route: str = "speech", **changes: Any) -> dict[str, Any]:
    """The manifest of a new job."""
    body = {"speech": SPEECH | {"input": TEXT, "seed": None}, "generations": {"model": "free", "voice": "bob"}}[route]
    response = httpx.post(f"{server.url}/v1/audio/{route}", json=body | changes, headers=ASYNC, timeout=60)
    assert response.status_code == 202, response.text
    job = response.json()["id"]
    server.ended(job)
    manifest: dict[str, Any] = httpx.get(f"{server.url}/v1/jobs/{job}/manifest", timeout=60).json()
    return manifest


def verify(server: Server, manifest: Any, headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.post(f"{server.url}/v1/verify", json=manifest, headers=headers, timeout=60)
