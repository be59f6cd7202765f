"""The scheduling policy: which slots are sampled next, and how much of each; pure functions of state and time.

A realtime slot is sampled before its listener runs out of sound. A batch slot gets the remaining capacity, and a
minimum share of calls.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from ancestral.models.engines.base import Engine

FIRST_CHUNKS_MS = (20, 40)
"""The first chunks of a slot are short, so that its sound starts early."""
AHEAD_SECONDS = 1.0
"""A realtime slot whose listener has more sound than this is not urgent."""
PATIENCE_SECONDS = 2.0
"""A batch slot that has not been sampled for this long goes first."""


@dataclass(eq=False)
class SlotState:
    """What the policy knows of a slot. Times are seconds of the scheduler's clock."""

    engine: Engine
    rate: int
    """Symbols per second of sound."""
    realtime: bool
    """Whether a client listens while it is sampled."""
    weights: object = None
    """What samples its current stream (:meth:`Engine.weights_of`)."""
    since: float = 0.0
    """When it was last sampled, or became runnable again."""
    runs_out_at: float = -math.inf
    """When its listener, who plays symbols as soon as they are sampled, runs out of sound."""
    chunks: int = 0
    """Calls it has taken part in."""

    def wake(self, now: float) -> None:
        """Make it runnable again. The time in which it was not is not made up for."""
        self.since = now
        self.runs_out_at = max(self.runs_out_at, now)

    def serve(self, now: float, symbols: int) -> None:
        """A call has sampled ``symbols``. A listener who had run out of sound continues from now."""
        self.since = now
        self.runs_out_at = max(self.runs_out_at, now) + symbols / self.rate
        self.chunks += 1

    def urgency(self, now: float) -> tuple[int, float]:
        """The sort key of slots, the most urgent first: then the one that runs out first, or has waited longest."""
        if self.realtime and self.runs_out_at - now <= AHEAD_SECONDS:
            return 1, self.runs_out_at
        starved = not self.realtime and now - self.since >= PATIENCE_SECONDS
        return 0 if starved else 2, self.since

    def chunk_size(self, chunk_ms: int) -> int:
        """How many symbols to sample of it in the next call."""
        first = FIRST_CHUNKS_MS[self.chunks] if self.chunks < len(FIRST_CHUNKS_MS) else chunk_ms
        return max(1, self.rate * min(first, chunk_ms) // 1000)


def choose(states: Sequence[SlotState], idle: int, now: float) -> list[int]:
    """The slots of the next call: the most urgent one; alone, if there is a thread for each, else with others whose
    streams are sampled with the same weights.

    A native call of three or four lanes takes twice as long as one of a single lane, one of two lanes four thirds: half
    full calls on every thread would take more processor time, and no sound would be ready sooner.

    Args:
        states: of all runnable slots; of two with equal urgency the earlier goes first.
        idle: threads without work, including the caller's.
        now: the time.

    Returns:
        Indices into ``states``, the most urgent first.
    """
    order = sorted(range(len(states)), key=lambda i: states[i].urgency(now))
    first = states[order[0]]
    lanes = 1 if len(states) <= idle else first.engine.lanes
    alike = (i for i in order if states[i].engine is first.engine and states[i].weights is first.weights)
    return list(islice(alike, lanes))
