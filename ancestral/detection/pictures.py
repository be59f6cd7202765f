"""Whether a picture was sampled here: by sampling it again, by the noise in its pixels, by its likelihood."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ancestral.catalog.models import ANY, ImageModel
from ancestral.catalog.seeds import part_seed, part_seeds
from ancestral.detection.labels import Named, ShownLabels
from ancestral.detection.query import MOST_PARTS, NO_SEEDS, Found, Search, SeedTest, not_tried, share
from ancestral.errors import InvalidRequest
from ancestral.images.drawing import Drawing, Labels, class_drawing, has_classes, interpolation, requested_labels
from ancestral.images.sampler import ImageSampler
from ancestral.models.detection import Intervals
from ancestral.models.engines.images.engine import BatchRequest
from ancestral.models.engines.images.native import NativeImageEngine
from ancestral.models.palette import pixels_of
from ancestral.requests import Draw, checked

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
            self._look(seed, part, None, labels, trials / share(0, 2), bits)
        for portion, named in self._requests:
            labels, bits = self._shown.drawn(named, seed, _HOPELESS_BITS)
            if not self.found and (bits > _TELLING_BITS or None not in named):
                self._look(seed, part, None, labels, trials / share(1, 2) / portion, bits)

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

    def _look(self, seed: int, part: int, counter: int | None, labels: Labels, trials: float, bits: float) -> None:
        """Compute the evidence for one seed, beside that of its labels."""
        intervals = self._intervals(labels)
        self.consider(_FoundInPicture(bits + intervals.evidence(seed), trials, seed, part, counter, intervals))

    @cached_property
    def _requests(self) -> list[tuple[float, Named]]:
        return list(self._shown.requests(_COMBINATIONS))

    def _named(self) -> Named:
        """The labels that the recipe names."""
        model, prompt = self._sampler.model, self._recipe.get("prompt", self._recipe.get("class"))
        if has_classes(model) and prompt is None:
            prompt = ANY
        try:
            requested = requested_labels(model, prompt if has_classes(model) else None, self._recipe.get("style"))
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
    if "manifest_sha256" in recipe and "guidance" not in recipe:
        return not_tried("the recipe, of an earlier version, does not say what was asked for")
    try:
        again = _drawn_again(sampler, recipe)
    except InvalidRequest as error:
        return not_tried(f"the recipe cannot be followed: {error.message}")
    pixels = symbols.shape[0] * symbols.shape[1]
    most = 0
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
    from ancestral.images.pixels import encode

    for scale in range(1, _MOST_SCALE + 1):
        for picture in pictures:
            yield decode_picture(encode(pixels_of(picture, model.spec), "jpeg", scale), model.spec, "recipe")[0]


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


def _whole(value: object) -> int | None:
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
