"""What a picture was probably asked to show, and what its labels say for a seed that may have drawn them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ancestral.images.drawing import Labels
from ancestral.images.sampler import ImageSampler
from ancestral.models.conditioning import label_draws, label_shares, parents
from ancestral.models.engines.images.engine import ImageEngine
from ancestral.models.spec import COARSE

Floats = NDArray[np.float64]
Named = tuple[int | None, ...]
"""A label for each attribute; None for one that is not named."""

_SURE: Final = 0.94
"""The share of a value at which an attribute is not looked at again."""
_UNSURE: Final = 0.05
"""The share of an attribute's probability that is spread over all its values, whatever the picture shows."""
_WIDTH: Final = 16
"""Combinations that are followed from one attribute to the next."""
_MOST_NAMED: Final = 3
"""Attributes that a request may have named, in combinations that are tried."""
_RECOGNISED: Final = 0.75
"""The share of the evidence's mean that counts labels."""


class ShownLabels:
    """The labels of one picture, as the network recognises them.

    Attribute by attribute the likelihood of the picture under every value is taken, given the likeliest ones of the
    others; once more of all if that changes what is likeliest, else of what leaves a doubt. Of a network in two scales
    coarse pixels alone come first, at a sixteenth of the work.

    Args:
        sampler: of a model without an encoder.
        symbols: of the picture ``[H, W, C]``.
    """

    def __init__(self, sampler: ImageSampler, symbols: NDArray[np.uint8]) -> None:
        self._spec, self._rows = sampler.model.spec, sampler.model.label_rows
        sizes = [len(values) for _, values in self._spec.attributes]
        best: Named = (None,) * len(sizes)
        drawn = len(self._rows) > 0
        self._parents = parents(self._rows) if drawn else {}
        self.shares: list[Floats] = [np.zeros(0)] * len(sizes)
        """For each attribute the probabilities of its labels ``[values + 1]``, the first of none."""
        engine = sampler.engine.pictures
        changed = True
        for seen in [engine.coarse or engine, engine, engine]:
            before, all_again = best, changed
            for a, size in enumerate(sizes):
                if all_again or self.shares[a].max() < _SURE:
                    # None is a candidate where some pictures have none, and no likely one where it means "any class".
                    values = np.arange(-1 if not drawn or (self._rows[:, a] < 0).any() else 0, size)
                    named = [None if value < 0 else int(value) for value in values]
                    tried = [self._with(best, a, value) for value in named]
                    scores = _scores(sampler, seen, symbols, tried)
                    certain = np.exp(scores - np.logaddexp.reduce(scores))
                    self.shares[a] = np.zeros(size + 1)
                    self.shares[a][values + 1] = (1.0 - _UNSURE) * certain + _UNSURE / len(scores)
                    best = tried[int(np.argmax(scores if drawn else scores[1:])) + (not drawn)]
            changed = best != before

    def _with(self, labels: Sequence[int | None], index: int, label: int | None) -> Named:
        """Labels with another one, and what goes with it: the class of a subclass; of another class no subclass."""
        found = list(labels)
        for child, (parent, classes) in self._parents.items():
            own = found[child]
            if parent == index and own is not None and classes.get(own) != label:
                found[child] = None
            elif child == index and label is not None:
                found[parent] = classes.get(label, found[parent])
        found[index] = label
        return tuple(found)

    def likely(self, most: int) -> list[Named]:
        """The likeliest combinations among those that may occur, at most so many, the likeliest first."""
        if not len(self._rows):  # what is not asked for stays so
            first = [] if not self.shares else [*np.argsort(-self.shares[0])]
            others = [None if not len(p) else int(np.argmax(p[1:])) for p in self.shares[1:]]
            values = [(None if not i else int(i) - 1, *others) for i in first]
            return list(dict.fromkeys([tuple([None] * len(self.shares)), *values]))[:most]
        beam: list[tuple[float, dict[int, int]]] = [(0.0, {})]
        for index, likelihoods in enumerate(self.shares):
            longer = []
            for score, known in beam:
                shares = likelihoods * _normalised(label_shares(self._rows, known, index, len(likelihoods) - 1))
                found = np.flatnonzero(shares)
                longer += [(score + math.log(shares[i]), {**known, index: int(i) - 1}) for i in found]
                longer += [] if len(found) else [(score, {**known, index: -1})]
            beam = sorted(longer, key=lambda each: -each[0])[:_WIDTH]
        return [tuple(None if label < 0 else label for label in known.values()) for _, known in beam[:most]]

    def requests(self, most: int) -> Iterator[tuple[float, Named]]:
        """What may have been named besides nothing: up to three attributes as they are recognised, or all as one of the
        ``most`` likeliest combinations has them; each with its share of all that may."""
        likely = self.likely(most)
        sizes = range(1, min(_MOST_NAMED, len(self.shares) - 1) + 1 if len(self._rows) else 1)
        for size in sizes:
            chosen = [*combinations(range(len(self.shares)), size)]
            for places in chosen:
                named = tuple(label if place in places else None for place, label in enumerate(likely[0]))
                yield 1.0 / (len(sizes) + 1) / len(chosen), named
        for labels in likely:
            yield 1.0 / (len(sizes) + 1) / len(likely), labels

    def drawn(self, named: Sequence[int | None], seed: int, least: float = -math.inf) -> tuple[Labels, float]:
        """The labels of a picture with this seed of which some are named; and log2 of the e-value that they are for the
        seed: the ratio of their probabilities given the picture and not given it, or, in part, 1 whatever they are.
        Once that ratio falls below ``least`` bits, they are not drawn further."""
        found, bits = list(named), 0.0
        for index, label, shares in label_draws(self._spec, self._rows, named, seed):
            found[index] = None if label < 0 else label
            likelihoods = self.shares[index]
            bits += math.log2(likelihoods[label + 1] / float(likelihoods @ _normalised(shares)))
            if bits < least:
                break
        return tuple(found), float(np.logaddexp2(bits + math.log2(_RECOGNISED), math.log2(1.0 - _RECOGNISED)))

    def bounds(self, labels: Labels) -> Floats:
        """The noise that draws these labels where nothing is named: at least, and below what, ``[attributes, 2]``."""
        known, found = dict[int, int](), []
        for index, label in enumerate(labels if len(self._rows) else ()):
            known_label = label if isinstance(label, int) else -1
            ends = np.cumsum(_normalised(label_shares(self._rows, known, index, len(self.shares[index]) - 1)))
            found.append((ends[known_label] if known_label >= 0 else 0.0, ends[known_label + 1]))
            known[index] = known_label
        return np.array(found).reshape(-1, 2)


def _normalised(shares: Floats) -> Floats:
    return shares / max(float(shares.sum()), 1e-300)


def _scores(sampler: ImageSampler, engine: ImageEngine, symbols: NDArray[np.uint8], many: Sequence[Labels]) -> Floats:
    """ln p of a picture, or of its coarse pixels, under each of many combinations of labels."""
    h = np.stack([vector for labels in many if (vector := sampler.embed(labels)) is not None])
    seen = symbols if engine is sampler.engine.pictures else symbols[COARSE, COARSE]
    return np.asarray(engine.score(seen[None].repeat(len(many), axis=0), h).sum(axis=(1, 2, 3)))
