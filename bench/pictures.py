"""CPU time per picture, for the native engine and for naive sampling: ``python -m bench.pictures``.

Naive sampling is the oracle of the tests (ancestral_models/networks/image.py) in single precision: torch runs the
whole network for every sub-pixel, without a cache. All its steps cost the same, so a few sub-pixels of one picture are
timed and extrapolated. All values are CPU seconds of the calling thread, the only one that works, so they are valid on
a busy machine too, except for shared caches.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from ancestral_models.architectures import architecture, tensor_table
from ancestral_models.architectures.pixelcnn import PixelCNNSpec
from ancestral_models.architectures.pixelrnn import PixelRNNSpec
from ancestral_models.checkpoint import Checkpoint, load
from ancestral_models.engines.images.engine import ImageStreamRequest
from ancestral_models.engines.images.native import NativeImageEngine
from ancestral_models.networks import load_network
from ancestral_models.networks.image import ImageNetwork, draw
from ancestral_models.spec import ImageSpec
from ancestral_models.tensors import random_tensors
from bench.engines import REPETITIONS, ZOO
from bench.report import Target, report

LARGE = "32x32x3, 15 x 64"
LSTMS: Mapping[str, ImageSpec] = {
    f"28x28x1, {title}, 7 x 16": PixelRNNSpec(28, 28, 1, 2, lstm=lstm)
    for lstm, title in (("row", "Row LSTM"), ("diagonal", "Diagonal BiLSTM"))
}
"""PixelRNNs of the size that the paper trains on MNIST."""
BATCHES = (1, 4, 16)
NAIVE_STEPS = 24
"""Sub-pixels sampled naively per repetition."""


@dataclass(frozen=True)
class Row:
    """One row of the table. Values are medians over the repetitions."""

    model: str
    engine: str
    batch: int
    """Pictures sampled together."""
    seconds_per_image: float
    """CPU seconds."""
    times_naive: float
    """Speed-up over naive sampling of one picture."""


def random_checkpoint(spec: ImageSpec) -> Checkpoint:
    """A network before training: its pictures are noise, which takes as long to sample as anything else."""
    tensors = random_tensors(tensor_table(spec), bias_std=0.0)
    return Checkpoint(spec, tensors, "0" * 64, Path("random"), "")


def cpu_seconds(work: Callable[[], object]) -> float:
    """Median CPU seconds of this thread, after one warm-up run."""
    work()
    times = []
    for _ in range(REPETITIONS):
        start = time.thread_time()
        work()
        times.append(time.thread_time() - start)
    return statistics.median(times)


def naive_seconds(checkpoint: Checkpoint) -> float:
    """Seconds of naive sampling per picture, estimated from :data:`NAIVE_STEPS` sub-pixels."""
    network = load_network(checkpoint)
    assert isinstance(network, ImageNetwork)
    spec = network.spec
    h = torch.zeros(1, spec.condition_channels) if spec.conditions else None
    return cpu_seconds(lambda: draw(network, h, [0], count=NAIVE_STEPS)) * spec.dims / NAIVE_STEPS


def measure_model(model: str, checkpoint: Checkpoint) -> list[Row]:
    """All rows of one model."""
    naive = naive_seconds(checkpoint)
    rows = [Row(model, "naive", 1, float(f"{naive:.3g}"), 1.0)]
    has_int8 = architecture(checkpoint.spec.kind).has_int8(checkpoint.spec)
    for int8 in (False, True)[: 1 + has_int8]:
        engine = NativeImageEngine(checkpoint, int8)
        h = engine.embed_labels([None] * len(engine.spec.conditions)) if engine.spec.conditions else None
        for batch in BATCHES:
            wanted = [ImageStreamRequest(seed, h=h) for seed in range(batch)]
            seconds = cpu_seconds(partial(engine.draw, wanted)) / batch
            rows.append(Row(model, engine.name, batch, float(f"{seconds:.3g}"), round(naive / seconds, 1)))
    return rows


def targets(rows: Sequence[Row]) -> list[Target]:
    """The targets, for the rows of :data:`LARGE` and of :data:`LSTMS`."""
    native = {row.batch: row for row in rows if row.model == LARGE and row.engine == "native"}
    one, sixteen = native[1], native[16]
    singles = round(16 * sixteen.seconds_per_image / one.seconds_per_image, 2)
    slowest = min(row.times_naive for row in rows if row.model in LSTMS and row.engine != "naive")
    return [
        Target("times naive", ">= 1000", one.times_naive, one.times_naive >= 1000),
        Target("seconds of one core an image", "<= 0.15", one.seconds_per_image, one.seconds_per_image <= 0.15),
        Target("16 images together cost as many single ones", "< 12", singles, singles < 12),
        Target("times naive, of both LSTMs", ">= 100", slowest, slowest >= 100),
    ]


def main() -> None:
    """Measure, then print the tables and the JSON."""
    torch.set_num_threads(1)
    shipped = {path.parent.name: load(path) for path in sorted(ZOO.glob("*/pixel?nn"))}
    specs: dict[str, ImageSpec] = {LARGE: PixelCNNSpec(), **LSTMS}
    random = {name: random_checkpoint(spec) for name, spec in specs.items()}
    models = {**random, **shipped}
    rows = [row for name, checkpoint in models.items() for row in measure_model(name, checkpoint)]
    report("Pictures", rows, targets=targets(rows))


if __name__ == "__main__":
    main()
