"""`/docs` in a browser: the reference is shown, and a request can be tried, without any other host."""

from __future__ import annotations

import pytest

from tests.service.page.conftest import Visiting
from tests.service.servers import Server

pytestmark = pytest.mark.slow


def test_a_request_is_tried(server: Server, visit: Visiting) -> None:
    with visit(server) as page:
        page.page.goto(f"{server.url}/docs")
        route = page.page.locator(".opblock:has([data-path='/v1/models'])")
        route.locator(".opblock-summary-control").click()
        route.locator("button:text-is('Execute')").click()
        route.locator(".live-responses-table .response-col_status:has-text('200')").wait_for()
        assert '"tiny"' in route.locator(".live-responses-table .highlight-code").first.inner_text()
        assert {url.removeprefix(server.url) for url in page.requests} >= {"/docs", "/openapi.json", "/v1/models"}
        page.check()
