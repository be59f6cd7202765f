"""The rate limit as a dependency of routes, and its headers."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ancestral.service.api.http.auth import caller_of
from ancestral.service.jobs.caller import Caller
from ancestral.service.jobs.rate_limit import Limits


async def counted_caller(connection: HTTPConnection, caller: Annotated[Caller, Depends(caller_of)]) -> Caller:
    """Dependency of routes whose requests count; reads ``app.state.limits`` and ``app.state.keys``.

    Raises:
        Unauthorized: the request has no key, or an unknown one.
        Overloaded: the caller has reached the limit.
        NotReady: Redis does not answer.
    """
    limits = connection.app.state.limits
    assert isinstance(limits, Limits)
    connection.state.ratelimit = await limits.count(caller)
    return caller


class RateHeaders:
    """Adds the headers of :func:`counted_caller` to the response, whatever its status."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; other scopes pass."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(scope.get("state", {}).get("ratelimit", {}))
            await send(message)

        await self._app(scope, receive, stamped)
