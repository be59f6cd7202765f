"""Edits beside Metropolis–Hastings, which needs no training for them: ``python -m bench.edits --data SPRITES``.

Both draw the same regions of real pictures, each asked for another value of one attribute, at temperature 1 and without
guidance, so that both are to have the same distribution: that of the region given the rest. Quality is how often the
model's classifier sees what was asked for, and how likely the whole picture is without an edit; time is CPU seconds.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from ancestral.models.architectures.classifier import ClassifierSpec
from ancestral.models.checkpoint import load
from ancestral.models.classification import PictureClassifier
from ancestral.models.engines.images.native import NativeImageEngine
from ancestral.models.kernels.gemm import Precision
from ancestral.training.data.images import Images, read_pictures
from ancestral.training.evaluation.edits import (
    draw_edits,
    edits_of,
    metropolis_hastings,
    telling_regions,
    without_context,
)
from ancestral.training.metrics.classification import classify
from bench.report import report

PROPOSALS = (1, 8, 64)


@dataclass(frozen=True)
class Row:
    """One way to draw edits."""

    way: str
    proposals: int
    """Of Metropolis–Hastings."""
    seconds_per_picture: float
    """CPU seconds."""
    asked_for: float
    """The share of the edits in which the classifier sees what was asked for."""
    bits: float
    """Of a whole picture given its labels, on average: how unlikely it is, its kept pixels included."""


@click.command()
@click.option("--model", type=click.Path(exists=True, path_type=Path), default="models/zoo/pixelcnn-sprites")
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True, help="The sprites.")
@click.option("--count", type=click.IntRange(1), default=60, show_default=True, help="Edits.")
def main(model: Path, data: Path, count: int) -> None:
    """Compare, and print a table."""
    checkpoint, pictures = load(model / "pixelcnn"), read_pictures(data)
    judge = load(model / "classifier")
    classifier = PictureClassifier(judge.spec_as(ClassifierSpec), judge.tensors)
    engine = NativeImageEngine(checkpoint, Precision.INT8)
    blind = NativeImageEngine(without_context(checkpoint), Precision.INT8)
    requests, labels = edits_of(engine, pictures.test, telling_regions(pictures.train, engine.spec), count, 1.0, 1.0)
    hs = np.stack([request.h for request in requests if request.h is not None])

    def row(way: str, proposals: int, drawn: Images, seconds: float) -> Row:
        seen = float((classify(classifier, drawn) == labels).any(axis=1).mean())
        bits = -float(blind.score(drawn, hs).sum()) / count / math.log(2)
        return Row(way, proposals, round(seconds, 4), round(seen, 3), round(bits, 1))

    begin = time.thread_time()
    rows = [row("trained for edits", 0, draw_edits(engine, requests)[0], (time.thread_time() - begin) / count)]
    for proposals in PROPOSALS:
        begin = time.thread_time()
        drawn = np.stack([metropolis_hastings(blind, r, proposals, seed=1000 * n)[0] for n, r in enumerate(requests)])
        rows.append(row("Metropolis–Hastings", proposals, drawn, (time.thread_time() - begin) / count))
    report("Edits", rows)


if __name__ == "__main__":
    main()
