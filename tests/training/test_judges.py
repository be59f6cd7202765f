"""Judges of pictures, against answers that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ancestral.models.classification import PictureClassifier
from ancestral.models.spec import ImageSpec
from ancestral.training.data.images import Pictures
from ancestral.training.evaluation.judges import (
    classifier_spec,
    count_copies,
    nearest,
    precision_recall,
    train_classifier,
)
from ancestral.training.metrics.classification import accuracy, adherence, classify

SIDES, HEIGHTS = ("left", "right"), ("top", "bottom", "neither")


def seen_as(levels: int, palette: tuple[str, ...] = ()) -> ImageSpec:
    attributes = (("side", SIDES), ("height", HEIGHTS))
    return ImageSpec(height=8, width=8, channels=1, levels=levels, palette=palette, attributes=attributes)


def quarters(count: int, seed: int) -> Pictures:
    """Grey pictures of 8 × 8 pixels with a light half left or right, of which the top or the bottom is lightest."""
    rng = np.random.default_rng(seed)
    side, height = rng.integers(0, 2, count), rng.integers(0, 3, count)
    light = np.arange(8) // 4 == side[:, None]
    lightest = np.arange(8) // 4 == height[:, None]
    images = np.where(light[:, None], rng.integers(90, 130, (count, 8, 8)), 10)
    images = np.where(light[:, None] & lightest[:, :, None], 250, images)[..., None].astype(np.uint8)
    return Pictures(images, np.stack([side, height], axis=1))


def trained(pictures: Pictures, seen: int, levels: int = 256, palette: tuple[str, ...] = ()) -> PictureClassifier:
    spec = seen_as(levels, palette)
    return train_classifier(pictures, classifier_spec(spec, spec.attributes), seen)


@pytest.mark.parametrize("levels", [2, 256])
def test_a_classifier_learns_every_attribute(levels: int) -> None:
    classifier, test = trained(quarters(600, 0), 6000, levels), quarters(60, 1)
    symbols = test.images // 128 if levels == 2 else test.images
    shares = accuracy(classifier, Pictures(symbols, test.labels))
    assert shares["side"] >= (0.6 if levels == 2 else 1.0), "without a lightest part there is nothing to see"
    assert shares["height"] == 1.0
    assert classify(classifier, symbols).shape == (60, 2)


def test_indices_are_classified_by_their_colours() -> None:
    palette = tuple(f"#{level:02x}{level:02x}{level:02x}" for level in range(256))
    classifier, test = trained(quarters(600, 0), 3000, palette=palette), quarters(60, 1)
    assert accuracy(classifier, test) == {"side": 1.0, "height": 1.0}


def test_few_pictures_are_shown_more_often() -> None:
    few = quarters(30, 0)
    assert accuracy(trained(few, 6000), few) == {"side": 1.0, "height": 1.0}


def test_labels_that_are_unknown_are_not_learnt_and_do_not_count() -> None:
    pictures, test = quarters(600, 0), quarters(60, 1)
    pictures.labels[100:, 1], test.labels[:, 1] = len(HEIGHTS), len(HEIGHTS)
    test.labels[7, 1] = 2 - (test.labels[7, 1] == 2)
    classifier = trained(pictures, 6000)
    known = quarters(60, 1)
    assert accuracy(classifier, known)["height"] > 0.9, "of those that are known"
    assert accuracy(classifier, test)["height"] in (0.0, 1.0), "one is known"
    test.labels[7, 1] = len(HEIGHTS)
    assert math.isnan(accuracy(classifier, test)["height"])


def test_all_are_right_where_each_is() -> None:
    classifier, test = trained(quarters(600, 0), 6000), quarters(60, 1)
    test.labels[:15, 0] ^= 1
    test.labels[10:20, 1] = (test.labels[10:20, 1] + 1) % 3
    assert adherence(classifier, test) == {"side": 0.75, "height": 50 / 60, "all": 40 / 60}


def test_the_same_distribution_is_faithful_and_varied() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 500, 8)).astype(np.float32)
    precision, recall = precision_recall(a, b)
    assert min(precision, recall) > 0.7


def test_missing_variety_costs_recall_and_strange_pictures_cost_precision() -> None:
    rng = np.random.default_rng(0)
    real = rng.standard_normal((400, 4)).astype(np.float32)
    centre = 0.05 * rng.standard_normal((400, 4)).astype(np.float32)
    precision, recall = precision_recall(centre, real)
    assert precision > 0.9 > 0.1 > recall
    strange = real + 100.0
    assert precision_recall(strange, real) == (0.0, 0.0)
    half = np.concatenate([strange[:200], real[:200]])
    assert precision_recall(half, real).precision == 0.5


def test_the_nearest_come_first_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    real = np.array([0, 100, 50, 60, 255, 7], np.uint8).reshape(6, 1, 1, 1)
    whole = nearest(real[3:4], real, seen_as(256), 4)
    assert whole[0].tolist() == [[3, 2, 1, 5]]
    assert np.allclose(whole[1], [[0.0, 10.0, 40.0, 53.0]])
    monkeypatch.setattr("ancestral.training.evaluation.judges._CHUNK", 2)
    for mine, other in zip(nearest(real[3:4], real, seen_as(256), 4), whole, strict=True):
        assert np.array_equal(mine, other)


def test_nearness_is_that_of_colours_not_of_indices() -> None:
    spec = ImageSpec(height=1, width=1, channels=1, levels=3, palette=("#000000", "#ff0000", "#0a0000"))
    symbols = np.array([0, 1, 2], np.uint8).reshape(3, 1, 1, 1)
    pixels = np.zeros((1, 1, 1, 3), np.uint8)
    indices, distances = nearest(pixels, symbols, spec, 3)
    assert indices.tolist() == [[0, 2, 1]]
    assert np.allclose(distances, [[0.0, 10 / 3**0.5, 255 / 3**0.5]])


def test_copies_are_counted_beside_those_of_real_pictures() -> None:
    rng = np.random.default_rng(0)
    train, test, fresh = rng.integers(0, 256, (3, 200, 4, 4, 1), np.uint8)
    spec = ImageSpec(height=4, width=4, channels=1, levels=256)
    independent = count_copies(fresh, test, train, spec)
    assert independent.copies < 0.15
    assert independent.equal == independent.equal_of_real == 0.0
    copied = count_copies(np.concatenate([train[:50], fresh[:150]]), test, train, spec)
    assert copied.equal == 0.25 <= copied.copies
    assert copied.distance_of_real == independent.distance_of_real
    changed = train.copy()
    changed[:, 0, 0] ^= 1  # one step in one pixel
    near = count_copies(changed, test, train, spec)
    assert (near.copies, near.equal) == (1.0, 0.0)
