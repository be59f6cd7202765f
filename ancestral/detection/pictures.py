"""Whether a picture was sampled here: by sampling it again, by the noise in its pixels, by its likelihood."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ancestral.catalog.models import ANY
from ancestral.catalog.seeds import part_seed, part_seeds
from ancestral.detection.query import MOST_PARTS, NO_SEEDS, Found, Search, SeedTest, likely_labels, not_tried
from ancestral.errors import InvalidRequest
from ancestral.images.drawing import Drawing, Labels, class_drawing, has_classes, interpolation, requested_labels
from ancestral.images.sampler import ImageSampler
from ancestral.models.conditioning import draw_labels
from ancestral.models.detection import Intervals
from ancestral.models.engines.images.batch import BatchRequest
from ancestral.models.engines.images.native import NativeImageEngine
from ancestral.requests import Draw, checked

Symbols = NDArray[np.uint8]

_COMBINATIONS: Final = 4
"""Combinations of labels that are tried where nothing tells the labels of a picture."""
_FIRST_SHARE: Final = 0.75
"""The share of a search's false alarms that the likeliest combination of labels may raise."""
_CANDIDATES: Final = 8
"""Seeds of a search that are looked at closely."""
_REACHES: Final = (0, 1, 4, 12)
"""How far a grey or coloured symbol may be from what was sampled: a JPEG moves it. A palette has no neighbours."""
_GUESS: Final = 0.5
"""A picture with fewer bits under a model than this share of its deflated symbols might be the model's."""


@dataclass(frozen=True)
class _Conditions:
    """How a picture may have been sampled, but for its seed."""

    labels: Labels
    temperature: float
    guidance: float
    from_seed: bool
    """Whether the seed that is tried drew the labels: then they are no evidence for it."""


@dataclass(frozen=True)
class _FoundInPicture(Found):
    intervals: Intervals


class PictureTest(SeedTest[_FoundInPicture]):
    """The seed test of one picture.

    Args:
        sampler: of the model that may have drawn it.
        symbols: of the picture ``[H, W, C]``.
        search: the seeds.
    """

    def __init__(self, sampler: ImageSampler, symbols: Symbols, search: Search) -> None:
        super().__init__(search)
        self._sampler, self._symbols = sampler, symbols
        self._recipe: Mapping[str, Any] = search.query.recipe or {}
        self._known: dict[_Conditions, Intervals] = {}

    def run(self) -> None:
        """Try the seeds that are named, then those of the key; stops at the first that is found.

        What is tried has stages, of which each may raise half as many false alarms as the one before: the trials that
        reduce the evidence are all those that its stage plans, twice for the first one, four times for the second. In
        the same way the combinations of labels share the false alarms of a stage.
        """
        named = [(part_seed(seed, part), part) for seed in self.search.query.named for part in range(MOST_PARTS)]
        self.search.tried += len(named)
        trials = 2.0 * len(named) * (_COMBINATIONS + 1) * self.search.query.models
        for seed in self.search.query.named:  # first as the recipe has it: with a picture's own seed
            if (told := self._told_labels(seed)) is not None:
                self._look(seed, 0, None, self._conditions(told, from_seed=True), trials)
            if self.found or self.search.over:
                return
        likely = [self._conditions(labels, from_seed=False) for labels in self._likely()]
        for conditions in likely:
            for seed, part in named:
                self._look(seed, part, None, conditions, trials)
            if self.found or self.search.over:
                return
        if self.search.keyed:
            self._search(likely)

    def _search(self, likely: Sequence[_Conditions]) -> None:
        """The seeds of the key: of the first picture of every request, then of the others."""
        for part in range(MOST_PARTS):
            trials = 2.0 ** (part + 1 + bool(self.search.query.named)) * self.search.planned
            for first, seeds in self.search.blocks():
                of_part = part_seeds(seeds, part)
                self.search.tried += len(seeds)
                for rank, conditions in enumerate(likely):
                    share = _FIRST_SHARE if rank == 0 else (1.0 - _FIRST_SHARE) / (len(likely) - 1)
                    for number in self._intervals(conditions).search(of_part, _CANDIDATES):
                        self._look(int(of_part[number]), part, first + int(number), conditions, trials / share)
                if self.found:
                    return

    def _look(self, seed: int, part: int, counter: int | None, conditions: _Conditions, trials: float) -> None:
        """Compute the evidence for one seed."""
        intervals = self._intervals(conditions)
        self.consider(_FoundInPicture(intervals.evidence(seed), trials, seed, part, counter, intervals))

    def _conditions(self, labels: Labels, *, from_seed: bool) -> _Conditions:
        entry = self._sampler.model.entry
        return _Conditions(
            labels,
            _number(self._recipe, "temperature", entry.temperature),
            _number(self._recipe, "guidance", entry.guidance) if has_classes(self._sampler.model) else 1.0,
            from_seed,
        )

    def _told_labels(self, seed: int) -> Labels | None:
        """The labels of a picture with this seed, if the recipe or the model says what was asked for."""
        model, prompt = self._sampler.model, self._recipe.get("prompt", self._recipe.get("class"))
        if has_classes(model) and prompt is None:
            prompt = ANY
        try:
            requested = requested_labels(model, prompt if has_classes(model) else None, self._recipe.get("style"))
        except InvalidRequest:
            return None
        indices = [label for label in requested if not isinstance(label, tuple)]
        return tuple(draw_labels(model.spec, model.label_rows, indices, seed))

    def _likely(self) -> list[Labels]:
        return likely_labels(self._sampler, self._symbols, _COMBINATIONS)

    def _intervals(self, conditions: _Conditions) -> Intervals:
        if conditions not in self._known:
            engine, spec = self._sampler.engine.pictures, self._sampler.model.spec
            assert isinstance(engine, NativeImageEngine), "checked before"
            request = self._sampler.request(conditions.labels, conditions.temperature, conditions.guidance)
            reaches = (0,) if spec.palette or spec.binary else _REACHES
            bounds = engine.intervals(self._symbols[None], [request], reaches)[0].reshape(spec.dims, len(reaches), 2)
            given = int(_number(self._recipe, "rows", 0)) * spec.width * spec.channels
            positions = np.arange(given, spec.dims, dtype=np.int64)  # rows that were uploaded have no noise
            drawn = self._drawn_labels(conditions, len(reaches))
            self._known[conditions] = Intervals(
                np.append(positions, np.full(len(drawn), spec.dims)),
                np.concatenate([bounds[given:], drawn]),
                len(drawn),
            )
        return self._known[conditions]

    def _drawn_labels(self, conditions: _Conditions, reaches: int) -> NDArray[np.float64]:
        """The noise that draws these labels, if nothing was asked for: ``[1, R, 2]``, or none (``draw_labels``)."""
        rows = self._sampler.model.label_rows
        wanted = np.array([-1 if label is None else label for label in conditions.labels])
        if conditions.from_seed or not len(rows) or self._recipe.get("prompt", ANY) != ANY:
            return np.empty((0, reaches, 2))
        where = np.flatnonzero((rows[:, :-1] == wanted).all(axis=1))[:1]
        ends = np.cumsum(rows[:, -1], dtype=np.float64)
        ends /= ends[-1]
        starts = np.append(0.0, ends[:-1])
        return np.repeat(np.stack([starts[where], ends[where]], axis=1)[:, None], reaches, axis=1)

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


