"""What several test files share."""

from __future__ import annotations

from typing import Any

import httpx

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
