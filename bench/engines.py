"""Sampling speed of each WaveNet engine: ``python -m bench.engines``.

Samples per CPU-second use the clock of the calling thread, the only one that works, so they are valid on a busy machine
too. Samples per second and the real-time factor use wall-clock time: run nothing else meanwhile.
"""

from __future__ import annotations

import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from wavenet_vocoder.wavenet import WaveNet

from ancestral_models.architectures.wavenet import MEDIUM, SMALL, WaveNetSpec
from ancestral_models.checkpoint import Checkpoint, load, save
from ancestral_models.engines.speech.engine import SpeechEngine, StreamRequest
from ancestral_models.engines.speech.native import NativeEngine
from ancestral_models.engines.speech.onnx import OnnxEngine
from ancestral_models.spec import SYMBOLS, FeatureSpec
from ancestral_training.export import write
from bench.report import Target, at_least, report
from tests.random_weights import lively_checkpoint

NAME = "wavenet_vocoder"
ZOO = Path(__file__).parent.parent / "models" / "zoo"
TRAINED = ZOO / "wavenet-en" / "wavenet"
FIRST_AUDIO = 0.020
"""Seconds of audio that have to be there to count as first audio."""
REPETITIONS = 5
BATCHES = (1, 4, 8, 16)


class Peer:
    """The best-known WaveNet implementation (r9y9/wavenet_vocoder, MIT, from PyPI): its incremental sampler with random
    weights and one stream; the cost depends on neither."""

    def __init__(self, spec: WaveNetSpec) -> None:
        """Its network with the layers, channels and conditioning of ``spec``; the width of its head cannot be set."""
        self._spec = spec
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # it uses torch's old weight norm
            self._network = WaveNet(
                out_channels=SYMBOLS,
                layers=spec.layers,
                stacks=spec.stacks,
                residual_channels=spec.residual_channels,
                gate_channels=spec.gate_channels,
                skip_out_channels=spec.skip_channels,
                kernel_size=spec.kernel_size,
                cin_channels=spec.local_channels or -1,
                gin_channels=spec.global_channels if spec.speakers else -1,
                n_speakers=len(spec.speakers) or None,
            ).eval()
        self._network.make_generation_fast_()

    @torch.inference_mode()
    def seconds(self, samples: int) -> tuple[float, float]:
        """CPU-seconds and wall-clock seconds for a stream of this many samples, including its setup."""
        spec = self._spec
        frames = torch.randn(1, spec.local_channels, samples) if spec.local_channels else None
        speaker = torch.zeros(1, 1, dtype=torch.long) if spec.speakers else None
        wall, cpu = time.perf_counter(), time.thread_time()
        self._network.incremental_forward(c=frames, g=speaker, T=samples)
        return time.thread_time() - cpu, time.perf_counter() - wall


@dataclass(frozen=True)
class Row:
    """One row of the table. Values are medians over the repetitions."""

    model: str
    engine: str
    batch: int
    samples_per_cpu_second: float
    samples_per_second: float
    real_time_factor: float
    """Seconds of audio sampled per second, all streams together."""
    times_reference: float
    """Samples per CPU-second as a multiple of r9y9's sampler's, with one stream."""
    first_audio_ms: float
    """Time from opening the streams to the first 20 ms of all of them, with a warm engine."""


