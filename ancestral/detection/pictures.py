"""Whether a picture was sampled here: by sampling it again, by the noise in its pixels, by its likelihood."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ancestral.catalog.descriptions import ANY, ImageModel
from ancestral.catalog.seeds import part_seed, part_seeds
from ancestral.detection.query import MOST_PARTS, NO_SEEDS, Found, Search, SeedTest, not_tried, share, whole
from ancestral.errors import InvalidRequest
from ancestral.images.drawing import Drawing, Labels
from ancestral.images.planning import class_drawing, has_classes, interpolation, requested_labels
from ancestral.images.sampler import ImageSampler
from ancestral.requests import Draw, checked
from ancestral_models.conditioning import label_draws, label_shares, parents
from ancestral_models.detection import Intervals
from ancestral_models.engines.images.engine import BatchRequest, ImageEngine
from ancestral_models.engines.images.native import NativeImageEngine
from ancestral_models.spec import COARSE, pixels_of

Symbols = NDArray[np.uint8]

_COMBINATIONS: Final = 4
"""Combinations of labels that are tried where nothing tells the labels of a picture."""
_TELLING_BITS: Final = 2.0
"""Evidence of labels from which on the pixels are looked at, where it is a guess what was named."""
_HOPELESS_BITS: Final = -6.0
"""Evidence of labels below which they are not drawn further."""
_CANDIDATES: Final = 8
"""Seeds of a search that are looked at closely."""
_REACHES: Final = (0, 1, 4, 12)
"""How far a grey or coloured symbol may be from what was sampled: a JPEG moves it. A palette has no neighbours."""
_MOST_SCALE: Final = 16
"""Largest scale of a JPEG that is compared with its recipe."""
_GUESS: Final = 0.5
"""A picture with fewer bits under a model than this share of its deflated symbols might be the model's."""


@dataclass(frozen=True)
class _FoundInPicture(Found):
    intervals: Intervals


