"""Pages of other origins: none may use the service unless the deployment lists them.

Browsers ask before they let a page read across origins over HTTP (CORS), but not before they open a websocket: there
the server has to look at ``Origin`` itself. Clients other than browsers need not send one and are not concerned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from starlette.applications import Starlette

EXPOSED = (
    "content-range", "etag", "location", "retry-after", "x-engine", "x-job-id", "x-model-sha256",
    "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests",
    "x-request-id", "x-seed",
)  # fmt: skip
"""The response headers that a page may read, besides those that every page may."""


def install_cors(app: Starlette, origins: tuple[str, ...]) -> None:
    """Let pages of these origins use the app, and no others."""
    if origins:
        # Every request header: the origins are trusted, no cookie is involved, and OpenAI's client sends many.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=("GET", "POST", "DELETE"),
            allow_headers=("*",),
            expose_headers=EXPOSED,
        )
    app.add_middleware(SocketOrigins, origins=origins)


class SocketOrigins:
    """Refuses websockets from pages that are neither the service's own nor of a listed origin."""

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; the handshake of one that is refused is answered 403."""
        if scope["type"] == "websocket":
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            if origin is not None and origin not in self._origins and not _own(origin, headers.get("host", "")):
                await send({"type": "websocket.close", "code": 1008})
                return
        await self._app(scope, receive, send)


def _own(origin: str, host: str) -> bool:
    return origin.lower().partition("://")[2] == host.lower() != ""
