"""Whose turn it is, and for how long: pure functions of what slots claim and of the time.

A slot that somebody listens to is served before its listener runs dry. One that nobody waits for takes what is left,
but it does not wait for ever.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from models.engines.base import Engine

FIRST_CHUNKS_MS = (20, 40)
"""A slot's first chunks are short, so that its sound starts early."""
AHEAD_SECONDS = 1.0
"""A listener with more than this in hand is not urgent."""
PATIENCE_SECONDS = 2.0
"""After so long without a turn, a slot that nobody listens to gets one, whoever else is waiting."""


@dataclass(eq=False)
class SlotState:
    """What the choice knows of a slot. Times are seconds of the scheduler's clock."""

    engine: Engine
    rate: int
    """Symbols in a second of sound."""
    realtime: bool
    """Somebody listens while it is made."""
    since: float = 0.0
    """Since when it has waited for its turn: when it last had one, or had something to be sampled again."""
    dry: float = -math.inf
    """When its listener, who plays what was made as soon as it is there, will have heard it all."""
    chunks: int = 0
    """Turns it has had."""

    def wake(self, now: float) -> None:
        """There is something to be sampled again. The time that there was not is no debt."""
        self.since = now
        self.dry = max(self.dry, now)

    def serve(self, now: float, symbols: int) -> None:
        """A turn has made ``symbols``. A listener who ran dry before that has waited, and goes on from now."""
        self.since = now
        self.dry = max(self.dry, now) + symbols / self.rate
        self.chunks += 1

    def urgency(self, now: float) -> tuple[int, float]:
        """Who has the least goes first."""
        if self.realtime and self.dry - now <= AHEAD_SECONDS:
            return 1, self.dry
        starved = not self.realtime and now - self.since >= PATIENCE_SECONDS
        return 0 if starved else 2, self.since

    def wish(self, chunk_ms: int) -> int:
        """How many symbols its next turn should make."""
        first = FIRST_CHUNKS_MS[self.chunks] if self.chunks < len(FIRST_CHUNKS_MS) else chunk_ms
        return max(1, self.rate * min(first, chunk_ms) // 1000)


def choose(claims: Sequence[SlotState], idle: int, now: float) -> list[int]:
    """Who shares the next call: the most urgent slot; alone, if there is a thread for each, else in company.

    A native call of four lanes takes twice as long as one of a single lane, as does one of three, and one of two takes
    four thirds: half full calls on every thread would cost the processor more and nobody would have his sound sooner.

    Args:
        claims: of all slots that can be sampled; of two as urgent the earlier goes first.
        idle: threads without work, the one that asks among them.
        now: the time.

    Returns:
        Indices into ``claims``, the most urgent first.
    """
    order = sorted(range(len(claims)), key=lambda i: claims[i].urgency(now))
    engine = claims[order[0]].engine
    lanes = 1 if len(claims) <= idle else engine.lanes
    return [i for i in order if claims[i].engine is engine][:lanes]
