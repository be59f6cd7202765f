"""How well a network draws edits: whether a region shows what was asked for; and a yardstick that needs no training."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.models.checkpoint import Checkpoint
from ancestral.models.classification import PictureClassifier
from ancestral.models.engines.images.engine import Edit, ImageEngine, ImageStreamRequest
from ancestral.models.palette import pixels_of
from ancestral.models.spec import STYLE, ImageSpec
from ancestral.training.data.batches import Mask
from ancestral.training.data.images import Images, Pictures, spread, write_sheet
from ancestral.training.metrics import classify
from ancestral.training.tasks.images import ImageTask

_SEEN = 15_000
"""Training pictures that regions are found in."""
_TELLING = 0.25
"""Share of the most telling pixel's variance that a pixel of a region has at least."""
_SHOWN, _COLUMNS = 40, 10
"""Edits on a sheet, and in a row."""
_HIDDEN = 200
"""The grey of a region on it."""
_WIDEST = 0.7
"""The share of a picture that a region covers at most; an attribute that shows everywhere has none."""


def telling_regions(train: Pictures, spec: ImageSpec) -> dict[str, Mask]:
    """The rectangle ``[H, W]`` in which an attribute shows, for every attribute that shows in a part of the pictures.

    It holds the pixels whose colours differ most between the attribute's values: what somebody would paint over.
    """
    chosen = spread(len(train.images), _SEEN)
    pixels = pixels_of(train.images[chosen], spec).astype(np.float32)
    mean, found = pixels.mean(axis=0), {}
    for column, (name, values) in enumerate(spec.attributes):
        between = np.zeros(pixels.shape[1:3])
        for value in range(len(values)):
            of_value = pixels[train.labels[chosen, column] == value]
            if len(of_value):
                between += len(of_value) * ((of_value.mean(axis=0) - mean) ** 2).sum(axis=2)
        region = _around(between >= _TELLING * between.max())
        if name != STYLE and region.mean() <= _WIDEST:
            found[name] = region
    return found


def _around(pixels: Mask) -> Mask:
    """The rectangle around pixels, with an edge of one."""
    region = np.zeros_like(pixels)
    rows, columns = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
    region[max(rows[0] - 1, 0) : rows[-1] + 2, max(columns[0] - 1, 0) : columns[-1] + 2] = True
    return region


def edits_of(
    engine: ImageEngine, test: Pictures, regions: dict[str, Mask], count: int, temperature: float, guidance: float
) -> tuple[list[ImageStreamRequest], NDArray[np.int64]]:
    """Requests for edits of real pictures, each of another value of one attribute in its region, and nothing else.

    Returns:
        The requests, and the labels ``[count, attributes]`` that were asked for.
    """
    spec, rng = engine.spec, np.random.default_rng(0)
    names = [name for name, _ in spec.attributes]
    labels = np.tile([len(values) for _, values in spec.attributes], (count, 1)).astype(np.int64)
    requests = []
    for index, source in enumerate(spread(len(test.images), count)):
        name = [*regions][index % len(regions)]
        column = names.index(name)
        others = [value for value in range(len(spec.attributes[column][1])) if value != test.labels[source, column]]
        labels[index, column] = rng.choice(others)
        row = [int(labels[index, column]) if place == column else None for place in range(len(names))]
        request = ImageStreamRequest(index, temperature, engine.embed_labels(row))
        if guidance != 1.0:
            request = replace(request, guidance=guidance, unconditional=engine.unconditional(row))
        requests.append(replace(request, edit=Edit(test.images[source], ~regions[name])))
    return requests, labels


def draw_edits(engine: ImageEngine, requests: Sequence[ImageStreamRequest]) -> tuple[Images, float]:
    """The pictures, and seconds per picture.

    Raises:
        ValueError: a pixel that was to be kept is another one.
    """
    begin = time.perf_counter()
    drawn = engine.draw(requests)
    seconds = (time.perf_counter() - begin) / len(requests)
    for request, picture in zip(requests, drawn, strict=True):
        assert request.edit is not None, "an edit"
        if not np.array_equal(picture[request.edit.kept], request.edit.picture[request.edit.kept]):
            raise ValueError("a pixel that was to be kept is another one")
    return drawn, seconds