class PictureTest(SeedTest[_FoundInPicture]):
    """The seed test of one picture.

    Args:
        sampler: of the model that may have drawn it.
        symbols: of the picture ``[H, W, C]``.
        shown: its labels.
        search: the seeds.
    """

    def __init__(self, sampler: ImageSampler, symbols: Symbols, shown: ShownLabels, search: Search) -> None:
        super().__init__(search)
        self._sampler, self._symbols, self._shown = sampler, symbols, shown
        self._recipe: Mapping[str, Any] = search.query.recipe or {}
        self._known: dict[Labels, Intervals] = {}

    def run(self) -> None:
        """Try the seeds that are named, then those of the key; stops at the first that is found.

        Whatever is tried has its share of the false alarms, by which its trials are divided: named seeds and those of
        the key a half each; the first picture of a request and the others (:func:`~ancestral.detection.query.share`);
        what the recipe names, or nothing, and what else may have been named.
        """
        for seed in self.search.query.named:
            for part in range(MOST_PARTS):
                self.search.tried += 1
                self._try_named(part_seed(seed, part), part)
                if self.found or self.search.over:
                    return
        if self.search.keyed:
            self._search()

    def _try_named(self, seed: int, part: int) -> None:
        """One seed, with what the recipe names, or nothing; then with what else may have been named."""
        query = self.search.query
        trials = len(query.named) * (1.0 + self.search.keyed) / (query.share * share(part, MOST_PARTS))
        labels, bits = self._shown.drawn(self._named(), seed)
        if part == 0 or bits > -1.0:
            self._look(seed, part, labels, trials / share(0, 2), bits)
        for portion, named in self._requests:
            labels, bits = self._shown.drawn(named, seed, _HOPELESS_BITS)
            if not self.found and (bits > _TELLING_BITS or None not in named):
                self._look(seed, part, labels, trials / share(1, 2) / portion, bits)

    def _search(self) -> None:
        """The seeds of the key: of the first picture of every request, then of the others."""
        query, likely = self.search.query, self._shown.likely(_COMBINATIONS)
        for part in range(MOST_PARTS):
            for first, seeds in self.search.blocks():
                of_part = part_seeds(seeds, part)
                self.search.tried += len(seeds)
                for rank, labels in enumerate(likely):
                    portion = query.share * share(part, MOST_PARTS) * share(rank, len(likely))
                    intervals = self._with_drawn(labels)
                    for number in intervals.search(of_part, _CANDIDATES):
                        counter = first + int(number)
                        trials = (1.0 + bool(query.named)) * self.search.trials(counter) / portion
                        bits = intervals.evidence(int(of_part[number]))
                        self.consider(_FoundInPicture(bits, trials, int(of_part[number]), part, counter, intervals))
                if self.found:
                    return

    def _look(self, seed: int, part: int, labels: Labels, trials: float, bits: float) -> None:
        """Compute the evidence for one seed that is named, beside that of its labels."""
        intervals = self._intervals(labels)
        self.consider(_FoundInPicture(bits + intervals.evidence(seed), trials, seed, part, None, intervals))

    @cached_property
    def _requests(self) -> list[tuple[float, Named]]:
        return list(self._shown.requests(_COMBINATIONS))

    def _named(self) -> Named:
        """The labels that the recipe names."""
        model, prompt = self._sampler.model, self._recipe.get("prompt", self._recipe.get("class", ANY))
        try:
            requested = requested_labels(model, prompt, self._recipe.get("style"))
        except InvalidRequest:
            return (None,) * len(model.spec.conditions)
        return tuple(label for label in requested if not isinstance(label, tuple))

    def _intervals(self, labels: Labels) -> Intervals:
        if labels not in self._known:
            engine, model, recipe = self._sampler.engine.pictures, self._sampler.model, self._recipe
            assert isinstance(engine, NativeImageEngine), "checked before"
            spec = model.spec
            temperature = _number(recipe, "temperature", model.entry.temperature)
            guidance = _number(recipe, "guidance", model.entry.guidance) if has_classes(model) else 1.0
            request = self._sampler.request(labels, temperature, guidance)
            reaches = (0,) if spec.palette or spec.binary else _REACHES
            bounds = engine.intervals(self._symbols[None], [request], reaches)[0].reshape(spec.dims, len(reaches), 2)
            given = int(_number(recipe, "rows", 0)) * spec.width * spec.channels
            # rows that were uploaded have no noise
            self._known[labels] = Intervals(np.arange(given, spec.dims, dtype=np.int64), bounds[given:])
        return self._known[labels]

    def _with_drawn(self, labels: Labels) -> Intervals:
        """The intervals of a picture, and those of the noise that draws its labels, if nothing was named."""
        own, drawn = self._intervals(labels), self._shown.bounds(labels)
        positions = np.append(own.positions, self._sampler.model.spec.dims + np.arange(len(drawn)))
        more = drawn[:, None].repeat(own.bounds.shape[1], axis=1)
        return Intervals(positions, np.concatenate([own.bounds, more]), len(drawn))

    def report(self) -> dict[str, Any]:
        """The part ``seed`` of the answer."""
        answer = {"model": self._sampler.model.entry.id, **self.evidence(int(self._symbols.size))}
        if self.found and self.best is not None:
            inside = self.best.intervals.inside(self.best.seed)[: self.best.intervals.symbols, 0]
            answer |= {
                **self.identity(self.best),
                "agreeing": int(inside.sum()), "symbols": len(inside), "exact": bool(inside.all()),
                "agreement": self._agreement(self.best.intervals, inside),
            }  # fmt: skip
        return answer

    def _agreement(self, intervals: Intervals, inside: NDArray[np.bool_]) -> list[list[float | None]]:
        """The evidence of every pixel for the seed, ``[H][W]``, in bits; below 0 if its noise does not fit."""
        spec = self._sampler.model.spec
        bits = np.full(spec.dims, np.nan)
        positions, sizes = intervals.positions[: len(inside)], intervals.sizes[: len(inside), 0]
        bits[positions] = np.where(inside, -np.log2(np.minimum(sizes, 1.0)), -1.0)
        pixels = bits.reshape(spec.height, spec.width, spec.channels).sum(axis=2)
        return [[None if math.isnan(value) else round(float(value), 2) for value in row] for row in pixels]


def seed_part(sampler: ImageSampler, symbols: Symbols, shown: ShownLabels | None, search: Search) -> dict[str, Any]:
    """The part ``seed`` of the answer for one model; ``shown`` is None of one with an encoder."""
    if shown is None:
        return not_tried(f"{sampler.model.entry.id} draws from another picture, which is not known")
    if not isinstance(sampler.engine.pictures, NativeImageEngine):
        return not_tried(
            f"{sampler.model.entry.id} runs on the engine {sampler.engine.name}; the test needs the native one"
        )
    if not search.query.named and not search.keyed:
        return not_tried(NO_SEEDS)
    test = PictureTest(sampler, symbols, shown, search)
    test.run()
    return test.report()


