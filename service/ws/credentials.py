"""Who has opened a websocket: known from the headers of the handshake, or from the key in the first message.

Browsers cannot set headers on a websocket, and a key must not be in an address.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from ancestral.service.errors import Unauthorized
from ancestral.service.jobs.caller import Caller
from ancestral.service.ws.bounded_websocket import CloseConnection

KEY_SECONDS: Final = 20.0
"""For which a connection without a key in its headers may stay open before its first message."""


class Credentials:
    """The caller of one connection.

    Args:
        caller: known from the headers; None if the first message has the key.
        identify: returns the caller of a key, or raises Unauthorized.
    """

    def __init__(self, caller: Caller | None, identify: Callable[[str], Caller]) -> None:
        self.caller = caller
        self._identify = identify

    def check(self, key: str | None) -> Caller:
        """The caller, once a message has come that may hold a key.

        Raises:
            Unauthorized: there is no key, an unknown one, or another one than before.
        """
        if self.caller is None or key is not None:
            caller = self._identify(key or "")
            if self.caller not in (None, caller):
                raise Unauthorized("This is not the key that the connection was opened with.")
            self.caller = caller
        return self.caller

    async def await_key(self) -> None:
        """Return once the caller is known, or later.

        Raises:
            CloseConnection: no key has come in time.
        """
        await asyncio.sleep(KEY_SECONDS)
        if self.caller is None:
            raise CloseConnection(1008, "no API key")
