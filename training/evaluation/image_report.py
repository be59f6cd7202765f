"""The report of ``ancestral evaluate images``: what is measured of a model and, beside it, of real pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ancestral.models.checkpoint import Checkpoint
from ancestral.models.classification import PictureClassifier
from ancestral.models.networks import load_network
from ancestral.training.data.images import Pictures
from ancestral.training.evaluation.images import independent_nats, marginal_nats, png_bits
from ancestral.training.evaluation.judges import count_copies, precision_recall
from ancestral.training.metrics.classification import accuracy, adherence, features
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


def fidelity_figures(
    task: ImageTask, made: Pictures, matched: Pictures, classifier: PictureClassifier | None
) -> dict[str, Any]:
    """How sampled pictures compare with real ones: attributes, fidelity, variety, copies.

    Args:
        task: with the data.
        made: sampled pictures and the labels that they were sampled for: how well those are recognised.
        matched: pictures sampled for the labels of test pictures, with which they are compared in everything else.
        classifier: of the attributes; None: only copies are counted.
    """
    spec, train, test = task.spec, task.pictures.train, task.held_out(task.pictures.test, None)
    rng = np.random.default_rng(0)
    shuffled = test.images[rng.permutation(len(test.images))[:_COMPARED]]
    count = min(len(matched.images), len(shuffled), len(train.images))
    some_made, some_test = matched.images[:count], shuffled[:count]
    copies = {"copies": count_copies(some_made, shuffled, train.images, spec)._asdict()}
    if classifier is None:
        return copies
    real, drawn = accuracy(classifier, test), accuracy(classifier, made)
    shares = {
        name: {"real": real[name], "drawn": drawn[name], "chance": 1.0 / len(values)}
        for name, values in spec.attributes
    }
    others = task.held_out(
        Pictures(train.images[rng.permutation(len(train.images))[:count]], train.labels), None
    ).images
    seen = {name: features(classifier, x) for name, x in (("made", some_made), ("test", some_test), ("real", others))}
    return {
        "accuracy": shares,
        "fidelity": precision_recall(seen["made"], seen["test"])._asdict(),
        "fidelity_of_real": precision_recall(seen["real"], seen["test"])._asdict(),
        **copies,
    }


def named_figures(task: ImageTask, named: Mapping[float, Pictures], classifier: PictureClassifier) -> dict[str, Any]:
    """What is seen of pictures of which every attribute was named, by their guidance, and of real test pictures.

    For each attribute and for all of them (``all``) the share in which the classifier sees what was named; the same of
    the pictures whose values all occur together in training, two by two (``occurring``, and as ``count`` how many
    there are).

    Args:
        task: with the data.
        named: the pictures.
        classifier: of the attributes.
    """
    train, attributes = task.pictures.train, task.spec.attributes
    report: dict[str, Any] = {}
    for guidance, pictures in named.items():
        chosen = _occurring(train.labels, pictures.labels)
        some = Pictures(pictures.images[chosen], pictures.labels[chosen])
        occurring = {"count": len(some.images)} | (adherence(classifier, some) if len(some.images) else {})
        report[str(guidance)] = adherence(classifier, pictures) | {"occurring": occurring}
    test = task.held_out(task.pictures.test, None)
    known = (test.labels < [len(values) for _, values in attributes]).all(axis=1)
    return report | {"real": adherence(classifier, Pictures(test.images[known], test.labels[known]))}


def _occurring(train: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tells the rows ``[N, attributes]`` that have only pairs of values which some row of the training set has."""
    fine = np.ones(len(labels), bool)
    for pair in combinations(range(labels.shape[1]), 2):
        known = set(map(tuple, train[:, pair].tolist()))
        fine &= [tuple(row) in known for row in labels[:, pair].tolist()]
    return fine