def edited_figures(
    engine: ImageEngine, task: ImageTask, count: int, temperature: float, guidance: float,
    classifier: PictureClassifier, sheet: Path,
) -> dict[str, Any]:  # fmt: skip
    """How often edits of real test pictures show what was asked for, by attribute and in all; and seconds per edit.

    Args:
        engine: of a network that draws edits.
        task: with the data.
        count: of the edits.
        temperature: of all.
        guidance: to what was asked for.
        classifier: of the attributes.
        sheet: gets some of them: pictures, what is kept of them, and the edits, row by row.
    """
    test = task.held_out(task.pictures.test, None)
    regions = telling_regions(task.pictures.train, task.spec)
    requests, labels = edits_of(engine, test, regions, count, temperature, guidance)
    drawn, seconds = draw_edits(engine, requests)
    right = classify(classifier, drawn) == labels
    columns = [name for name, _ in task.spec.attributes]
    asked = {name: labels[:, columns.index(name)] < len(task.spec.named[name]) for name in regions}
    shares = {name: float(right[rows, columns.index(name)].mean()) for name, rows in asked.items()}
    _write_rows(requests, drawn, task.spec, sheet)
    return {"count": count, "seconds_per_picture": seconds, "all": float(right.any(axis=1).mean()), **shares}


def _write_rows(requests: Sequence[ImageStreamRequest], drawn: Images, spec: ImageSpec, file: Path) -> None:
    shown = []
    for start in range(0, min(len(requests), _SHOWN), _COLUMNS):
        row = slice(start, start + _COLUMNS)
        edits = [request.edit for request in requests[row] if request.edit is not None]
        shown.append(pixels_of(np.stack([edit.picture for edit in edits]), spec))
        kept = np.stack([edit.kept for edit in edits])[..., None]
        shown += [np.where(kept, shown[-1], np.uint8(_HIDDEN)), pixels_of(drawn[row], spec)]
    write_sheet(np.concatenate(shown).repeat(2, axis=1).repeat(2, axis=2), _COLUMNS, file)


def without_context(checkpoint: Checkpoint) -> Checkpoint:
    """The network as one that sees nothing of what an edit keeps, but for what comes before a pixel."""
    blind = {n: np.zeros_like(t) for n, t in checkpoint.tensors.items() if n in ("context.out", "context.coarse_out")}
    return replace(checkpoint, tensors=checkpoint.tensors | blind)


def metropolis_hastings(
    blind: ImageEngine, request: ImageStreamRequest, proposals: int, seed: int = 0
) -> tuple[Images, int]:
    """An edit by Metropolis–Hastings: exact in the limit, without a network that was trained for it.

    A proposal is what the network draws when what is kept is forced upon it. The kept pixels' likelihood given what was
    drawn before each of them is then the weight of a proposal, as it is what drawing did not account for.

    Args:
        blind: of :func:`without_context`.
        request: of an edit, at temperature 1 and without guidance.
        proposals: how many are made.
        seed: of the first proposal's noise, and of the decisions.

    Returns:
        The picture ``[H, W, C]`` after all of them, and how many were accepted.
    """
    assert request.edit is not None, "an edit"
    kept = request.edit.kept
    pictures = blind.draw([replace(request, seed=seed + number) for number in range(proposals)])
    h = None if request.h is None else np.tile(request.h, (proposals, 1))
    weights = blind.score(pictures, h)[:, kept].sum(axis=(1, 2))
    chance, state, accepted = np.random.default_rng(seed), 0, 0
    for number in range(1, proposals):
        if np.log(chance.random()) < weights[number] - weights[state]:
            state, accepted = number, accepted + 1
    return pictures[state], accepted
