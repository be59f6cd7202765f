"""The page, and whether the service is ready."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response

from ancestral.errors import NotFound
from ancestral.requests import Described
from ancestral_service.api.deps import Service
from ancestral_service.api.http.body_route import IfNoneMatch, not_modified
from ancestral_service.broker.connection import UNAVAILABLE
from ancestral_service.broker.job import Priority
from ancestral_service.errors import NotReady, stopping
from ancestral_service.telemetry.metrics import CONTENT_TYPE, Shared

# ``GET /``: the page. Its files, in ``ancestral_service/api/web/page``, need no build step and load nothing from
# elsewhere.

# The content security policy of the HTML pages: nothing inline, and nothing from another host.


def page_policy(media: str) -> str:
    """The value of ``Content-Security-Policy``.

    Args:
        media: where sounds may come from.
    """
    # data: icons of style sheets; blob: pictures that the page has requested.
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        f"media-src {media}; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


router = APIRouter(include_in_schema=False)

_MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_INDEX: Final = "index.html"
_POLICY: Final = page_policy("'self' blob:")


@dataclass(frozen=True)
class _File:
    """One file of the page, ready to be sent."""

    data: bytes
    compressed: bytes
    etag: str
    media_type: str


def _read(name: str, data: bytes) -> _File:
    # A weak tag, because it is the same with and without compression.
    etag = f'W/"{hashlib.sha256(data).hexdigest()[:32]}"'
    return _File(data, gzip.compress(data, mtime=0), etag, _MEDIA_TYPES[name[name.rindex(".") :]])


_FILES: Final = {
    entry.name: _read(entry.name, entry.read_bytes())
    for entry in files("ancestral_service.api").joinpath("web/page").iterdir()
}

_Encoding = Annotated[str, Header()]


@router.get("/")
async def show_page(accept_encoding: _Encoding = "", if_none_match: IfNoneMatch = None) -> Response:
    """The page."""
    return _respond(_FILES[_INDEX], accept_encoding, if_none_match)


@router.get("/page/{name}")
async def get_file(name: str, accept_encoding: _Encoding = "", if_none_match: IfNoneMatch = None) -> Response:
    """A script, style sheet or picture of the page."""
    if name not in _FILES or name == _INDEX:
        raise NotFound("The page has no such file.")
    return _respond(_FILES[name], accept_encoding, if_none_match)


def _respond(file: _File, accept_encoding: str, if_none_match: str | None) -> Response:
    headers = {
        "cache-control": "no-cache",  # asked for again, and answered 304: a new version is seen at once
        "etag": file.etag,
        "vary": "accept-encoding",
        "content-security-policy": _POLICY,
    }
    if (unchanged := not_modified(if_none_match, headers)) is not None:
        return unchanged
    if re.search(r"gzip(?!\s*;\s*q=0(\.0*)?\s*(,|$))", accept_encoding):
        return Response(file.compressed, headers=headers | {"content-encoding": "gzip"}, media_type=file.media_type)
    return Response(file.data, headers=headers, media_type=file.media_type)


# ``GET /docs``: the API reference, by a copy of Swagger UI that needs no other host.

reference = APIRouter(include_in_schema=False)

_REFERENCE: Final = Path(__file__).parents[1] / "web/docs"
_REFERENCE_ASSETS: Final = {
    "favicon-32x32.png": "image/png",
    "start.js": "text/javascript",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}
_REFERENCE_POLICY: Final = page_policy("blob:")


@reference.get("/docs")
def show_reference() -> Response:
    """The page. It may load scripts and styles of this server alone."""
    return _reference_file("index.html", "text/html", {"content-security-policy": _REFERENCE_POLICY})


@reference.get("/docs/{name}")
def get_asset(name: str) -> Response:
    """A script, style sheet or picture of the page."""
    if name not in _REFERENCE_ASSETS:
        raise NotFound("The reference has no such file.")
    return _reference_file(name, _REFERENCE_ASSETS[name], {})


def _reference_file(name: str, media_type: str, headers: Mapping[str, str]) -> Response:
    """A file of the page, whole: Starlette's FileResponse answers malformed ranges without our error."""
    return Response(
        (_REFERENCE / name).read_bytes(), media_type=media_type, headers={"cache-control": "no-cache", **headers}
    )


# ``GET /healthz`` (the process is alive), ``/readyz`` (the service can be used), ``/metrics`` (for Prometheus).
#
# Metrics are the figures of this process, and those that all processes share in Redis.

health_router = APIRouter(tags=["health"])
figures = APIRouter(tags=["health"])


class Health(Described):
    """``GET /healthz``."""

    status: Literal["ok"]


class Readiness(Described):
    """``GET /readyz`` when the service can be used."""

    status: Literal["ready"]
    engines: dict[str, list[str]]
    """The engines that sample each model, of all workers."""


@health_router.get("/healthz", summary="Liveness")
async def alive() -> Health:
    """200 as long as the process answers at all."""
    return Health(status="ok")


@health_router.get("/readyz", summary="Readiness")
async def ready(request: Request, service: Service) -> Readiness:
    """200 once Redis answers and every model is loaded and warm in some worker; until then, and from SIGTERM on, 503
    with the reasons.
    """
    if request.app.state.draining.is_set():
        raise stopping()
    if problems := await service.readiness_problems():
        raise NotReady(" ".join(problems))
    return Readiness(status="ready", engines=await service.engines())


_TEXT = {"description": "Prometheus's text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}
_RESPONSES: dict[int | str, dict[str, Any]] = {200: _TEXT}

_SHARED_SECONDS: Final = 2
"""Time for which a scrape waits for Redis: less than Prometheus waits for a scrape."""


@figures.get("/metrics", summary="Prometheus metrics", response_class=Response, responses=_RESPONSES)
async def metrics(service: Service) -> Response:
    """Every figure; docs/observability.md explains each. While Redis is unavailable, only those of this process."""
    shared = None
    with suppress(*UNAVAILABLE):  # which Background has logged
        async with asyncio.timeout(_SHARED_SECONDS):
            queues = service.broker.queues
            depths = {priority: await queues.depths(priority) for priority in Priority}
            shared = Shared(await queues.workers(), depths, await queues.unfinished())
    models = {name: model.sha256 for name, model in service.catalog.models.items()}
    return Response(service.metrics.page(shared, models), media_type=CONTENT_TYPE)
