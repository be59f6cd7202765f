"""How good pictures are: judges, samples and reconstructions."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ancestral_models.architectures.classifier import ClassifierSpec
from ancestral_models.architectures.pixelcnn import PixelCNNAutoencoderSpec
from ancestral_models.checkpoint import Checkpoint
from ancestral_models.classification import PictureClassifier
from ancestral_models.engines.images.engine import ImageEngine, ImageStreamRequest
from ancestral_models.networks import build_network, load_network
from ancestral_models.networks.pixelcnn import PixelCNNAutoencoder
from ancestral_models.spec import STYLE, ImageSpec, pixels_of
from ancestral_training import metrics
from ancestral_training.data.images import Epochs, Images, Pictures, binarise, first_two, png_size, spread, write_sheet
from ancestral_training.metrics import features
from ancestral_training.model_card import SHEET
from ancestral_training.tasks.pictures import ImageTask, ReconstructionTask, likelihood, nats

# Judges of sampled pictures: classifiers that are trained here, precision and recall, nearest training pictures.

_BATCH = 100
_CHUNK = 2048
"""Real pictures that are compared at once."""
_NEIGHBOURS = 3
"""k of precision and recall, as in their paper."""
_NEAR = 0.05
"""The share of real test pictures that count as near to the training set."""


def train_classifier(pictures: Pictures, spec: ClassifierSpec, seen: int = 500_000) -> PictureClassifier:
    """A classifier of all attributes, trained on real pictures in memory, for a model that has none of its own.

    Args:
        pictures: real ones, not binarised. Labels that are unspecified are left out of the loss.
        spec: of the classifier.
        seen: training examples in all, so that small sets get more epochs.
    """
    torch.manual_seed(0)
    network = build_network(spec)
    rng, epochs, steps = np.random.default_rng(0), Epochs(len(pictures.images), 0), seen // _BATCH
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for step in range(steps):
        chosen = epochs.take(step * _BATCH, _BATCH, 0)
        images = pictures.images[chosen]
        symbols = binarise(images, rng) if spec.binary else images
        optimizer.zero_grad()
        logits = network(torch.from_numpy(symbols.astype(np.int64)))
        metrics.classification_loss(spec, logits, torch.from_numpy(pictures.labels[chosen])).backward()
        optimizer.step()
        schedule.step()
    return metrics.classifier_of(spec, network)


class Fidelity(NamedTuple):
    """Precision and recall of sampled pictures (Kynkäänniemi et al. 2019, section 3)."""

    precision: float
    """The share of sampled pictures that lie among the real ones."""
    recall: float
    """The share of real pictures that lie among the sampled ones."""


def precision_recall(sampled: NDArray[np.float32], real: NDArray[np.float32]) -> Fidelity:
    """Precision and recall of features ``[N, F]`` and ``[M, F]``, N and M best equal and in the hundreds.

    A picture lies among others if it is within the distance of one of them to its third nearest neighbour.
    """
    across = metrics.squared_distances(sampled, real)
    within = across <= _radii(real)
    around = across <= _radii(sampled)[:, None]
    return Fidelity(float(within.any(axis=1).mean()), float(around.any(axis=0).mean()))


def _radii(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """The squared distance of each to its third nearest neighbour; the nearest of all is itself."""
    rank = min(_NEIGHBOURS, len(features) - 1)
    return np.partition(metrics.squared_distances(features, features), rank, axis=1)[:, rank]


def nearest(images: Images, real: Images, spec: ImageSpec) -> NDArray[np.float64]:
    """How far each picture is from the nearest real one: the root mean square of the differences in pixels, 0 to 255.

    Args:
        images: pixels ``[N, H, W, C]``.
        real: pixels or, with a palette, symbols.
        spec: of the symbols.
    """
    flat = images.reshape(len(images), -1)
    squares = np.full(len(images), np.inf)
    for start in range(0, len(real), _CHUNK):
        chunk = real[start : start + _CHUNK]
        pixels = pixels_of(chunk, spec) if spec.palette else chunk
        squares = np.minimum(squares, metrics.squared_distances(flat, pixels.reshape(len(pixels), -1)).min(axis=1))
    return np.sqrt(squares / flat.shape[1])


class Copies(NamedTuple):
    """How near sampled pictures are to training pictures, beside real test pictures."""

    distance: float
    """The median distance to the nearest training picture, in root mean squares of pixels, 0 to 255."""
    distance_of_real: float
    """The median distance of test pictures."""
    copies: float
    """The share of sampled pictures that are nearer than nineteen in twenty test pictures."""
    equal: float
    """The share that equals a training picture."""
    equal_of_real: float
    """The share of test pictures."""


def count_copies(sampled: Images, test: Images, train: Images, spec: ImageSpec) -> Copies:
    """Compare sampled and test symbols with the training set, which is pixels or, with a palette, symbols."""
    mine, theirs = (nearest(pixels_of(images, spec), train, spec) for images in (sampled, test))
    threshold = np.quantile(theirs, _NEAR)
    # Pixels that differ in one step are 1 / sqrt(size) apart.
    same = 0.5 / np.sqrt(train[0].size)
    shares = (float((mine < threshold).mean()), float((mine < same).mean()), float((theirs < same).mean()))
    return Copies(float(np.median(mine)), float(np.median(theirs)), *shares)


# Evaluation of image models: likelihood of real pictures and its baselines, sampled pictures and their sheets.

_SHOWN = 10
"""Pictures of a class on a sheet."""
_SMALL = 64
"""The side, in pixels, up to which a picture is shown at twice its size."""


def marginal_nats(
    model: nn.Module, spec: ImageSpec, pictures: Pictures, prior: NDArray[np.float64], device: torch.device
) -> float:
    """Mean -ln p of pictures of unknown class: the exact sum over classes of p(class) p(picture | class).

    Args:
        model: the network of ``spec``, which has classes.
        spec: of the model; its first attribute is the class.
        pictures: as the model sees them.
        prior: p of each class; what is 0 adds nothing.
        device: that the model is on.
    """
    joint = []
    for label in np.flatnonzero(prior):
        row = [label, *(len(names) for names in spec.conditions[1:])]
        labels = np.tile(np.array(row, np.int64), (len(pictures.images), 1))
        parts = [part.sum(axis=(1, 2, 3)) for part in nats(model, pictures.images, labels, device)]
        joint.append(math.log(prior[label]) - np.concatenate(parts).astype(np.float64))
    return float(-np.logaddexp.reduce(joint, axis=0).mean())


def independent_nats(train: Images, images: Images, levels: int) -> float:
    """Mean -ln p of pictures under the baseline of independent sub-pixels, with the frequencies of the training set.

    Args:
        train: symbols, ``[N, H, W, C]``.
        images: symbols to score.
        levels: of a symbol; every count starts at one.
    """
    cells = train[0].size
    index = np.arange(cells)
    counts = np.ones((cells, levels))
    for image in train.reshape(len(train), cells):
        counts[index, image] += 1
    logs = np.log(counts / counts.sum(axis=1, keepdims=True))
    return float(-np.mean([logs[index, image].sum() for image in images.reshape(len(images), cells)]))


def png_bits(images: Images, spec: ImageSpec) -> float:
    """Bits per sub-pixel that PNG needs for pictures ``[N, H, W, C]``, including headers."""
    return 8.0 * sum(png_size(image, spec) for image in images) / images.size


def draw_classes(
    engine: ImageEngine, each: int, temperature: float = 1.0, guidance: float = 1.0, seed: int = 0
) -> tuple[Pictures, float]:
    """``each`` pictures of every value of the first attribute, in all styles in turn; and the seconds per picture.

    Other attributes are drawn by the seeds. Guidance is relative to pictures of any class in the same style.
    """
    spec = engine.spec
    (first, classes), *_ = spec.attributes
    pairs = [(label, number) for label in range(len(classes)) for number in range(each)]
    rows = []
    for index, (label, number) in enumerate(pairs):
        named = {STYLE: number % len(spec.named.get(STYLE, (None,)))} | {first: label}
        rows.append(engine.draw_labels([named.get(attribute) for attribute in spec.named], seed + index))
    return _drawn(engine, rows, temperature, guidance, seed)


def draw_named(engine: ImageEngine, count: int, temperature: float, guidance: float) -> Pictures:
    """Pictures of which every attribute is named, all its values alike.

    Labels that are not applicable beside the others are not named: a colour of no garment.
    """
    rng = np.random.default_rng(0)
    rows = np.stack([rng.integers(0, len(values), count) for _, values in engine.spec.attributes], axis=1)
    named = [engine.applicable_labels(row) for row in rows.tolist()]
    return _drawn(engine, named, temperature, guidance, 0)[0]


def draw_matched(engine: ImageEngine, pictures: Pictures, count: int, temperature: float, guidance: float) -> Pictures:
    """``count`` pictures, each sampled for the labels of one of these, chosen at random with replacement."""
    chosen = np.random.default_rng(0).integers(0, len(pictures.labels), count)
    known = [
        [None if label == len(values) else label for label, values in zip(row, engine.spec.conditions, strict=True)]
        for row in pictures.labels[chosen].tolist()
    ]
    return _drawn(engine, known, temperature, guidance, 0)[0]


def _drawn(
    engine: ImageEngine, rows: Sequence[Sequence[int | None]], temperature: float, guidance: float, seed: int
) -> tuple[Pictures, float]:
    """A picture of each row of labels, with the seeds from ``seed`` on; and the seconds per picture."""
    requests = [ImageStreamRequest(seed + i, temperature, engine.embed_labels(row)) for i, row in enumerate(rows)]
    if guidance != 1.0:
        free = [engine.unconditional(row) for row in rows]
        requests = [replace(r, guidance=guidance, unconditional=h) for r, h in zip(requests, free, strict=True)]
    begin = time.perf_counter()
    images = engine.draw(requests)
    unspecified = [len(names) for names in engine.spec.conditions]
    labels = [[none if label is None else label for label, none in zip(row, unspecified, strict=True)] for row in rows]
    return Pictures(images, np.array(labels, np.int64)), (time.perf_counter() - begin) / len(rows)


def write_classes(made: Pictures, spec: ImageSpec, file: Path) -> None:
    """Write a sheet of sampled pictures, ten of each class in a row; small ones at twice their size."""
    images = pixels_of(made.images, spec)
    rows = [images[made.labels[:, 0] == label][:_SHOWN] for label in np.unique(made.labels[:, 0])]
    scale = 2 if max(images.shape[1:3]) <= _SMALL else 1
    write_sheet(np.concatenate(rows).repeat(scale, axis=1).repeat(scale, axis=2), len(rows[0]), file)


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
    real, drawn = metrics.accuracy(classifier, test), metrics.accuracy(classifier, made)
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
        occurring = {"count": len(some.images)} | (metrics.adherence(classifier, some) if len(some.images) else {})
        report[str(guidance)] = metrics.adherence(classifier, pictures) | {"occurring": occurring}
    test = task.held_out(task.pictures.test, None)
    known = (test.labels < [len(values) for _, values in attributes]).all(axis=1)
    return report | {"real": metrics.adherence(classifier, Pictures(test.images[known], test.labels[known]))}


def _occurring(train: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tells the rows ``[N, attributes]`` that have only pairs of values which some row of the training set has."""
    fine = np.ones(len(labels), bool)
    for pair in combinations(range(labels.shape[1]), 2):
        known = set(map(tuple, train[:, pair].tolist()))
        fine &= [tuple(row) in known for row in labels[:, pair].tolist()]
    return fine


