"""Speech sessions in Redis, so that a client who lost its connection can go on, at whatever server it finds.

    ancestral:session:ID    hash: owner, holder (the connection that has it), state (service/conversation.py)

A session belongs to one connection at a time. Whoever claims it has it; the one before finds that it lost it.
"""

from __future__ import annotations

import secrets
from typing import Final

from service.broker import PREFIX, Broker
from service.conversation import Conversation

_SAVE: Final = """
-- KEYS: session; ARGV: holder, owner, seconds to keep, state
local holder = redis.call('HGET', KEYS[1], 'holder')
if holder and holder ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'owner', ARGV[2], 'state', ARGV[4])
return redis.call('EXPIRE', KEYS[1], ARGV[3])
"""
"""Write the state. 0 if another connection has the session."""

_CLAIM: Final = """
-- KEYS: session; ARGV: holder, owner, seconds to keep
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[2] then return false end
redis.call('HSET', KEYS[1], 'holder', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return redis.call('HGET', KEYS[1], 'state')
"""
"""Take the session over. Its state; nothing if there is none of this owner."""

_KEEP: Final = """
-- KEYS: session; ARGV: holder, seconds to keep
local holder = redis.call('HGET', KEYS[1], 'holder')
if not holder then return -1 end
if holder ~= ARGV[1] then return 0 end
return redis.call('EXPIRE', KEYS[1], ARGV[2])
"""
"""Keep the session for so long from now; 0 seconds forget it. 0 if another connection has it, -1 if it is not there."""

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
        self._save = broker.redis.register_script(_SAVE)
        self._claim = broker.redis.register_script(_CLAIM)
        self._keep = broker.redis.register_script(_KEEP)

    @property
    def _keys(self) -> list[str]:
        return [f"{PREFIX}session:{self.id}"]

    async def save(self, conversation: Conversation) -> bool:
        """Write it down. False if another connection has the session."""
        args: list[str | int] = [self._holder, self._owner, self._seconds + HELD_SECONDS, conversation.dump()]
        return bool(await self._save(keys=self._keys, args=args))

    async def claim(self) -> Conversation | None:
        """Take it over; None if there is no such session of this owner."""
        state = await self._claim(keys=self._keys, args=[self._holder, self._owner, self._seconds + HELD_SECONDS])
        return None if state is None else Conversation.load(state.decode())

    async def hold(self, conversation: Conversation) -> bool:
        """Keep it a little longer. False if another connection has the session."""
        kept = await self._keep(keys=self._keys, args=[self._holder, self._seconds + HELD_SECONDS])
        if kept < 0:  # Redis was killed, and has lost it
            return await self.save(conversation)
        return bool(kept)

    async def let_go(self, conversation: Conversation) -> bool:
        """The connection is lost. False if another one has the session."""
        held = await self.hold(conversation)
        await self._keep(keys=self._keys, args=[self._holder, self._seconds])
        return held

    async def forget(self) -> bool:
        """The session is over. False if another connection has it."""
        return bool(await self._keep(keys=self._keys, args=[self._holder, 0]))
