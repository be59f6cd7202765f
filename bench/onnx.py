"""Speed of onnxruntime for pictures, and on a GPU for audio: ``python -m bench.onnx [onnx-cpu | onnx-cuda]``.

The graphs are exported first. Audio on a CPU is in bench/engines.py. For pictures it counts network evaluations per
row: one call computes all symbols of the row and is repeated until none changes
(ancestral_models/engines/images/onnx.py).
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass

import numpy as np

from ancestral_models.architectures.wavenet import MEDIUM, WaveNetSpec
from ancestral_models.checkpoint import Checkpoint, load
from ancestral_models.engines.images.engine import ImageStreamRequest
from ancestral_models.engines.images.native import NativeImageEngine
from ancestral_models.engines.images.onnx import OnnxImageEngine, OnnxImageStream
from ancestral_models.engines.speech.native import NativeEngine
from ancestral_models.engines.speech.onnx import LANES, OnnxEngine
from ancestral_models.spec import FeatureSpec
from bench.engines import REPETITIONS, TRAINED, ZOO, Row, exported, measure
from bench.report import report
from tests.random_weights import lively_checkpoint

SAMPLES = 1600


@dataclass(frozen=True)
class Pictures:
    """One row of the table of pictures: ``batch`` pictures sampled together."""

    model: str
    engine: str
    batch: int
    symbols: int
    """Symbols per picture; sampled one by one, it would take as many evaluations."""
    evaluations: float
    """Mean number of evaluations of the network over a row, per picture."""
    times_fewer: float
    seconds_per_image: float
    seconds_per_image_native: float
    equal: bool
    """Whether the pictures equal those of the native engine."""


def measure_pictures(model: str, checkpoint: Checkpoint, engine: str, batch: int) -> Pictures:
    """Sample pictures of every class in turn."""
    onnx, native = OnnxImageEngine(checkpoint, engine), NativeImageEngine(checkpoint)
    labels = [[n % len(names) for names in native.spec.conditions] for n in range(batch)]
    wanted = [ImageStreamRequest(n, h=native.embed_labels(labels[n]) if labels[n] else None) for n in range(batch)]
    walls, natives = [], []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        pictures = [onnx.open(request) for request in wanted]
        onnx.step(pictures, onnx.spec.height)
        walls.append(time.perf_counter() - start)
        start = time.perf_counter()
        theirs = native.draw(wanted)
        natives.append(time.perf_counter() - start)
    evaluations = statistics.mean(p.evaluations for p in pictures if isinstance(p, OnnxImageStream))
    return Pictures(
        model=model,
        engine=engine,
        batch=batch,
        symbols=onnx.spec.dims,
        evaluations=round(evaluations, 1),
        times_fewer=round(onnx.spec.dims / evaluations, 1),
        seconds_per_image=float(f"{statistics.median(walls) / batch:.3g}"),
        seconds_per_image_native=float(f"{statistics.median(natives) / batch:.3g}"),
        equal=bool(np.array_equal([p.symbols for p in pictures], theirs)),
    )


def measure_streams(engine: str) -> list[Row]:
    """Both sizes of WaveNet with one stream and batched, compared with one stream of the native engine."""
    medium = WaveNetSpec(speakers=("a", "b", "c", "d"), local_channels=FeatureSpec().channels, **MEDIUM)
    rows: list[Row] = []
    for name, checkpoint in (("wavenet-S", load(TRAINED)), ("wavenet-M", lively_checkpoint(medium))):
        native = measure(name, NativeEngine(checkpoint), 1, SAMPLES, None)
        with exported(checkpoint) as copy:
            onnx, speed = OnnxEngine(copy, engine), native.samples_per_cpu_second
            batches = sorted({1, 4, 16, LANES[engine]})
            rows += [native, *(measure(name, onnx, b, SAMPLES, speed) for b in batches)]
    return rows


def main() -> None:
    """Measure, then print the tables and the JSON."""
    engine = sys.argv[1] if len(sys.argv) > 1 else "onnx-cpu"
    if engine == "onnx-cuda":
        report("WaveNet on a GPU (times_reference: native, one stream)", measure_streams(engine))
    drawn = []
    for path in sorted(ZOO.glob("*/pixelcnn")):
        with exported(load(path)) as copy:
            drawn.append(measure_pictures(path.parent.name, copy, engine, 16))
    report("Pictures by fixed-point iteration", drawn, width=120)


if __name__ == "__main__":
    main()
