"""What networks are conditioned on: frames and speakers, labels, pictures; and what classifiers see in pictures."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from ancestral_models.architectures import tensor_table
from ancestral_models.architectures.classifier import ClassifierSpec, EncoderSpec
from ancestral_models.architectures.pixelcnn import PixelCNNSpec
from ancestral_models.categorical import uniforms
from ancestral_models.checkpoint import Checkpoint
from ancestral_models.classification import PictureClassifier
from ancestral_models.conditioning import applicable_labels, draw_labels, encode, label_rows, padded_frames, parents
from ancestral_models.kernels.shared import conditioning
from ancestral_models.networks import load_network
from ancestral_models.spec import MAX_LABEL_ROWS
from ancestral_models.tensors import random_tensors
from tests.models.random_models import PALETTE, ROWS, SMALL_SPEC, SPECS, TINY_SPECS, pictures_of, random_checkpoint

SPEC = TINY_SPECS["conditional"]
TENSORS = random_checkpoint(SPEC).tensors


def frames(count, channels=SPEC.local_channels):
    return np.random.default_rng(count).standard_normal((count, channels), np.float32)


@pytest.mark.parametrize("count", [1, 2, 5, 100])
def test_the_size_that_serves_equals_torch_from_one_frame_on(count):
    checkpoint = random_checkpoint(SMALL_SPEC)
    given = frames(count, SMALL_SPEC.local_channels)
    padded = torch.from_numpy(padded_frames(SMALL_SPEC, given)).double()[None]
    theirs = load_network(checkpoint, torch.float64).conditioner(padded, torch.tensor([1]), 1)
    mine = conditioning(SMALL_SPEC, checkpoint.tensors, given, 1)
    assert (mine.dtype, mine.shape) == (np.float32, (count, SMALL_SPEC.conditioner_channels))
    np.testing.assert_allclose(mine, theirs[0].numpy(), rtol=1e-5, atol=1e-5)


def test_what_speakers_reach_and_what_there_is_without_frames():
    plain = conditioning(SPEC, TENSORS, frames(12), 0)
    assert (plain != conditioning(SPEC, TENSORS, frames(12), 1)).any(axis=1).all()
    assert np.isfinite(conditioning(SPEC, TENSORS, frames(5) * 1e4, 0)).all()
    speaking, neither = TINY_SPECS["speaker only"], TINY_SPECS["unconditional"]
    one, two = (conditioning(speaking, random_checkpoint(speaking).tensors, None, who) for who in (0, 1))
    assert one.shape == two.shape == (1, speaking.conditioner_channels)
    assert (one != two).any()
    tensors = random_checkpoint(neither).tensors
    assert np.array_equal(conditioning(neither, tensors, None, None), tensors["conditioner.bias"][None])


KINDRED = SPECS["gated, grey, subclasses, two scales"]


def drawn(labels, seed, rows=ROWS):
    return draw_labels(KINDRED, rows, labels, seed)


def test_what_is_unspecified_is_drawn_by_the_seed_with_its_share_of_the_training_pictures():
    made = [drawn([0, 1, None], seed) for seed in range(4000)]
    assert all(labels[:2] == [0, 1] for labels in made)
    shares = np.bincount([labels[2] for labels in made], minlength=4) / 4000
    assert shares[2] == 0.0
    np.testing.assert_allclose(shares[[0, 1, 3]], np.array([5, 1, 2]) / 8, atol=0.03)
    assert made == [drawn([0, 1, None], seed) for seed in range(4000)]
    for seed in range(50):  # the third number behind those of the sub-pixels
        u = uniforms(seed, KINDRED.dims + 2, 1)[0] * 8
        assert made[seed][2] == (0 if u < 5 else 1 if u < 6 else 3)


def test_what_rows_do_not_know_stays_unspecified_and_all_may_be_drawn():
    assert {tuple(drawn([None, None, None], seed)) for seed in range(200)} == {
        (0, None, 0), (0, None, 1), (1, None, 2), (0, None, 3)
    }  # fmt: skip
    assert {tuple(drawn([None, None, 2], seed)) for seed in range(9)} == {(1, None, 2)}, "a pug is a dog"


def test_an_attribute_whose_values_have_one_value_of_another_belongs_to_it():
    assert parents(ROWS) == {2: (0, {0: 0, 1: 0, 2: 1, 3: 0})}
    assert parents(np.array([(0, 0, 1), (1, 0, 1), (0, 1, 1)], np.float32)) == {}, "independent"
    assert parents(np.array([(0, 0, 1), (1, 1, 1)], np.float32)) == {}, "one to one"
    assert parents(ROWS[:0]) == {}


def test_rare_combinations_are_completed_from_pictures_that_agree_with_most_of_what_was_asked():
    """Of a cat, in oil, with a cap: one picture agrees with all, 130 with the cat and one more, 230 with the cat."""
    spec = dataclasses.replace(KINDRED, attributes=(*KINDRED.attributes, ("hat", ("cap", "none"))))
    rows = [(0, 0, 0, 0, 1), (0, 0, 1, 1, 60), (0, 1, 1, 0, 69), (0, 1, 3, 1, 100), (1, 0, 2, 0, 900)]

    def subclasses(*made):
        drawn = [draw_labels(spec, np.array(made, np.float32), [0, 0, None, 0], seed) for seed in range(80)]
        assert {(labels[0], labels[1], labels[3]) for labels in drawn} == {(0, 0, 0)}
        return {labels[2] for labels in drawn}

    assert subclasses(*rows) == {1}, "agree with the cat and another"
    assert subclasses(*rows, (0, 0, 0, 0, 127)) == {0}, "enough agree with all"
    assert subclasses(*((*row[:4], 1) for row in rows)) == {0, 1}, "cats, but not what was never in oil or with a cap"


def test_labels_that_never_occurred_together_are_not_joined():
    """A beret has the colour of a hat, although no row of a dog with a beret has a red shirt."""
    attributes = (
        ("head", ("man", "dog")), ("headgear", ("bald", "hair", "beret")), ("colour", ("blond", "felt", "wool")),
        ("shirt", ("red", "blue")),
    )  # fmt: skip
    spec = PixelCNNSpec(attributes=attributes, label_rows=6, conditioning="class", condition_channels=2)
    rows = [(1, 0, -1, 0, 9), (1, 1, 0, 0, 9), (1, 2, 1, 1, 1), (0, 2, 2, 0, 1), (1, 1, 0, 1, 9), (0, 2, 1, 0, 1)]
    wanted = [[1, 2, None, 0], [1, 0, None, 0]]
    drawn = {tuple(draw_labels(spec, np.array(rows, np.float32), w, s)) for w in wanted for s in range(40)}
    assert drawn == {(1, 2, 1, 0), (1, 0, None, 0)}, "no dog has wool"


def test_what_was_always_left_out_beside_a_label_is_not_named_with_it():
    """A bald head has no colour of hair, a hat sometimes has none."""
    rows = np.array([(0, -1, 0, 5), (0, -1, 1, 2), (1, 0, 1, 1), (2, 1, 0, 3), (2, -1, 1, 1)], np.float32)
    assert [applicable_labels(rows, labels) for labels in ((0, 1, 0), (1, 1, 1), (2, 0, 1), (3, 1, 0))] == [
        [0, None, 0], [1, 1, 1], [2, 0, 1], [3, 1, 0],
    ]  # fmt: skip


def test_nothing_is_drawn_without_rows_or_from_rows_that_never_occurred():
    assert draw_labels(PixelCNNSpec(), np.zeros((0, 1), np.float32), [], 0) == []
    assert drawn([None, 1, None], 0, ROWS[:0]) == [None, 1, None]
    assert drawn([None, 1, None], 0, ROWS * [1, 1, 1, 0]) == [None, 1, None]
    for labels in ([0, 1, 2], [2, None, None], [2, 1, None]):
        assert drawn(labels, 3) == labels, "given labels stay, and no row agrees"


def test_the_rows_of_a_training_set_are_counted_and_of_too_many_some_are_chosen():
    labels = np.array([(0, 2), (0, 2), (1, 0), (0, 2)])
    assert label_rows(labels, [("a", "b"), ("c", "d")]).tolist() == [[0, -1, 3], [1, 0, 1]]
    many = np.stack([np.arange(9000) // 100, np.arange(9000) % 100], axis=1)
    names = [[str(n) for n in range(100)]] * 2
    rows = label_rows(many, names)
    assert rows.shape == (MAX_LABEL_ROWS, 3)
    assert (rows[:, 2] == 1).all()
    assert np.array_equal(rows, label_rows(many, names))
    assert len(np.unique(rows[:, 0])) == 90, "of every class"


KINDS = {
    "binary": {"channels": 1, "levels": 2}, "RGB": {"channels": 3, "levels": 256, "normalised": False},
    "palette": {"channels": 1, "levels": len(PALETTE), "palette": PALETTE},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_numpy_equals_torch(kind):
    spec = EncoderSpec(height=13, width=20, layers=3, features=6, code=7, **kind)
    tensors, images = random_tensors(tensor_table(spec)), pictures_of(spec, 4)
    network = load_network(Checkpoint(spec, tensors, "", Path(), ""))
    theirs = network(torch.from_numpy(images.astype(np.int64))).numpy()
    mine = np.stack([encode(spec, tensors, image) for image in images])
    assert (mine.dtype, mine.shape) == (np.float32, (4, spec.code))
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-5)
    assert np.abs(mine[0] - mine[1:]).max(axis=1).min() > 1e-3, "pictures differ, and so do their vectors"
    assert np.allclose(np.linalg.norm(mine, axis=1), 1.0, atol=1e-6) == spec.normalised


ATTRIBUTES = (("side", ("left", "right")), ("colour", ("red", "green", "blue", "white", "grey")))
HUNDRED = ("#00000000", *(f"#{level:02x}80{255 - level:02x}" for level in range(99)))
CLASSIFIERS = {
    "palette": ClassifierSpec(32, 32, 1, 100, HUNDRED, ATTRIBUTES),
    "binary": ClassifierSpec(28, 28, 1, 2, (), ATTRIBUTES, layers=4, features=3, code=7),
    "rgb": ClassifierSpec(9, 13, 3, 256, (), ATTRIBUTES, layers=2, features=5, code=6),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_it_says_what_the_network_says(name):
    spec = CLASSIFIERS[name]
    tensors, images = random_tensors(tensor_table(spec)), pictures_of(spec, 5)
    logits = load_network(Checkpoint(spec, tensors, "", Path(), ""))(torch.from_numpy(images.astype(np.int64)))
    expected = [part.log_softmax(1).numpy() for part in torch.split(logits, [2, 5], dim=1)]
    classifier = PictureClassifier(spec, tensors)
    together = classifier.log_probabilities(images)
    for found, wanted in zip(together, expected, strict=True):
        assert np.abs(found - wanted).max() < 1e-5
    for row in range(5):
        for alone, all_of_them in zip(classifier.log_probabilities(images[row : row + 1]), together, strict=True):
            assert np.array_equal(alone[0], all_of_them[row]), "alone and among others"
    for row, shown in enumerate(classifier.shown(images)):
        best = [values[int(part[row].argmax())] for (_, values), part in zip(ATTRIBUTES, expected, strict=True)]
        assert [found.value for found in shown] == best
        assert [found.probability for found in shown] == pytest.approx([np.exp(p[row].max()) for p in expected])
