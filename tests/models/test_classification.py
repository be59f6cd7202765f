"""Classifiers of pictures without torch: what the network says, whoever shares the call."""

import numpy as np
import pytest
import torch

from ancestral.models.architectures import tensor_table
from ancestral.models.architectures.classifier import ClassifierSpec
from ancestral.models.classification import PictureClassifier
from ancestral.models.networks import build_network
from ancestral.models.spec import SpecError
from ancestral.models.tensors import random_tensors

ATTRIBUTES = (("side", ("left", "right")), ("colour", ("red", "green", "blue", "white", "grey")))
PALETTE = ("#00000000", *(f"#{level:02x}80{255 - level:02x}" for level in range(99)))
SPECS = {
    "palette": ClassifierSpec(32, 32, 1, 100, PALETTE, ATTRIBUTES),
    "binary": ClassifierSpec(28, 28, 1, 2, (), ATTRIBUTES, layers=4, features=3, code=7),
    "rgb": ClassifierSpec(9, 13, 3, 256, (), ATTRIBUTES, layers=2, features=5, code=6),
}


def pictures(spec, count):
    shape = (count, spec.height, spec.width, spec.channels)
    return np.random.default_rng(0).integers(0, spec.levels, shape, np.uint8)


@pytest.mark.parametrize("name", SPECS)
def test_it_says_what_the_network_says(name):
    spec = SPECS[name]
    tensors, images = random_tensors(tensor_table(spec)), pictures(spec, 5)
    network = build_network(spec).eval()
    network.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in tensors.items()})
    with torch.no_grad():
        logits = network(torch.from_numpy(images.astype(np.int64)))
    expected = [part.log_softmax(1).numpy() for part in torch.split(logits, [2, 5], dim=1)]
    classifier = PictureClassifier(spec, tensors)
    for found, wanted in zip(classifier.log_probabilities(images), expected, strict=True):
        assert np.abs(found - wanted).max() < 1e-5
    for row, shown in enumerate(classifier.shown(images)):
        best = [values[int(part[row].argmax())] for (_, values), part in zip(ATTRIBUTES, expected, strict=True)]
        assert [found.value for found in shown] == best
        assert [found.probability for found in shown] == pytest.approx([np.exp(p[row].max()) for p in expected])


def test_a_picture_is_judged_the_same_alone_and_among_others():
    spec = SPECS["palette"]
    classifier, images = PictureClassifier(spec, random_tensors(tensor_table(spec))), pictures(spec, 7)
    together = classifier.log_probabilities(images)
    for row in range(7):
        for alone, all_of_them in zip(classifier.log_probabilities(images[row : row + 1]), together, strict=True):
            assert np.array_equal(alone[0], all_of_them[row])


@pytest.mark.parametrize(
    ("attributes", "said"),
    [((), "needs pictures with labels"), ((("a", ("x", "X")),), "two values have one name"), ((("a", ()),), "a value")],
)
def test_a_classifier_needs_attributes(attributes, said):
    with pytest.raises(SpecError, match=said):
        ClassifierSpec(8, 8, 1, 2, (), attributes)
