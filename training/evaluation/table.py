"""The table of results: likelihood, cost and exactness of image networks, beside what papers and others report.

Nats of different binarisations cannot be compared, nor conditional with unconditional ones: so each has a column.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np
import torch

from ancestral.models.checkpoint import Checkpoint
from ancestral.models.engines.images.native import NativeImageEngine
from ancestral.models.engines.images.request import ImageStreamRequest
from ancestral.models.networks import load_network
from ancestral.models.networks.image import ImageNetwork
from ancestral.models.networks.reference_sampler import draw
from ancestral.models.spec import ImageSpec
from ancestral.training.data.images import Pictures
from ancestral.training.evaluation.images import marginal_nats
from ancestral.training.model_card import run_of
from ancestral.training.tasks.images import likelihood

_CACHED = 5
"""Pictures that are timed one by one."""
_NAIVE = 24
"""Sub-pixels that are sampled naively to be timed; all of a picture's take equally long."""
_COMPARED = 2
"""Pictures that are sampled naively in double precision, to be compared."""

FIXED: Final = "fixed"
SAMPLED: Final = "sampled"
SEEDED: Final = "sampled; test set once"
BINARISATIONS: Final = {
    FIXED: "the data set that Larochelle and Murray (2011) binarised once and for all",
    SAMPLED: "every pixel drawn anew from its grey level, in training and in evaluation",
    SEEDED: "training pictures drawn anew each time, test pictures once, with seed 0 (ours)",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the table. What is None is unknown, or does not apply."""

    model: str
    source: str
    binarisation: str
    unconditional: str | None = None
    """Nats a picture."""
    conditional: str | None = None
    """Nats a picture, given its class."""
    parameters: int | None = None
    trained: int | None = None
    """Pictures seen in training."""
    hours: str | None = None
    naive: float | None = None
    """Milliseconds of one core a picture."""
    cached: float | None = None
    exact: str | None = None
    """Cached pictures that are equal, symbol by symbol, to those of naive sampling."""


def _published(source: str, binarisation: str, figures: dict[str, str]) -> list[Row]:
    return [
        Row(model=name, source=source, binarisation=binarisation, unconditional=nats) for name, nats in figures.items()
    ]


PUBLISHED: Final[tuple[Row, ...]] = (
    *_published(
        "[1601.06759](https://arxiv.org/abs/1601.06759), table 4",
        FIXED,
        {
            "PixelCNN": "81.30",
            "Row LSTM": "80.54",
            "Diagonal BiLSTM (1 layer, h = 32)": "80.75",
            "Diagonal BiLSTM (7 layers, h = 16)": "79.20",
        },
    ),
    *_published(
        "[EugenHotaj/pytorch-generative](https://github.com/EugenHotaj/pytorch-generative)",
        SAMPLED,
        {"PixelCNN": "81.45", "Gated PixelCNN": "81.50", "PixelSNAIL": "78.61", "MADE": "84.87", "NADE": "85.65"},
    ),
    *_published(
        "[igul222/pixel_rnn](https://github.com/igul222/pixel_rnn), validation set, after 100 000 steps",
        SAMPLED,
        {"Diagonal BiLSTM (1 layer, h = 32)": "82.12"},
    ),
)
"""What the papers and public reproductions report for MNIST."""


def measure(name: str, checkpoint: Checkpoint, test: Pictures, train: Pictures) -> Row:
    """The row of a checkpoint. Likelihoods are those of the network in single precision.

    Args:
        name: of the model.
        checkpoint: of an image network of two levels.
        test: as the model sees them.
        train: for the frequencies of the classes.
    """
    spec, network = checkpoint.spec_as(ImageSpec), load_network(checkpoint)
    assert isinstance(network, ImageNetwork)
    device, run = torch.device("cpu"), run_of(checkpoint.card)
    nats = likelihood(network, spec, test, device)["nats"]
    unconditional, conditional = f"{nats:.2f}", None
    if spec.conditions:
        prior = np.bincount(train.labels[:, 0], minlength=len(spec.conditions[0])) / len(train.labels)
        summed = marginal_nats(network, spec, test, prior, device)
        unconditional, conditional = f"{summed:.2f} (summed over the classes)", unconditional
    naive, cached, exact = _speed(checkpoint, network)
    return Row(
        model=name,
        source=f"this project: {spec.title}",
        binarisation=SEEDED,
        unconditional=unconditional,
        conditional=conditional,
        parameters=sum(tensor.size for tensor in checkpoint.tensors.values()),
        trained=int(run["items"]) if "items" in run else None,
        hours=run.get("hours"),
        naive=naive,
        cached=cached,
        exact=exact,
    )


def _speed(checkpoint: Checkpoint, network: ImageNetwork) -> tuple[float, float, str]:
    """Milliseconds a picture, naive and cached, and how many of the cached pictures are those of naive sampling."""
    engine, spec = NativeImageEngine(checkpoint), network.spec
    h = engine.embed_labels([0] * len(spec.conditions)) if spec.conditions else None
    requests = [ImageStreamRequest(seed, h=h) for seed in range(_CACHED)]
    engine.draw(requests[:1])
    cached = median(_seconds(lambda request=request: engine.draw([request])) for request in requests)  # type: ignore[misc]
    one = None if h is None else torch.from_numpy(h)[None]
    draw(network, one, [0], count=1)
    naive = _seconds(lambda: draw(network, one, [0], count=_NAIVE)) * spec.dims / _NAIVE
    exact = load_network(checkpoint, torch.float64)
    assert isinstance(exact, ImageNetwork)
    conditions = None if one is None else one.double().expand(_COMPARED, -1)
    wanted = draw(exact, conditions, range(_COMPARED))
    equal = sum(map(np.array_equal, engine.draw(requests[:_COMPARED]), wanted))
    return 1000.0 * naive, 1000.0 * cached, f"{equal} of {_COMPARED}"


def _seconds(work: Callable[[], object]) -> float:
    """Processor time of this thread."""
    start = time.thread_time()
    work()
    return time.thread_time() - start


_COLUMNS: Final = (
    "model", "nats, unconditional", "nats, class-conditional", "binarisation", "parameters", "pictures trained on",
    "hours", "ms a picture, naive", "ms a picture, cached", "cached = naive", "source",
)  # fmt: skip


def markdown(rows: Sequence[Row], tested: int) -> str:
    """The document: the rows, by binarisation and then by likelihood, and what the columns mean.

    Args:
        rows: of the table.
        tested: the number of test pictures of the rows of this project.
    """
    order = [*BINARISATIONS]
    ordered = sorted(rows, key=lambda row: (order.index(row.binarisation), _number(row.unconditional)))
    lines = ["| " + " | ".join(_cells(row)) + " |" for row in ordered]
    meanings = [f"- *{name}*: {meaning}." for name, meaning in BINARISATIONS.items()]
    head = [f"| {' | '.join(_COLUMNS)} |", "|" + "---|" * len(_COLUMNS)]
    return "\n".join([_ABOVE.format(tested=tested), *head, *lines, _BELOW, *meanings, ""])


_ABOVE: Final = """# Results

MNIST, black and white, nats per picture (lower is better); ours on {tested} test pictures, in single precision. Written
by `ancestral evaluate table`.
"""
_BELOW: Final = """
Only rows of one binarisation, and figures of one column, can be compared. Pictures and hours are those of the last run,
from the model card. Milliseconds are those of one core, one picture at a time; naive means that the whole network is
run for every pixel. "Cached = naive" compares whole pictures, symbol by symbol, with naive sampling in double
precision. What the order of the rows says: [benchmarks.md](benchmarks.md#mnist-beside-the-papers).

Binarisation:
"""


def _number(nats: str | None) -> float:
    return float("inf") if nats is None else float(nats.split()[0])


def _cells(row: Row) -> list[str]:
    cells = (
        row.model, row.unconditional, row.conditional, row.binarisation, _grouped(row.parameters),
        _grouped(row.trained), row.hours, _milliseconds(row.naive), _milliseconds(row.cached), row.exact, row.source,
    )  # fmt: skip
    return [cell or "" for cell in cells]


def _grouped(count: int | None) -> str | None:
    return None if count is None else f"{count:,}".replace(",", " ")


def _milliseconds(value: float | None) -> str | None:
    return None if value is None else f"{value:.3g}" if value < 100.0 else _grouped(round(value))
