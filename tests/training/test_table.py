"""The table of results: what is measured of a network, and how rows are written."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ancestral.models.networks import load_network
from ancestral.models.spec import ImageSpec
from ancestral.training.data.images import Pictures
from ancestral.training.evaluation.table import PUBLISHED, SEEDED, Row, markdown, measure
from ancestral.training.model_card import picture_card, run_of
from tests.models.random_pictures import CLASSES, checkpoint_of, tiny
from tests.models.random_pixelrnn import tiny_rnn

CARD = {"step": 100, "items": 1600, "hours": 0.25, "seed": 0}


def pictures(spec: ImageSpec, count: int) -> Pictures:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 2, (count, spec.height, spec.width, 1), np.uint8)
    return Pictures(images, rng.integers(0, len(CLASSES), (count, 1)))


def test_the_run_of_a_card_is_read_back() -> None:
    card = picture_card(tiny(True, 1), "Noise", 5, CARD, {"valid_nats": 3.0})
    assert run_of(card) == {name: str(value) for name, value in CARD.items()}
    assert run_of("# Another card\n\n| step | 3 |\n") == {}


def test_a_network_without_classes_has_one_likelihood_and_its_cached_pictures_are_the_naive_ones() -> None:
    spec = tiny_rnn("diagonal", 1)
    checkpoint = replace(checkpoint_of(spec), card=picture_card(spec, "Noise", 5, CARD, {}))
    test = pictures(spec, 6)
    row = measure("rain", checkpoint, test, pictures(spec, 9))
    with torch.no_grad():
        symbols = torch.from_numpy(test.images.astype(np.int64))
        logits = load_network(checkpoint)(symbols, None)
    nats = -logits.log_softmax(-1).gather(-1, symbols[..., None]).sum().item() / len(symbols)
    assert float(row.unconditional or "") == pytest.approx(nats, abs=0.006)
    assert (row.conditional, row.binarisation, row.exact) == (None, SEEDED, "2 of 2")
    assert (row.trained, row.hours) == (1600, "0.25")
    assert row.parameters == sum(tensor.size for tensor in checkpoint.tensors.values())
    assert row.naive is not None
    assert row.cached is not None
    assert row.naive > 10 * row.cached > 0.0


def test_a_network_with_classes_has_two_that_are_never_in_one_column() -> None:
    spec = tiny(True, 1, attributes=(("class", CLASSES),), conditioning="class")
    row = measure("dots", checkpoint_of(spec), pictures(spec, 6), pictures(spec, 9))
    summed, _, how = (row.unconditional or "").partition(" ")
    assert how == "(summed over the classes)"
    assert row.conditional is not None
    assert math.isfinite(float(summed))
    assert row.trained is None


def test_rows_are_in_the_order_of_their_binarisation_and_then_of_their_likelihood() -> None:
    ours = [
        Row(
            model=name, source="", binarisation=SEEDED, unconditional=nats, parameters=12345, trained=1600,
            naive=5660.0, cached=4.83,
        )
        for name, nats in (("worse", "84.00"), ("better", "82.50 (summed over the classes)"))
    ]  # fmt: skip
    lines = [line for line in markdown([*ours, *PUBLISHED], 10000).splitlines() if line.startswith("| ")][1:]
    assert len(lines) == len(PUBLISHED) + 2
    assert lines[0].startswith("| Diagonal BiLSTM (7 layers, h = 16) | 79.20 |  | fixed |")
    assert lines[-2].startswith(
        "| better | 82.50 (summed over the classes) |  | sampled; test set once | 12 345 | 1 600 |"
    )
    assert " | 5 660 | 4.83 | " in lines[-1]
    assert all(line.count("|") == lines[0].count("|") for line in lines)
