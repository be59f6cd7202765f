"""The report of ``ancestral evaluate images`` of a network that draws from pictures: autoencoders, portraits."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ancestral.models.architectures.encoder import EncoderSpec
from ancestral.models.architectures.pixelcnn_autoencoder import PixelCNNAutoencoderSpec
from ancestral.models.checkpoint import Checkpoint
from ancestral.models.engines.images.engine import ImageEngine
from ancestral.models.networks import load_network
from ancestral.models.networks.pixelcnn_autoencoder import PixelCNNAutoencoder
from ancestral.models.palette import pixels_of
from ancestral.training.data.identities import first_two
from ancestral.training.data.images import Images, matching_pictures, spread
from ancestral.training.evaluation.judges import classifier_spec, train_classifier
from ancestral.training.evaluation.mean_decoder import MeanAutoencoder
from ancestral.training.metrics.classification import classify
from ancestral.training.metrics.reconstruction import reconstruct, write_rows
from ancestral.training.metrics.retrieval import Vectors, embed, pixel_vectors, retrieval
from ancestral.training.model_card import SHEET
from ancestral.training.tasks.images import nats
from ancestral.training.tasks.reconstruction import ReconstructionTask

Indices = NDArray[np.int64]

_SAMPLES = 4
"""Drawn from every picture."""
_SHOWN = 12
"""Pictures of a sheet."""
_SEEN = 60_000
"""Training examples of the judge of classes, and of the decoder to compare with."""


def reconstruction_report(
    checkpoint: Checkpoint,
    engine: ImageEngine,
    data: Path,
    out: Path,
    count: int,
    scored: int | None = None,
    temperature: float = 1.0,
    judge: Checkpoint | None = None,
    seen: int = _SEEN,
) -> dict[str, Any]:
    """Evaluate a network that draws from pictures, and write ``sheet.png`` into a folder.

    Args:
        checkpoint: of a network that draws from pictures.
        engine: that samples it.
        data: its training data.
        out: the folder, created.
        count: pictures of the test set to draw from.
        scored: pictures of the test set whose likelihood is computed; None is all.
        temperature: of the samples.
        judge: another encoder of identities than the network's own, for portraits.
        seen: training examples of the judge of classes, and of the decoder that minimises the squared error.

    Returns:
        The report: the likelihood of a picture given its own vector or, of portraits, that of another picture of the
        same person; how much the samples of one picture differ; then :func:`_classes` or :func:`_people`.

    Raises:
        ValueError: the data are not the network's.
    """
    task = ReconstructionTask(checkpoint.spec_as(PixelCNNAutoencoderSpec), data)
    given, wanted = task.pairs(task.pictures.test, None)
    network = load_network(checkpoint)
    scoring, chosen = spread(len(given), scored), spread(len(given), count)
    sources, targets = given[scoring].astype(np.int64), wanted[scoring]
    with torch.no_grad():
        total = sum(float(part.sum()) for part in nats(network, targets, sources, torch.device("cpu")))
    originals = given[chosen]
    drawn = reconstruct(engine, originals, _SAMPLES, temperature)
    report = {
        "sha256": checkpoint.sha256, "engine": engine.name, "pictures": len(targets), "drawn_from": len(chosen),
        "nats": total / len(targets), "bits_per_dim": total / targets.size / math.log(2), "temperature": temperature,
        "pixels_that_differ": _differences(originals, drawn),
    }  # fmt: skip
    shown = spread(len(chosen), _SHOWN)
    if task.spec.portraits:
        assert isinstance(network, PixelCNNAutoencoder)
        report["retrieval"] = _people(task, network, judge, chosen, drawn)
        second = pixels_of(wanted[chosen][shown], task.spec)
    else:
        mean = MeanAutoencoder(task.pictures.train.images, task.spec.encoder, seen)
        means = mean.means(originals)
        report["same_class_as_the_original"] = _classes(task, chosen, originals, drawn, mean.symbols(means), seen)
        second = mean.pixels(means[shown])
    out.mkdir(parents=True, exist_ok=True)
    rows = [pixels_of(one[shown], task.spec) for one in drawn]
    write_rows([pixels_of(originals[shown], task.spec), second, *rows], out / SHEET)
    return report


def _differences(originals: Images, drawn: Images) -> dict[str, float]:
    return {
        "between_samples": _differing(drawn[:-1], drawn[1:]),
        "from_the_original": _differing(drawn, originals[None]),
        "between_originals": _differing(originals[:-1], originals[1:]),
    }


def _differing(one: Images, two: Images) -> float:
    return float((one != two).mean())


def _classes(
    task: ReconstructionTask, chosen: Indices, given: Images, drawn: Images, means: Images, count: int
) -> dict[str, Any]:
    """For each attribute, the share of samples in which a classifier sees what it sees in the original.

    Beside it that of the reconstructions of the decoder that minimises the squared error (``squared_error``), and the
    accuracy of the classifier on the originals (``classifier``).
    """
    pictures, spec = task.pictures, task.spec
    if not pictures.attributes:
        return {}
    classifier = train_classifier(pictures.train, classifier_spec(spec, pictures.attributes), seen=count)
    truth, seen = pictures.test.labels[chosen], classify(classifier, given)
    found = np.stack([classify(classifier, one) for one in drawn])
    mean = classify(classifier, means)
    return {
        name: {
            "samples": float((found[..., column] == seen[:, column]).mean()),
            "squared_error": float((mean[:, column] == seen[:, column]).mean()),
            "classifier": float((seen[:, column] == truth[:, column])[truth[:, column] < len(values)].mean()),
        }
        for column, (name, values) in enumerate(pictures.attributes)
    }


def _people(
    task: ReconstructionTask, network: PixelCNNAutoencoder, judge: Checkpoint | None, chosen: Indices, drawn: Images
) -> dict[str, Any]:
    """How often a portrait leads to another real picture of the person whom it was drawn for, among all test persons.

    By the vectors of the encoder that it was drawn from, of a judge, and by pixels; beside it what the uploaded
    pictures themselves lead to.
    """
    test = task.held_out(task.pictures.test, None)
    assert test.identities is not None
    asked, found = first_two(test.identities)
    people, gallery = test.identities[asked], test.images[found]
    report: dict[str, Any] = {}
    vectors: dict[str, Vectors] = {"embedding": partial(embed, network.encoder), "pixels": pixel_vectors(task.spec)}
    if judge is not None:
        _ = matching_pictures(task.data, judge.spec_as(EncoderSpec))
        vectors["judge"] = partial(embed, load_network(judge))
    for name, compare in vectors.items():
        owned = compare(gallery)
        report[name] = {
            "portraits": retrieval(
                compare(np.concatenate(list(drawn))), np.tile(people[chosen], len(drawn)), owned, people
            )._asdict(),
            "uploads": retrieval(compare(test.images[asked[chosen]]), people[chosen], owned, people)._asdict(),
        }
    return report