def requests(spec: WaveNetSpec, count: int, length: int) -> list[StreamRequest]:
    """Streams that differ in seed, speaker and frames."""
    noise, rows = np.random.default_rng(1), -(-length // spec.local_hop)
    return [
        StreamRequest(
            length=length,
            seed=seed,
            speaker=seed % len(spec.speakers) if spec.speakers else None,
            frames=noise.standard_normal((rows, spec.local_channels), np.float32) if spec.local_channels else None,
        )
        for seed in range(count)
    ]


def measure(model: str, engine: SpeechEngine, batch: int, samples: int, reference: float | None) -> Row:
    """Time one engine at one batch size.

    Args:
        model: its name in the table.
        engine: to be timed.
        batch: streams together.
        samples: of every stream in one repetition.
        reference: samples per CPU-second of the engine to compare with; None compares with itself.
    """
    spec, timed = engine.spec, []
    assert isinstance(spec, WaveNetSpec)
    first = round(FIRST_AUDIO * spec.sample_rate)
    for _ in range(REPETITIONS):
        wanted = requests(spec, batch, first + samples)
        begin = time.perf_counter()
        streams = [engine.open(request) for request in wanted]
        engine.step(streams, first)
        opened, cpu = time.perf_counter(), time.thread_time()
        engine.step(streams, samples)
        timed.append((time.thread_time() - cpu, time.perf_counter() - opened, opened - begin))
    return _row(model, engine.name, spec, batch, batch * samples, timed, reference)


def measure_peer(model: str, spec: WaveNetSpec, samples: int) -> Row:
    """Time r9y9's sampler with one stream and a network of the same size; see :func:`measure`."""
    peer, first, timed = Peer(spec), round(FIRST_AUDIO * spec.sample_rate), []
    for _ in range(REPETITIONS):
        _, opened = peer.seconds(first)
        timed.append((*peer.seconds(samples), opened))
    return _row(model, NAME, spec, 1, samples, timed, None)


def _row(
    model: str, engine: str, spec: WaveNetSpec, batch: int, samples: int,
    timed: Sequence[tuple[float, float, float]], reference: float | None,
) -> Row:  # fmt: skip
    """The row for ``timed`` repetitions: CPU-seconds, wall-clock seconds, and seconds to the first 20 ms."""
    cpu, wall, first = (statistics.median(column) for column in zip(*timed, strict=True))
    speed = samples / cpu
    return Row(
        model=model,
        engine=engine,
        batch=batch,
        samples_per_cpu_second=round(speed),
        samples_per_second=round(samples / wall),
        real_time_factor=round(samples / wall / spec.sample_rate, 2),
        times_reference=round(speed / (reference or speed), 1),
        first_audio_ms=round(1000 * first, 1),
    )


@contextmanager
def exported(checkpoint: Checkpoint) -> Iterator[Checkpoint]:
    """A copy of a checkpoint with its ONNX graphs, until the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "exported"
        save(path, checkpoint.spec, checkpoint.tensors, "")
        write(path)
        yield load(path)


def measure_model(model: str, checkpoint: Checkpoint, samples: int) -> list[Row]:
    """All rows of one model.

    Args:
        model: its name in the table.
        checkpoint: its checkpoint.
        samples: samples per repetition of the native engine with one stream; onnxruntime samples a tenth of them,
            r9y9's sampler a fiftieth.
    """
    peer, engine = measure_peer(model, checkpoint.spec_as(WaveNetSpec), samples // 50), NativeEngine(checkpoint)
    reference = peer.samples_per_cpu_second
    rows = [peer, *(measure(model, engine, b, max(samples // b, 1000), reference) for b in BATCHES)]
    with exported(checkpoint) as copy:
        onnx, length = OnnxEngine(copy), max(samples // 10, 100)
        rows += [measure(model, onnx, b, length, reference) for b in BATCHES]
    return rows


def targets(rows: Sequence[Row]) -> list[Target]:
    """The targets of the native engine, in CPU-seconds of its thread."""
    speed = {(row.model, row.engine, row.batch): row.samples_per_cpu_second for row in rows}
    rate, small, large = WaveNetSpec().sample_rate, ("wavenet-S", "native-int8"), ("wavenet-M", "native-int8")
    found = [
        ("S, alone, times real time", 10.0, speed[*small, 1] / rate),
        ("S, 16 together, times real time", 20.0, speed[*small, 16] / rate),
        ("M, alone, times real time", 1.0, speed[*large, 1] / rate),
        (f"S, alone, times {NAME}", 350.0, speed[*small, 1] / speed["wavenet-S", NAME, 1]),
    ]
    return at_least(found)


def main() -> None:
    """Measure, then print the tables and the JSON."""
    torch.set_num_threads(1)
    conditioned: dict[str, Any] = {"speakers": ("a", "b", "c", "d"), "local_channels": FeatureSpec().channels}
    small = load(TRAINED) if TRAINED.exists() else lively_checkpoint(WaveNetSpec(**(conditioned | SMALL)))
    medium = lively_checkpoint(WaveNetSpec(**(conditioned | MEDIUM)))
    rows = [*measure_model("wavenet-S", small, 16000), *measure_model("wavenet-M", medium, 6000)]
    report("Sampling engines", rows, width=140, targets=targets(rows))


if __name__ == "__main__":
    main()
