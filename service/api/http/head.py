"""``HEAD`` wherever there is ``GET``: the same status and headers, and no body (RFC 9110, section 9.3.2)."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class _Answered(Exception):
    """The headers have been sent; the body of the response is not needed."""


class HeadMiddleware:
    """Calls the ``GET`` route for a ``HEAD`` request, and ends the response after its headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; other methods and scopes pass."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_headers(message: Message) -> None:
            await send(message)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            raise _Answered

        # A copy: the server must still see HEAD, or it would count the bytes of a body.
        get = {**scope, "method": "GET"}
        try:
            await self._app(get, receive, send_headers)
        except _Answered:
            pass
        finally:
            scope["route"] = get.get("route")  # for the log and the metrics
