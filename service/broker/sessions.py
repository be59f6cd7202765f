"""Websocket sessions, stored so that a client that lost its connection can resume at any server.

A session belongs to one connection at a time. A new connection claims it; the earlier one notices when it renews.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Final

from ancestral.service.broker.connection import Connection
from ancestral.service.broker.keys import key
from ancestral.service.broker.lua import Script
from ancestral.service.broker.scripts import CLAIM_SESSION, SAVE_SESSION

HELD_SECONDS: Final = 60
"""The least time for which the session of a server that died is kept, and the last holder of one that has ended."""


class StoredSession:
    """One session, as one connection holds it.

    Args:
        connection: to Redis.
        session_id: of one to resume; a new one if None.
        seconds: for which it is kept after its connection has ended.
    """

    def __init__(self, connection: Connection, session_id: str | None, seconds: int) -> None:
        self.id = session_id or f"session_{secrets.token_hex(16)}"
        self.owner = ""
        """The name of the caller, once it is known; no other caller may resume the session."""
        self._seconds = seconds
        self._holder = secrets.token_hex(8)
        self._connection = connection

    async def _run(self, script: Script, seconds: int, **args: str) -> Any:
        session = key("session", self.id)
        return await self._connection.run(script, session=session, holder=self._holder, seconds=seconds, **args)

    async def claim(self, owner: str) -> str | None:
        """Claim the session. Its state; None if this owner has no such session."""
        state: bytes | None = await self._run(CLAIM_SESSION, self._seconds + HELD_SECONDS, owner=owner)
        return None if state is None else state.decode()

    async def save(self, state: str) -> bool:
        """Store the session. False if another connection has claimed it."""
        return bool(await self._run(SAVE_SESSION, self._seconds + HELD_SECONDS, owner=self.owner, state=state))

    async def renew(self, state: Callable[[], str]) -> bool:
        """Extend its expiry; ``state`` is called if Redis has lost it. False if another connection has claimed it."""
        held = await self._run(SAVE_SESSION, self._seconds + HELD_SECONDS, owner="", state="")
        return await self.save(state()) if held < 0 else bool(held)

    async def release(self, state: Callable[[], str]) -> bool:
        """The connection is lost. False if another one has claimed the session."""
        held = await self.renew(state)
        await self._run(SAVE_SESSION, self._seconds, owner="", state="")
        return held

    async def end(self) -> bool:
        """End the session. False if another connection has claimed it.

        Its last holder stays for a while: without it, an earlier connection would take the session for lost, and write
        it again.
        """
        return bool(await self._run(SAVE_SESSION, HELD_SECONDS, owner="", state="-"))
