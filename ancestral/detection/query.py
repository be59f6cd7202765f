"""What is asked of a file: the seeds that it may have been sampled with, and how long they may be looked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ancestral.catalog.seeds import MAX_SEED, keyed_seeds, part_seeds

MAX_SEARCH: Final = 1 << 24
"""Counters that are searched at most: sixteen millions."""
MOST_PARTS: Final = 10
"""Sentences or pictures of one request whose seeds are tried."""
NO_SEEDS: Final = "no seed is given or in the file's recipe, and no provenance key is set whose seeds could be searched"
_BLOCK: Final = 1 << 18


@dataclass(frozen=True, kw_only=True)
class Query:
    """One question about one file."""

    seed: int | None = None
    """Seed to test."""
    recipe: Mapping[str, Any] | None = None
    """Fields of a request, ``model`` and ``seed``: from the tags of the file, or given with it."""
    voice: str | None = None
    text: str | None = None
    """What is said in a recording."""
    newest: int = 0
    """The seeds of counters below this one are searched, the newest first."""
    search: int = 0
    """Number of counters to search."""
    seconds: float = 10.0
    """Time budget; one step may exceed it."""
    models: int = 1
    """Number of candidate models; multiplies the number of trials."""

    @property
    def named(self) -> list[int]:
        """The seeds that the request or the recipe names."""
        told = None if self.recipe is None else self.recipe.get("seed")
        seeds = [self.seed, int(told) if isinstance(told, str) and told.isdecimal() else told]
        return [s for s in dict.fromkeys(seeds) if isinstance(s, int) and 0 <= s <= MAX_SEED]


@dataclass
class Search:
    """The seeds of a query, as they are tried: those it names, then those of the key's counters, the newest first."""

    query: Query
    key: bytes | None
    stopped: Callable[[], bool] = lambda: False
    tried: int = 0
    """Seeds, those of parts included."""
    reached: int | None = None
    """The oldest counter that has been tried; None if none has been."""
    until: float = field(init=False)

    def __post_init__(self) -> None:
        self.until = time.monotonic() + self.query.seconds

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self.stopped() or time.monotonic() > self.until

    @property
    def keyed(self) -> bool:
        """Whether there are counters to try."""
        return self.key is not None and self.query.search > 0 and self.query.newest > 0

    @property
    def planned(self) -> int:
        """Number of counters to try, counted once for every model."""
        return min(self.query.search, self.query.newest) * self.query.models

    def blocks(self) -> Iterator[tuple[int, NDArray[np.uint64]]]:
        """The first counter of a block and the seeds of the block, the newest block first, while there is time."""
        if self.key is None:
            return
        newest, oldest = self.query.newest, max(0, self.query.newest - self.query.search)
        for start in range((newest - 1) // _BLOCK * _BLOCK, oldest - oldest % _BLOCK - 1, -_BLOCK):
            if self.over:
                return
            first, last = max(start, oldest), min(start + _BLOCK, newest)
            self.reached = first if self.reached is None else min(self.reached, first)
            yield first, _block(self.key, start)[first - start : last - start]

    def counter_of(self, seed: int) -> int | None:
        """The counter of a seed, if it is one of the key's: of a request, or of one of its first parts."""
        for first, seeds in self.blocks():
            for part in range(MOST_PARTS):
                if len(where := np.flatnonzero(part_seeds(seeds, part) == np.uint64(seed))):
                    return first + int(where[0])
        return None

    def report(self) -> dict[str, Any]:
        """The progress of the search."""
        if not self.keyed:
            return {"seeds_tried": self.tried}
        oldest = max(0, self.query.newest - self.query.search)
        counters = None if self.reached is None else [self.reached, self.query.newest - 1]
        return {"seeds_tried": self.tried, "counters": counters, "complete": self.reached == oldest}


@lru_cache(maxsize=16)
def _block(key: bytes, start: int) -> NDArray[np.uint64]:
    """The seeds of a block of counters; those of four millions are kept, 32 MB."""
    return keyed_seeds(key, start, _BLOCK)


def not_tried(reason: str) -> dict[str, Any]:
    """A part of the answer that could not be tried, and why."""
    return {"status": "not_tried", "reason": reason}