def recipe_part(sampler: ImageSampler, symbols: Symbols, recipe: Mapping[str, Any] | None) -> dict[str, Any]:
    """The part ``recipe``: whether the picture that the recipe gives is this one, as a lossless file or as a JPEG."""
    if recipe is None:
        return not_tried("the file has no recipe of ours, and none was given")
    model = sampler.model
    if recipe.get("model", model.entry.id) != model.entry.id:
        return not_tried(f"the recipe is of another model, {recipe['model']!s:.80}")
    if recipe.get("model_sha256", model.sha256) != model.sha256:
        return not_tried(f"this server has other weights of {model.entry.id}")
    if "prompt_sha256" in recipe or "rows" in recipe or model.spec.encoder is not None:
        return not_tried("it was drawn from an upload, of which the recipe has only the hash")
    if "palette" in recipe:
        return not_tried("its colours were replaced by those of another palette")
    if "sheet" in recipe:
        return not_tried("it is that of a sheet; what gives one frame is in the sheet's atlas")
    try:
        again = _drawn_again(sampler, recipe)
    except InvalidRequest as error:
        return not_tried(f"the recipe cannot be followed: {error.message}")
    pixels, most = symbols[..., 0].size, 0
    for picture in _as_files(again, model):
        equal = int((picture == symbols).all(axis=2).sum())
        most = max(most, equal)
        if equal == pixels:
            break
    return {"status": "equal" if most == pixels else "differs", "pixels": pixels, "equal_pixels": most}


def _as_files(pictures: Symbols, model: ImageModel) -> Iterator[Symbols]:
    """What is read of files of these pictures: without loss, then as JPEGs, which depend on the scale."""
    yield from pictures
    # Pillow, which a worker loads for this alone.
    from ancestral.images.decoding import decode_picture
    from ancestral.images.files import encode

    for scale in range(1, _MOST_SCALE + 1):
        for picture in pictures:
            yield decode_picture(encode(pixels_of(picture, model.spec), "jpeg", scale), model.spec, "recipe")[0]


def _drawn_again(sampler: ImageSampler, recipe: Mapping[str, Any]) -> Symbols:
    """The pictures of a recipe ``[N, H, W, C]``; raises InvalidRequest."""
    model = sampler.model
    given = {name: recipe.get(name) for name in ("temperature", "guidance", "style")}
    options = checked(Draw, {"seed": whole(recipe.get("seed"))} | given)
    if options.seed is None:
        raise InvalidRequest("seed: the recipe has none", param="seed")
    if "from" in recipe:
        steps, step = whole(recipe.get("steps")) or 0, whole(recipe.get("step"))
        if not 2 <= steps <= 64 or step is None or not 0 <= step < steps:
            raise InvalidRequest("steps: not that of an interpolation", param="steps")
        ends = [recipe["from"], recipe.get("to")]
        if not all(isinstance(end, str) or _is_vector(end) for end in ends):
            raise InvalidRequest("from: neither names nor a vector", param="from")
        drawing: Drawing = interpolation(model, ends[0], ends[1], steps, options)
    else:
        prompt = recipe.get("prompt", recipe.get("class", ANY))
        count, step = (whole(recipe.get("n")) or 1) * (whole(recipe.get("best_of")) or 1), None
        count = min(max(count, 1), MOST_PARTS)
        drawing = class_drawing(model, prompt, count, options)
    part = sampler.part(drawing)
    assert isinstance(part.request, BatchRequest)
    wanted = part.request.pictures if step is None else part.request.pictures[step : step + 1]
    return sampler.engine.pictures.draw(wanted)


def model_part(sampler: ImageSampler, symbols: Symbols, shown: ShownLabels | None) -> dict[str, Any]:
    """The part ``model``: how likely the picture is under a model, beside what PNG's compression makes of it."""
    model = sampler.model
    labels = () if shown is None else shown.likely(1)[0]
    bits = -float(sampler.score(symbols[None], labels).sum()) / math.log(2.0)
    deflated = 8.0 * len(zlib.compress(symbols.tobytes(), 9))
    return {
        "status": "could_be_ours" if bits < _GUESS * deflated else "unlikely",
        "model": model.entry.id,
        "bits_per_symbol": round(bits / symbols.size, 4),
        "lossless_bits_per_symbol": round(deflated / symbols.size, 4),
    }


def _number(recipe: Mapping[str, Any], name: str, otherwise: float) -> float:
    value = recipe.get(name)
    usable = isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value <= 10.0**4
    return float(value) if usable and value is not None else otherwise


def _is_vector(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(number, int | float) for number in value)


# What a picture was probably asked to show, and what its labels say for a seed that may have drawn them.


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
