"""`/docs`: the API reference works without any other host, under a strict policy."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.service.servers import Server


@pytest.fixture(scope="module")
def page(server: Server) -> httpx.Response:
    response = httpx.get(f"{server.url}/docs")
    assert response.status_code == 200
    return response


def test_the_page_may_only_load_from_this_server(page: httpx.Response) -> None:
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    parts = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    assert parts["default-src"] == "'none'"
    assert parts["script-src"] == parts["style-src"] == parts["connect-src"] == "'self'"
    assert parts["frame-ancestors"] == parts["base-uri"] == parts["form-action"] == "'none'"
    assert "unsafe" not in page.headers["content-security-policy"]
    assert not re.search(r"https?:|//", page.headers["content-security-policy"])


def test_the_page_refers_to_no_other_host_and_has_nothing_inline(page: httpx.Response) -> None:
    assert not re.search(r"https?:|//", page.text.replace("<!DOCTYPE", ""))
    for attributes, content in re.findall(r"<script([^>]*)>(.*?)</script>", page.text, re.DOTALL):
        assert "src=" in attributes
        assert not content.strip()
    assert not re.search(r"<style|\bstyle=|\bon\w+=", page.text)


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("swagger-ui-bundle.js", "text/javascript"),
        ("swagger-ui.css", "text/css"),
        ("start.js", "text/javascript"),
        ("favicon-32x32.png", "image/png"),
    ],
)
def test_files_of_the_page(server: Server, page: httpx.Response, name: str, media_type: str) -> None:
    assert f'"docs/{name}"' in page.text
    response = httpx.get(f"{server.url}/docs/{name}")
    assert response.status_code == 200
    assert response.headers["content-type"].split(";")[0] == media_type
    assert response.headers["x-content-type-options"] == "nosniff"
    assert httpx.head(f"{server.url}/docs/{name}").headers["content-length"] == str(len(response.content))


def test_scripts_and_styles_load_nothing_from_elsewhere(server: Server) -> None:
    start, style = (httpx.get(f"{server.url}/docs/{name}").text for name in ("start.js", "swagger-ui.css"))
    assert not re.search(r"https?:", start)
    assert "validatorUrl: null" in start  # Swagger UI would ask validator.swagger.io for a badge
    assert "@import" not in style
    assert all(target.startswith(("data:", '"data:', "'data:", "#")) for target in re.findall(r"url\(([^)]*)", style))


def test_a_range_is_no_error(server: Server) -> None:
    for value in ("", "bytes=x", "bytes=999999999-"):
        assert httpx.get(f"{server.url}/docs", headers={"range": value}).status_code == 200


def test_there_is_no_other_file(server: Server) -> None:
    for name in ("index.html", "nothing.js", "..%2f..%2fapp.py", "swagger-ui-bundle.js.LICENSE.txt"):
        assert httpx.get(f"{server.url}/docs/{name}").status_code == 404
    assert httpx.get(f"{server.url}/redoc").status_code == 404
    assert httpx.get(f"{server.url}/docs?frog=1").json()["error"]["param"] == "frog"
