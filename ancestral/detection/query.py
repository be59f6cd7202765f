"""What is asked of a file: the seeds that it may have been sampled with, and how long they may be looked for."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ancestral.catalog.descriptions import Plan
from ancestral.catalog.seeds import MAX_SEED, keyed_seeds, part_seeds
from ancestral_models.detection import SIGNIFICANT, log10_p

MAX_SEARCH: Final = 1 << 24
"""Counters that are searched at most: sixteen millions."""
MOST_PARTS: Final = 10
"""Sentences or pictures of one request whose seeds are tried."""
NO_SEEDS: Final = "no seed is given or in the file's recipe, and no provenance key is set whose seeds could be searched"
_BLOCK: Final = 1 << 18
_RECENT: Final = 512
"""Counters that are reserved at once (ancestral_service/jobs/state.py): the newest may not have been used."""
_FIRST_SHARE: Final = 0.75
_DIGITS: Final = 19
"""Of the largest seed."""


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
    share: float = 1.0
    """Share of the false alarms of a file that those of this question may be, one of several models'."""

    @property
    def named(self) -> list[int]:
        """The seeds that the request or the recipe names."""
        told = None if self.recipe is None else self.recipe.get("seed")
        return [s for s in dict.fromkeys((self.seed, whole(told))) if s is not None and 0 <= s <= MAX_SEED]


def whole(value: object) -> int | None:
    """A whole number of a recipe, which may be text there; None if it is none."""
    if isinstance(value, str) and value.isdecimal() and len(value) <= _DIGITS:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


@dataclass(frozen=True, kw_only=True)
class Examination(Plan):
    """A file to examine. Uploaded are its symbols, as each of the models sees them, or its sound as 32-bit floats. The
    provenance key is not here: workers have it from their settings."""

    kind = "detection"
    models: tuple[str, ...]
    sound: bool
    signature: str
    """The part of the answer, JSON."""
    seed: int | None
    recipe: str | None
    """JSON."""
    voice: str | None
    text: str | None
    newest: int
    search: int

    @property
    def query(self) -> Query:
        """The question."""
        asked = {name: getattr(self, name) for name in ("seed", "voice", "text", "newest", "search")}
        return Query(recipe=None if self.recipe is None else json.loads(self.recipe), **asked)


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

    def trials(self, counter: int) -> float:
        """The trials that a counter of the key counts for: 1 / d of the false alarms are those of a counter that is the
        d-th newest, beginning at :data:`_RECENT`, so that all together are those of one trial."""
        planned = min(self.query.search, self.query.newest)
        recent = 1.0 / _RECENT + math.log1p((planned - 1) / _RECENT)
        return (self.query.newest - 1 - counter + _RECENT) * recent

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
        self.until = max(self.until, time.monotonic() + 1.0)  # the seed may have been found as the time was used up
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


def share(rank: int, count: int) -> float:
    """The share of the false alarms that the possibility of this rank may raise, of so many: the first three quarters,
    all others as many each."""
    if count == 1:
        return 1.0
    return _FIRST_SHARE if rank == 0 else (1.0 - _FIRST_SHARE) / (count - 1)


def not_tried(reason: str) -> dict[str, Any]:
    """A part of the answer that could not be tried, and why."""
    return {"status": "not_tried", "reason": reason}


def verdict(answer: Mapping[str, Mapping[str, Any]]) -> str:
    """What the parts of an answer amount to, and no more."""
    if answer["seed"].get("counter") is not None or answer["signature"].get("own"):
        return "made_here"
    if answer["seed"]["status"] == "found" or answer["recipe"]["status"] == "equal":
        return "made_with_model"
    if answer["signature"]["status"] == "valid":
        return "signed"
    return "could_be_ours" if answer["model"]["status"] == "could_be_ours" else "no_evidence"


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
