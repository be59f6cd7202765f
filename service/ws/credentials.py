"""Who has opened a websocket: known from the headers of the handshake, or from the key in the first message.

Browsers cannot set headers on a websocket, and a key must not be in an address.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NoReturn

from starlette.datastructures import Headers

from ancestral.service.errors import Unauthorized
from ancestral.service.jobs.state import Caller
from ancestral.service.ws.bounded_websocket import CloseConnection

CHECK_SECONDS: Final = 2.0
"""Interval of the checks that a key in use was not revoked."""
KEY_SECONDS: Final = 20.0
"""Time for which a connection without a key in its headers may stay open before its first message."""


class Credentials:
    """The caller of one connection.

    Args:
        caller: known from the headers; None if the first message has the key.
        headers: of the handshake.
        identify: returns the caller whose key headers carry, or raises Unauthorized.
    """

    def __init__(self, caller: Caller | None, headers: Headers, identify: Callable[[Headers], Caller]) -> None:
        self.caller = caller
        self._headers = headers
        self._identify = identify

    def check(self, key: str | None) -> Caller:
        """The caller, once a message has come that may hold a key.

        Raises:
            Unauthorized: there is no key, an unknown one, or another one than before.
        """
        if self.caller is None or key is not None:
            headers = Headers(raw=[(b"xi-api-key", key.encode())] if key else [])
            caller = self._identify(headers)
            if self.caller not in (None, caller):
                raise Unauthorized("This is not the key that the connection was opened with.")
            self.caller, self._headers = caller, headers
        return self.caller

    async def watch(self) -> NoReturn:
        """Check every :data:`CHECK_SECONDS` that the key is still valid.

        Raises:
            CloseConnection: it was revoked.
        """
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                if self.caller is not None:
                    self._identify(self._headers)
            except Unauthorized:
                raise CloseConnection(1008, "the API key was revoked", final=True) from None

    async def await_key(self) -> None:
        """Return once the caller is known, or later.

        Raises:
            CloseConnection: no key has come in time.
        """
        await asyncio.sleep(KEY_SECONDS)
        if self.caller is None:
            raise CloseConnection(1008, "no API key")
