"""What the seed tests of pictures and of sounds share: the seed that fits best, its p-value, and how both are told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ancestral.detection.query import Search
from ancestral.models.detection import SIGNIFICANT, log10_p


@dataclass(frozen=True)
class Found:
    """The seed that fits best."""

    bits: float
    """Evidence in bits, not corrected for the number of trials."""
    trials: float
    seed: int
    part: int
    """Number of the picture or sentence within its request."""
    counter: int | None
    """Counter of the key, for a seed that a search has found."""


F = TypeVar("F", bound=Found)


class SeedTest(Generic[F]):
    """The seeds of a search, tried on one file.

    Args:
        search: the seeds.
    """

    def __init__(self, search: Search) -> None:
        self.search = search
        self.best: F | None = None

    @property
    def log10_p(self) -> float:
        """The decimal logarithm of the best seed's p-value, after all trials."""
        return 0.0 if self.best is None else log10_p(self.best.bits, self.best.trials)

    @property
    def found(self) -> bool:
        """Whether chance is ruled out."""
        return self.log10_p < math.log10(SIGNIFICANT)

    def consider(self, found: F) -> None:
        """Keep a seed if it fits better than the best one so far."""
        if self.best is None or log10_p(found.bits, found.trials) < self.log10_p:
            self.best = found

    def evidence(self, symbols: int) -> dict[str, Any]:
        """The fields of every answer, of a file with so many symbols."""
        return {
            "status": "found" if self.found else "not_found",
            "symbols": symbols,
            **self.search.report(),
            "trials": 0 if self.best is None else round(self.best.trials),
            "log10_p": round(self.log10_p, 2),
            "p_value": 10.0 ** max(self.log10_p, -300.0),
        }

    def identity(self, best: F) -> dict[str, Any]:
        """The seed that was found; for a named one also whether it is one of the key's."""
        counter = best.counter
        if counter is None and self.search.keyed:
            counter = self.search.counter_of(best.seed)
        return {"seed": best.seed, "part": best.part, "counter": counter}
