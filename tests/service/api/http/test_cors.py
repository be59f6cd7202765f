"""Which web pages may use the service: CORS and the Origin of websockets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.service.api.http.support import KEYS, PAGE, bearer, heard, make_app, served


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
