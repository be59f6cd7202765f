"""The report of ``ancestral evaluate images``: what is measured of a model and, beside it, of real pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ancestral.models.checkpoint import Checkpoint
from ancestral.models.networks import load_network
from ancestral.training.data.images import Pictures
from ancestral.training.evaluation.images import independent_nats, marginal_nats, png_bits
from ancestral.training.evaluation.judges import Classifier, count_copies, precision_recall
from ancestral.training.tasks.images import ImageTask, likelihood

_COMPARED = 2000
"""Pictures at most of each set in precision, recall and copies."""


def likelihood_figures(loaded: Checkpoint, task: ImageTask, test: Pictures) -> dict[str, float]:
    """The likelihood of test pictures, and that of baselines without a network: independent sub-pixels, and PNG."""
    model, spec, train = load_network(loaded), task.spec, task.pictures.train
    classes = len(spec.conditions[0])
    prior = np.bincount(train.labels[:, 0], minlength=classes)[:classes] / len(train.labels)
    with torch.no_grad():
        figures = likelihood(model, spec, test, torch.device("cpu"))
        figures["nats_summed_over_classes"] = marginal_nats(model, spec, test, prior, torch.device("cpu"))
    nats = independent_nats(task.held_out(train, None).images, test.images, spec.levels)
    return figures | {
        "nats_of_independent_pixels": nats,
        "bits_per_dim_of_independent_pixels": nats / spec.dims / math.log(2),
        "bits_per_dim_of_png": png_bits(test.images, spec),
    }


def fidelity_figures(task: ImageTask, made: Pictures, named: Mapping[float, Pictures]) -> dict[str, Any]:
    """How sampled pictures compare with real ones: attributes, fidelity, variety, copies.

    Args:
        task: with the data.
        made: sampled pictures and the labels that they were sampled for.
        named: pictures of which every attribute was named, by their guidance.
    """
    spec, train, test = task.spec, task.pictures.train, task.held_out(task.pictures.test, None)
    classifier = Classifier(train, spec)
    real, drawn = classifier.accuracy(test), classifier.accuracy(made)
    accuracy = {
        name: {"real": real[name], "drawn": drawn[name], "chance": 1.0 / len(values)}
        for name, values in spec.attributes
    }
    rng = np.random.default_rng(0)
    count = min(len(made.images), len(test.images), len(train.images), _COMPARED)
    some_made, some_test = (pictures.images[rng.permutation(len(pictures.images))[:count]] for pictures in (made, test))
    others = task.held_out(
        Pictures(train.images[rng.permutation(len(train.images))[:count]], train.labels), None
    ).images
    features = {
        name: classifier.features(x) for name, x in (("made", some_made), ("test", some_test), ("real", others))
    }
    return {
        "accuracy": accuracy,
        "named": {str(guidance): classifier.adherence(pictures) for guidance, pictures in named.items()},
        "fidelity": precision_recall(features["made"], features["test"])._asdict(),
        "fidelity_of_real": precision_recall(features["real"], features["test"])._asdict(),
        "copies": count_copies(some_made, some_test, train.images, spec)._asdict(),
    }
