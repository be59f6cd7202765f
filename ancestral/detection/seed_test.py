"""What the seed tests of pictures and of sounds share: the seed that fits best, its p-value, and how both are told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ancestral.detection.query import Search
from ancestral.images.drawing import Label, Labels
from ancestral.images.sampler import ImageSampler
from ancestral.models.detection import SIGNIFICANT, log10_p
from ancestral.models.spec import COARSE

# What a picture was probably asked to show: combinations of labels, the most likely ones first.

_ROUNDS = 2


def likely_labels(sampler: ImageSampler, symbols: NDArray[np.uint8], most: int) -> list[Labels]:
    """Combinations of labels under which a picture is most likely.

    Attribute by attribute the best value is taken, given those of the others; the sums of what each value added then
    rank the combinations that occurred in training. Of a network in two scales the coarse pixels are enough for that,
    at a sixteenth of the work.

    Args:
        sampler: of a model without an encoder.
        symbols: of the picture ``[H, W, C]``.
        most: combinations that are returned.
    """
    spec, rows = sampler.model.spec, sampler.model.label_rows
    sizes = [len(values) for _, values in spec.attributes]
    if not sizes:
        return [()]
    current: list[int | None] = [None] * len(sizes)
    tables: list[NDArray[np.float64]] = [np.zeros(0)] * len(sizes)
    for _ in range(_ROUNDS if len(sizes) > 1 else 1):
        for a, size in enumerate(sizes):
            tried: list[Labels] = [(*current[:a], value, *current[a + 1 :]) for value in (*range(size), None)]
            tables[a] = _scores(sampler, symbols, tried)
            current[a] = int(np.argmax(tables[a][:-1]))
    if not len(rows):  # what is not asked for stays so
        values = [(None if i == sizes[0] else int(i), *current[1:]) for i in np.argsort(-tables[0])]
        return list(dict.fromkeys([tuple[Label, ...]([None] * len(sizes)), *values]))[:most]
    labels = rows[:, :-1].astype(np.int64)  # -1, unspecified, is the last of a table
    ranks = sum((table[labels[:, a]] for a, table in enumerate(tables)), np.log(rows[:, -1].astype(np.float64)))
    best = np.argsort(-ranks, kind="stable")[:most]
    return [tuple(None if value < 0 else int(value) for value in labels[row]) for row in best]


def _scores(sampler: ImageSampler, symbols: NDArray[np.uint8], many: list[Labels]) -> NDArray[np.float64]:
    """ln p of a picture, or of its coarse pixels, under each of many combinations of labels."""
    engine = sampler.engine.pictures
    coarse = engine.coarse
    h = np.stack([vector for labels in many if (vector := sampler.embed(labels)) is not None])
    seen = (symbols if coarse is None else symbols[COARSE, COARSE])[None].repeat(len(many), axis=0)
    return np.asarray((engine if coarse is None else coarse).score(seen, h).sum(axis=(1, 2, 3)))


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
