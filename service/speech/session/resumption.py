"""Speech sessions in Redis, so that a client who lost its connection can go on, at whatever server it finds.

    ancestral:session:ID    hash: owner, holder (the connection that has it), state (service/speech/session/state.py)

A session belongs to one connection at a time. Whoever claims it has it; the one before finds that it lost it.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

from service.broker import Broker
from service.speech.session.state import SessionState

HELD_SECONDS: Final = 60
"""A session whose server died is kept for at least so long."""


class Resumable:
    """One session, in the hands of one connection.

    Args:
        broker: where it is kept.
        owner: the name of the caller; nobody else may resume it.
        session_id: of one to resume; a new one if absent.
        seconds: for which it is kept after its connection is gone.
    """

    def __init__(self, broker: Broker, owner: str, session_id: str | None, seconds: int) -> None:
        self.id = session_id or f"session_{secrets.token_hex(16)}"
        self._owner = owner
        self._seconds = seconds
        self._holder = secrets.token_hex(8)
        self._broker = broker

    async def _run(self, script: str, *args: str | int) -> Any:
        return await self._broker.run(script, [f"session:{self.id}"], [self._holder, *args])

    async def save(self, session_state: SessionState) -> bool:
        """Write it down. False if another connection has the session."""
        args = (self._owner, self._seconds + HELD_SECONDS, session_state.dump())
        return bool(await self._run("SAVE_SESSION", *args))

    async def claim(self) -> SessionState | None:
        """Take it over; None if there is no such session of this owner."""
        state = await self._run("CLAIM_SESSION", self._owner, self._seconds + HELD_SECONDS)
        return None if state is None else SessionState.load(state.decode())

    async def hold(self, session_state: SessionState) -> bool:
        """Keep it a little longer. False if another connection has the session."""
        kept = await self._run("HOLD_SESSION", self._seconds + HELD_SECONDS)
        if kept < 0:  # Redis was killed, and has lost it
            return await self.save(session_state)
        return bool(kept)

    async def let_go(self, session_state: SessionState) -> bool:
        """The connection is lost. False if another one has the session."""
        held = await self.hold(session_state)
        await self._run("HOLD_SESSION", self._seconds)
        return held

    async def forget(self) -> bool:
        """The session is over. False if another connection has it."""
        return bool(await self._run("HOLD_SESSION", 0))
