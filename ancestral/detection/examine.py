"""All parts of the answer about a file, but its signature."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.detection import pictures, sounds
from ancestral.detection.pictures import ShownLabels
from ancestral.detection.query import Query, Search, share
from ancestral.loader import LoadedModels
from ancestral.speech.sampler import Wave

Answer = dict[str, Any]


@dataclass(frozen=True)
class Picture:
    """A picture as symbols of each model that may have drawn it."""

    symbols: Sequence[tuple[str, NDArray[np.uint8]]]
    """Ids of models, and ``[H, W, C]``."""


@dataclass(frozen=True)
class Sound:
    """A recording at the rate of a model."""

    model: str
    wave: Wave


def examine(
    models: LoadedModels,
    subject: Picture | Sound,
    query: Query,
    key: bytes | None,
    stopped: Callable[[], bool] = lambda: False,
) -> Answer:
    """The parts ``recipe``, ``seed`` and ``model``. Takes seconds; of a sound the seed has half of the time, or all if
    neither a recipe nor a voice is there.

    Args:
        models: that may have made it.
        subject: what was uploaded.
        query: what is asked.
        key: of this server's seeds.
        stopped: says whether to give up early.
    """
    if query.recipe is not None and isinstance(named := query.recipe.get("model"), str):
        query = replace(query, recipe={**query.recipe, "model": models.aliases.models.get(named, named)})
    if isinstance(subject, Sound):
        sampler = models.sound(models.speech_model(subject.model, "likelihood"))
        rest = Search(query, None, stopped)  # whose time runs from here on
        only_seed = query.recipe is None and query.voice is None
        own = query if only_seed else replace(query, seconds=query.seconds / 2.0)
        seed = sounds.seed_part(subject.wave, sampler.model.spec.sample_rate, Search(own, key, stopped))
        recipe = sounds.recipe_part(sampler, models, subject.wave, rest)
        return {"recipe": recipe, "seed": seed, "model": sounds.model_part(sampler, models, subject.wave, rest)}
    return _examine_picture(models, subject, query, key, stopped)


def _examine_picture(
    models: LoadedModels, subject: Picture, query: Query, key: bytes | None, stopped: Callable[[], bool]
) -> Answer:
    """The first model whose seed is found answers for all; else the one that the picture is likeliest under. Those for
    which there is no time are not tried."""
    count = len(subject.symbols)
    best: Answer | None = None
    until = time.monotonic() + query.seconds
    for rank, (name, symbols) in enumerate(subject.symbols):
        if best is not None and (stopped() or time.monotonic() > until):
            if "complete" in best["seed"]:
                best["seed"]["complete"] = False
            break
        sampler = models.picture(models.image_model(name, "image_likelihood"))
        shown = None if sampler.model.spec.encoder else ShownLabels(sampler, symbols)
        own = replace(query, seconds=query.seconds / count, share=share(rank, count))
        seed = pictures.seed_part(sampler, symbols, shown, Search(own, key, stopped))
        recipe = pictures.recipe_part(sampler, symbols, query.recipe)
        answer = {"recipe": recipe, "seed": seed, "model": pictures.model_part(sampler, symbols, shown)}
        if seed["status"] == "found" or answer["recipe"]["status"] == "equal":
            return answer
        if best is None or _ratio(answer) < _ratio(best):
            best = answer
    assert best is not None, "a picture without models is refused"
    return best


def _ratio(answer: Answer) -> float:
    model = answer["model"]
    return float(model["bits_per_symbol"] / model["lossless_bits_per_symbol"])