# The report of ``ancestral evaluate images`` of a network that draws from pictures: autoencoders, portraits.

_SAMPLES, _ORIGINALS = 4, 12
"""Pictures drawn from every picture, and originals of a sheet."""


def reconstruction_report(
    checkpoint: Checkpoint,
    engine: ImageEngine,
    data: Path,
    out: Path,
    count: int,
    scored: int | None = None,
    temperature: float = 1.0,
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

    Returns:
        The likelihood of a picture given its own vector or, of portraits, that of another picture of the same person;
        of portraits also how often they, and the pictures that they were drawn from (``uploads``), lead to another
        real picture of that person, among all test persons.

    Raises:
        ValueError: the data are not the network's.
    """
    task = ReconstructionTask(checkpoint.spec_as(PixelCNNAutoencoderSpec), data)
    given, wanted = task.pairs(task.pictures.test, None)
    network = load_network(checkpoint)
    assert isinstance(network, PixelCNNAutoencoder)
    scoring, chosen = spread(len(given), scored), spread(len(given), count)
    targets = wanted[scoring]
    with torch.no_grad():
        scores = nats(network, targets, given[scoring].astype(np.int64), torch.device("cpu"))
        total = sum(float(part.sum()) for part in scores)
    drawn = metrics.reconstruct(engine, given[chosen], _SAMPLES, temperature)
    report = {
        "sha256": checkpoint.sha256, "engine": engine.name, "pictures": len(targets), "drawn_from": len(chosen),
        "nats": total / len(targets), "bits_per_dim": total / targets.size / math.log(2), "temperature": temperature,
    }  # fmt: skip
    if task.spec.portraits:
        test = task.held_out(task.pictures.test, None)
        asked, found = first_two(test.known_identities)
        people, vectors = test.known_identities[asked], partial(metrics.embed, network.encoder)
        gallery = vectors(test.images[found])
        for name, pictures in (("portraits", np.concatenate(list(drawn))), ("uploads", given[chosen])):
            owners = np.tile(people[chosen], len(pictures) // len(chosen))
            report[name] = metrics.retrieval(vectors(pictures), owners, gallery, people)._asdict()
    shown = spread(len(chosen), _ORIGINALS)
    out.mkdir(parents=True, exist_ok=True)
    metrics.write_rows([pixels_of(one[shown], task.spec) for one in (given[chosen], *drawn)], out / SHEET)
    return report
