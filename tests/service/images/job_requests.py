"""Requests about jobs of pictures."""

from __future__ import annotations

from typing import Any

import httpx

from tests.service.images.pictures import base64_of, noise, post, written
from tests.service.servers import Server
from tests.service.toys import ASYNC

IMAGE = base64_of(written(noise("rgb")))
ORDERS: dict[str, dict[str, Any]] = {"generations": {}, "completions": {"image": IMAGE}, "interpolations": {}}


def submit(server: Server, route: str = "generations", **changes: Any) -> str:
    """A job to be fetched later; its id."""
    response = post(server, route, ASYNC, **ORDERS[route] | changes)
    assert response.status_code == 202, response.text
    job: str = response.json()["id"]
    assert response.headers["location"] == f"/v1/jobs/{job}"
    return job


def content(server: Server, job: str, **headers: str) -> httpx.Response:
    server.ended(job)
    return httpx.get(f"{server.url}/v1/jobs/{job}/content", headers=headers, timeout=60)


def manifest_of(server: Server, job: str) -> dict[str, Any]:
    server.ended(job)
    response = httpx.get(f"{server.url}/v1/jobs/{job}/manifest", timeout=60)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def verify(server: Server, manifest: dict[str, Any], **changes: Any) -> httpx.Response:
    """Have a manifest run again, with its request changed."""
    body = manifest | {"request": manifest["request"] | changes}
    return httpx.post(f"{server.url}/v1/verify", json=body, timeout=60)
