"""Edits that are judged: regions that tell, requests, and Metropolis–Hastings against the exact distribution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ancestral.models.checkpoint import Checkpoint
from ancestral.models.engines.images.native import NativeImageEngine
from ancestral.models.engines.images.request import Edit, ImageStreamRequest
from ancestral.training.data.images import Pictures
from ancestral.training.data.masks import kept_pixels
from ancestral.training.evaluation.edits import (
    draw_edits,
    edits_of,
    metropolis_hastings,
    telling_regions,
    without_context,
)
from tests.models.random_pictures import CLASS, EDITS, PALETTE, checkpoint_of, pictures_of, tiny

SMALL = tiny(
    True, 1, height=4, width=4, palette=PALETTE, levels=len(PALETTE), attributes=(CLASS,), conditioning="location",
    coarse_layers=2, coarse_features=8, coarse_inputs=5, context_channels=4,
)  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    """Of random weights, larger than usual, so that the pixels of a region depend on those around it."""
    made = checkpoint_of(SMALL)
    tensors = {name: tensor * (3.0 if name.endswith("output") else 1.0) for name, tensor in made.tensors.items()}
    return without_context(replace(made, tensors=tensors))


def test_masks_have_regions_of_many_shapes_and_keep_something() -> None:
    masks = kept_pixels(np.random.default_rng(0), 500, 16, 12)
    assert masks.shape == (500, 16, 12)
    assert masks.any(axis=(1, 2)).all()
    assert not masks.all(axis=(1, 2)).any()
    shares = masks.mean(axis=(1, 2))
    assert shares.min() < 0.2 < 0.9 < shares.max()
    assert masks.mean(axis=0).min() > 0.2, "every pixel is kept, and drawn, now and then"
    assert masks.mean(axis=0).max() < 0.95
    assert np.array_equal(masks, kept_pixels(np.random.default_rng(0), 500, 16, 12))


def test_a_region_is_where_an_attribute_shows() -> None:
    spec, rng = EDITS["palette"], np.random.default_rng(1)
    labels = np.stack([rng.integers(0, len(values), 600) for _, values in spec.attributes], axis=1)
    images = rng.integers(1, 3, (600, spec.height, spec.width, 1)).astype(np.uint8)
    images[:, 2:4, 5:8, 0] = (labels[:, 0] + 1)[:, None, None]
    images[:, :, :, 0] += (labels[:, 1] * 2)[:, None, None].astype(np.uint8)  # the style shows everywhere
    regions = telling_regions(Pictures(images % spec.levels, labels), spec)
    rows, columns = np.nonzero(regions["class"])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (1, 4, 4, 8)
    assert "style" not in regions


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_edits_ask_for_another_value_of_one_attribute_and_keep_the_rest(guidance: float) -> None:
    spec = EDITS["palette"]
    engine, test = NativeImageEngine(checkpoint_of(spec)), Pictures(pictures_of(spec, 6), np.zeros((6, 3), np.int64))
    regions = {name: np.arange(spec.width) < 3 + np.zeros((spec.height, 1)) for name in ("class", "subclass")}
    requests, labels = edits_of(engine, test, regions, 6, 0.9, guidance)
    unspecified = [len(values) for _, values in spec.attributes]
    assert [[place for place in range(3) if row[place] < unspecified[place]] for row in labels] == [[0], [2]] * 3
    assert (labels[labels < unspecified] > 0).all(), "other values than those of the pictures"
    drawn, seconds = draw_edits(engine, requests)
    assert np.array_equal(drawn[:, :, 3:], test.images[:, :, 3:])
    assert not np.array_equal(drawn[:, :, :3], test.images[:, :, :3])
    assert seconds > 0


def test_metropolis_hastings_has_the_exact_distribution(checkpoint: Checkpoint) -> None:
    engine, (picture,) = NativeImageEngine(checkpoint), pictures_of(SMALL, 1)
    kept = np.ones((4, 4), np.bool_)
    kept.reshape(-1)[4] = False
    h = engine.embed_labels([1])
    every = np.arange(SMALL.levels, dtype=np.uint8)
    pictures = np.repeat(picture[None], len(every), axis=0)
    pictures.reshape(len(every), -1)[:, 4] = every
    scores = engine.score(pictures, np.tile(h, (len(every), 1))).sum(axis=(1, 2, 3))
    exact = np.exp(scores - scores.max())
    exact /= exact.sum()
    forced, counted = np.zeros(len(every)), np.zeros(len(every))
    chains = 200
    for chain in range(chains):
        request = ImageStreamRequest(0, h=h, edit=Edit(picture, kept))
        for counts, proposals in ((forced, 1), (counted, 8)):
            found, accepted = metropolis_hastings(engine, request, proposals, seed=100 * chain)
            assert accepted < proposals
            counts[int(found.reshape(-1)[4])] += 1 / chains
    near, far = (np.abs(counts - exact).sum() / 2 for counts in (counted, forced))
    assert near < 0.12
    assert far > 0.25, "drawing alone does not suffice"