def seed_part(sampler: ImageSampler, symbols: Symbols, search: Search) -> dict[str, Any]:
    """The part ``seed`` of the answer for one model."""
    if reason := untestable(sampler):
        return not_tried(reason)
    if not search.query.named and not search.keyed:
        return not_tried(NO_SEEDS)
    test = PictureTest(sampler, symbols, search)
    test.run()
    return test.report()


def untestable(sampler: ImageSampler) -> str | None:
    """Why the noise of a model's pictures cannot be tested."""
    if sampler.model.spec.encoder is not None:
        return f"{sampler.model.entry.id} draws from another picture, which is not known"
    if not isinstance(sampler.engine.pictures, NativeImageEngine):
        return f"{sampler.model.entry.id} runs on the engine {sampler.engine.name}; the test needs the native one"
    return None


def recipe_part(sampler: ImageSampler, symbols: Symbols, recipe: Mapping[str, Any] | None) -> dict[str, Any]:
    """The part ``recipe``: whether the picture that the recipe gives is this one."""
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
    if "manifest_sha256" in recipe and "guidance" not in recipe:
        return not_tried("the recipe, of an earlier version, does not say what was asked for")
    try:
        again = _drawn_again(sampler, recipe)
    except InvalidRequest as error:
        return not_tried(f"the recipe cannot be followed: {error.message}")
    equal = max(int((picture == symbols).all(axis=2).sum()) for picture in again)
    pixels = symbols.shape[0] * symbols.shape[1]
    return {"status": "equal" if equal == pixels else "differs", "pixels": pixels, "equal_pixels": equal}


def _drawn_again(sampler: ImageSampler, recipe: Mapping[str, Any]) -> Symbols:
    """The pictures of a recipe ``[N, H, W, C]``; raises InvalidRequest."""
    model = sampler.model
    given = {name: recipe.get(name) for name in ("temperature", "guidance", "style")}
    options = checked(Draw, {"seed": _whole(recipe.get("seed"))} | given)
    if options.seed is None:
        raise InvalidRequest("seed: the recipe has none", param="seed")
    if "from" in recipe:
        steps, step = _whole(recipe.get("steps")) or 0, _whole(recipe.get("step"))
        if not 2 <= steps <= 64 or step is None or not 0 <= step < steps:
            raise InvalidRequest("steps: not that of an interpolation", param="steps")
        ends = [recipe["from"], recipe.get("to")]
        if not all(isinstance(end, str) or _is_vector(end) for end in ends):
            raise InvalidRequest("from: neither names nor a vector", param="from")
        drawing: Drawing = interpolation(model, ends[0], ends[1], steps, options)
    else:
        prompt = recipe.get("prompt", recipe.get("class", ANY)) if has_classes(model) else None
        count, step = min(max(_whole(recipe.get("n")) or 1, 1), MOST_PARTS), None
        drawing = class_drawing(model, prompt, count, options)
    part = sampler.part(drawing)
    assert isinstance(part.request, BatchRequest)
    wanted = part.request.pictures if step is None else part.request.pictures[step : step + 1]
    return sampler.engine.pictures.draw(wanted)


def model_part(sampler: ImageSampler, symbols: Symbols) -> dict[str, Any]:
    """The part ``model``: how likely the picture is under a model, beside what PNG's compression makes of it."""
    model = sampler.model
    labels = () if model.spec.encoder is not None else likely_labels(sampler, symbols, 1)[0]
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


def _whole(value: object) -> int | None:
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
