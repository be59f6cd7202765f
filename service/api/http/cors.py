"""Web pages of other origins: none may use the service unless the deployment lists its origin.

Browsers ask the server before a page may read across origins over HTTP (CORS), but not before it opens a websocket:
there the server has to check ``Origin`` itself. Clients other than browsers need not send one and are not concerned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection

from ancestral.service.errors import Forbidden

if TYPE_CHECKING:
    from starlette.applications import Starlette

EXPOSED = (
    "content-disposition", "content-range", "etag", "link", "location", "retry-after", "x-engine", "x-job-id",
    "x-model", "x-model-sha256", "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests", "x-request-id", "x-seed", "x-skipped", "x-voice",
)  # fmt: skip
"""The response headers that a page may read, besides those that every page may."""


def install_cors(app: Starlette, origins: tuple[str, ...]) -> None:
    """Allow pages of these origins to use the app, and no others."""
    app.state.origins = origins
    if origins:
        # Every request header: the origins are trusted, no cookie is involved, and OpenAI's client sends many.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=("GET", "HEAD", "POST", "DELETE"),
            allow_headers=("*",),
            expose_headers=EXPOSED,
        )


async def check_origin(connection: HTTPConnection) -> None:
    """Dependency of every websocket route; reads ``app.state.origins``.

    Raises:
        Forbidden: a page of an origin that is neither the service's own nor listed opened the websocket.
    """
    origin = connection.headers.get("origin")
    if origin is None or origin in connection.app.state.origins:
        return
    own = origin.lower().partition("://")[2]
    if not own or own != connection.headers.get("host", "").lower():
        raise Forbidden("Origin: pages of this origin may not use the service", param="Origin", code="origin_refused")
