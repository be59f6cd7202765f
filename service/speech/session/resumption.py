"""Speech sessions in Redis, so that a client that lost its connection can resume at any server.

    ancestral:session:ID    hash: owner, holder (the connection that has it), state (service/speech/session/state.py)

A session belongs to one connection at a time. A new connection claims it; the earlier one notices when it renews.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

from ancestral.service.broker import Broker
from ancestral.service.speech.session.state import SessionState

HELD_SECONDS: Final = 60
"""The least time for which the session of a server that died is kept, and the last holder of one that has ended."""


class Resumable:
    """One session, as one connection holds it.

    Args:
        broker: where it is kept.
        session_id: of one to resume; a new one if absent.
        seconds: for which it is kept after its connection has ended.
    """

    def __init__(self, broker: Broker, session_id: str | None, seconds: int) -> None:
        self.id = session_id or f"session_{secrets.token_hex(16)}"
        self.owner = ""
        """The name of the caller, once it is known; no other caller may resume the session."""
        self._seconds = seconds
        self._holder = secrets.token_hex(8)
        self._broker = broker

    async def _run(self, script: str, *args: str | int) -> Any:
        return await self._broker.run(script, [f"session:{self.id}"], [self._holder, *args])

    async def save(self, session_state: SessionState) -> bool:
        """Store the session. False if another connection has claimed it."""
        args = (self.owner, self._seconds + HELD_SECONDS, session_state.dump())
        return bool(await self._run("SAVE_SESSION", *args))

    async def claim(self, owner: str) -> SessionState | None:
        """Claim the session; None if this owner has no such session."""
        state = await self._run("CLAIM_SESSION", owner, self._seconds + HELD_SECONDS)
        return None if state is None else SessionState.load(state.decode())

    async def renew(self, session_state: SessionState) -> bool:
        """Extend its expiry. False if another connection has claimed it."""
        kept = await self._run("HOLD_SESSION", self._seconds + HELD_SECONDS)
        if kept < 0:  # Redis was killed and has lost it
            return await self.save(session_state)
        return bool(kept)

    async def release(self, session_state: SessionState) -> bool:
        """The connection is lost. False if another one has claimed the session."""
        held = await self.renew(session_state)
        await self._run("HOLD_SESSION", self._seconds)
        return held

    async def forget(self) -> bool:
        """End the session. False if another connection has claimed it."""
        return bool(await self._run("END_SESSION", HELD_SECONDS))
