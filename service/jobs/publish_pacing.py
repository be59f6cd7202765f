"""When to publish what has been sampled: at once while its listener has little to play, in longer pieces later."""

from __future__ import annotations

import math
from typing import Final

LONGEST_SECONDS: Final = 1.0
"""Longest output in one piece."""
_MARGIN_SECONDS: Final = 0.1
"""A listener who has less than this to play gets what there is."""


class PublishPacing:
    """Each piece may be as long as what its listener still has to play, so pieces double: 20 ms, 40 ms, 80 ms, …

    Every piece costs Redis and the API process the same, however long it is.

    Args:
        rate: symbols per second of output.
        ahead_seconds: how far sampling runs ahead of the listener.
    """

    def __init__(self, rate: int, ahead_seconds: float) -> None:
        self._rate = rate
        self._longest = min(LONGEST_SECONDS, ahead_seconds / 2)
        self._runs_out_at = -math.inf

    def due_in(self, held: int, now: float) -> float:
        """Seconds for which ``held`` symbols may still wait for more of them; at most 0 if they are to be published."""
        left = self._runs_out_at - now
        return 0.0 if held / self._rate >= min(left, self._longest) else left - _MARGIN_SECONDS

    def published(self, symbols: int, now: float) -> None:
        """Note that symbols have been published, to a listener who plays them as soon as possible."""
        self._runs_out_at = max(self._runs_out_at, now) + symbols / self._rate
