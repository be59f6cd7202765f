"""``GET /docs``: the API reference, by a copy of Swagger UI that needs no other host."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from ancestral.errors import NotFound
from ancestral.service.api.http.page_policy import page_policy

router = APIRouter(include_in_schema=False)

_FILES: Final = Path(__file__).parents[1] / "web/docs"
_ASSETS: Final = {
    "favicon-32x32.png": "image/png",
    "start.js": "text/javascript",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}
_POLICY: Final = page_policy("blob:")


@router.get("/docs")
def show_reference() -> Response:
    """The page. It may load scripts and styles of this server alone."""
    return _file("index.html", "text/html", {"content-security-policy": _POLICY})


@router.get("/docs/{name}")
def get_asset(name: str) -> Response:
    """A script, style sheet or picture of the page."""
    if name not in _ASSETS:
        raise NotFound("The reference has no such file.")
    return _file(name, _ASSETS[name], {})


def _file(name: str, media_type: str, headers: Mapping[str, str]) -> Response:
    """A file of the page, whole: Starlette's FileResponse answers malformed ranges without our error."""
    return Response(
        (_FILES / name).read_bytes(), media_type=media_type, headers={"cache-control": "no-cache", **headers}
    )
