"""Checkpoints, requests and snapshots that are wrong in ways drawn from a seed: each ends in an error that names what
is at fault, or in symbols of the model. ``python -m tests.models.hostile FIRST COUNT`` needs neither torch nor pytest.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as format_tensors

from ancestral_models.architectures import tensor_table
from ancestral_models.architectures.pixelcnn import PixelCNNSpec
from ancestral_models.architectures.pixelrnn import PixelRNNSpec
from ancestral_models.architectures.wavenet import WaveNetSpec
from ancestral_models.checkpoint import CONFIG, MANIFEST, WEIGHTS, Checkpoint, CheckpointError, load
from ancestral_models.engines import load_engine
from ancestral_models.engines.base import EngineError, RequestError, pack
from ancestral_models.engines.images.engine import BatchEngine, Edit, ImageStreamRequest
from ancestral_models.engines.speech.engine import StreamRequest
from ancestral_models.spec import LABEL_ROWS, ImageSpec, Spec, SpecError
from ancestral_models.tensors import random_tensors
from tests.random_weights import with_ranges

LABELS = {"attributes": (("class", ("cat", "dog")), ("style", ("ink",)))}
TWO_SCALES = LABELS | {"conditioning": "location", "coarse_layers": 2, "coarse_features": 8, "coarse_inputs": 3}
SIZES = {"height": 8, "width": 8, "layers": 3, "features": 10, "first_kernel_size": 3, "output_features": 9}
SPEECH = {"layers": 4, "stacks": 2, "conditioner_channels": 5, "conditioner_layers": 1, "global_channels": 3}
SPECS: list[Spec] = [
    WaveNetSpec(**SPEECH, residual_channels=6, gate_channels=10, skip_channels=7, head_channels=9),
    WaveNetSpec(**SPEECH, residual_channels=40, gate_channels=20, skip_channels=33, head_channels=70,
                speakers=("ann", "bob"), local_channels=3, local_hop=10),
    PixelCNNSpec(**SIZES, channels=1, levels=2, label_rows=3, conditioning="class", **LABELS),
    PixelCNNSpec(**SIZES, channels=3, levels=256, gated=False),
    PixelCNNSpec(**SIZES, channels=3, levels=256, context_channels=4, **TWO_SCALES),
    PixelCNNSpec(**SIZES, channels=1, levels=3, palette=("#00000000", "#ff0000", "#ffffff"), **TWO_SCALES),
    PixelRNNSpec(**SIZES, channels=1, levels=2, lstm="row", **LABELS, conditioning="class"),
    PixelRNNSpec(**SIZES, channels=3, levels=256, lstm="diagonal", skip_connections=True),
    PixelRNNSpec(**SIZES, channels=1, levels=2, lstm="diagonal", coarse_layers=2, coarse_channels=4),
]  # fmt: skip
VALUES: list[Any] = [
    0, -1, 1, 2, 3, 5, 7, 64, 1024, 1025, 2**31 - 1, 2**31, 2**63, -(2**63), 10**30, 0.5, -0.0, 1e308, float("nan"),
    float("inf"), True, False, None, "", "x", "#ff0000", "\0", [], [[]], {}, [0.0], ["a", "a"], [["a", ["b"]]],
    [1] * 999,
]  # fmt: skip
NUMBERS = [0.0, 1e-45, 1e-30, 1e4, 1e6, 1e15, 1e30, 3e38, -3e38]
OUT = [-(2**70), -(2**63), -1, 0, 1, 7, 255, 2**31, 2**63 - 1, 2**63, 2**64, 2**70]
FLOATS = [float("nan"), float("inf"), -1.0, 0.0, 5e-324, 1e-300, 1e-9, 1.0, 40.0, 1e9, 1e300]
NAMES = {"config.json", "manifest.json", "weights.safetensors", "labels", "symbols", "snapshot", "kind", "images"}
Tensors = dict[str, NDArray[Any]]


class Hostile:
    """Attempts by number, and what became of each.

    Args:
        folder: where checkpoints are written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.outcomes = folder, Counter[str]()
        self.bases = [self.checkpoint_of(spec, seed) for seed, spec in enumerate(SPECS)]
        self.engines = [load_engine("native", base) for base in self.bases]
        kinds = [*map(type, SPECS), StreamRequest, ImageStreamRequest]
        self.names = {field.name for kind in kinds for field in fields(kind)} | NAMES
        self.names |= {tensor for base in self.bases for tensor in base.tensors}

    @staticmethod
    def checkpoint_of(spec: Spec, seed: int) -> Checkpoint:
        tensors = random_tensors(tensor_table(spec), seed)
        if isinstance(spec, ImageSpec) and spec.label_rows:
            tensors[LABEL_ROWS] = np.array([[0, -1, 4], [1, 0, 2], [-1, -1, 1]], np.float32)
        spec = with_ranges(spec, tensors) if isinstance(spec, WaveNetSpec) else spec
        return Checkpoint(spec, tensors, f"{seed:064x}", Path("random"), "")

    def run(self, number: int) -> None:
        """One attempt.

        Raises:
            AssertionError: it ended otherwise than it may.
        """
        rng = np.random.default_rng(number)
        kinds = (self.written, self.written, self.rescaled, self.resized, self.requested, self.restored)
        kind = kinds[number % len(kinds)]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # of numpy, about numbers that are too large
                kind(rng)
        except (CheckpointError, EngineError, RequestError, SpecError) as error:
            words = {*re.findall(r"[\w.]*\w", str(error))}
            if not (self.names | self.changed) & words:
                raise AssertionError(f"attempt {number}, {kind.__name__}: names nothing: {error}") from error
            self.outcomes[kind.__name__ + ": refused"] += 1
        except Exception as error:
            raise AssertionError(f"attempt {number}, {kind.__name__}: {type(error).__name__}: {error}") from error
        else:
            self.outcomes[kind.__name__ + ": sampled"] += 1

    # ------------------------------------------------------------------ checkpoints
    def written(self, rng: np.random.Generator) -> None:
        """Files that are wrong behind right hashes."""
        base = self.bases[rng.integers(len(self.bases))]
        config, tensors = base.spec.to_json(), dict(base.tensors)
        self.changed = set[str]()
        data = b""
        for _ in range(rng.choice([1, 1, 1, 2])):
            change = rng.integers(4)
            if change == 0:
                name = str(rng.choice([*config, "more"]))
                self.changed.add(name)
                config[name] = VALUES[rng.integers(len(VALUES))]
                if rng.random() < 0.1:
                    del config[name]
            elif change < 3:
                self._spoil(rng, tensors)
            else:
                data = self._damaged(rng, format_tensors(tensors))
        files = {WEIGHTS: data or format_tensors(tensors), CONFIG: json.dumps(config).encode(), "README.md": b""}
        listing = {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)} for name, data in files.items()
        }
        files[MANIFEST] = json.dumps({"files": listing}).encode()
        for name, content in files.items():
            (self.folder / name).write_bytes(content)
        self._sampled(rng, load(self.folder))

    def _spoil(self, rng: np.random.Generator, tensors: Tensors) -> None:
        name = str(rng.choice([*tensors]))
        tensor = tensors[name]
        self.changed.add(name)
        changes: list[Callable[[], Any]] = [
            lambda: tensor[:-1], lambda: tensor[None], lambda: tensor.reshape(-1), lambda: np.swapaxes(tensor, 0, -1),
            lambda: np.concatenate([tensor, tensor]), lambda: tensor.astype(rng.choice(["f8", "f2", "i4", "?", "i8"])),
            lambda: np.zeros((0, *tensor.shape[1:]), np.float32), lambda: self._with(rng, tensor, np.nan),
            lambda: self._with(rng, tensor, np.inf), lambda: self._with(rng, tensor, float(rng.choice(NUMBERS))),
        ]  # fmt: skip
        kind = rng.integers(len(changes) + 2)
        if kind < len(changes):
            tensors[name] = np.ascontiguousarray(changes[kind]())
        else:
            del tensors[name]
            if kind > len(changes):
                self.changed.add(name + "x")
                tensors[name + "x"] = tensor

    @staticmethod
    def _with(rng: np.random.Generator, tensor: NDArray[Any], number: float) -> NDArray[Any]:
        changed = tensor.copy()
        if changed.size:
            changed.flat[rng.integers(0, changed.size, rng.choice([1, 3, changed.size]))] = number
        return changed

    @staticmethod
    def _damaged(rng: np.random.Generator, data: bytes) -> bytes:
        """Weights with another header, length or end."""
        (length,) = struct.unpack("<Q", data[:8])
        header, body = bytearray(data[8 : 8 + length]), data[8 + length :]
        kind = rng.integers(4)
        if kind == 0:
            return data[: rng.integers(len(data))]
        if kind == 1:
            return struct.pack("<Q", [0, 1, length + 1, 2**31, 2**63, 2**64 - 1][rng.integers(6)]) + data[8:]
        if kind == 2:
            for index in rng.integers(0, len(header), 3):
                header[index] = rng.integers(32, 127)
        else:
            table = json.loads(header)
            entry = table[str(rng.choice([*table]))]
            key = str(rng.choice([*entry]))
            wrong = [str(rng.choice(["F64", "BF16", "I8", ""])), [2**62, 4], [0, 2**63], [-1, 8], [9, 8], []]
            entry[key] = wrong[0 if key == "dtype" else rng.integers(1, 6)]
            header = bytearray(json.dumps(table).encode())
        return struct.pack("<Q", len(header)) + bytes(header) + body

    def rescaled(self, rng: np.random.Generator) -> None:
        """Finite numbers of any size, in tensors and in ranges."""
        base = self.bases[rng.integers(len(self.bases))]
        tensors, spec, self.changed = dict(base.tensors), base.spec, {*base.tensors}
        for name in rng.choice([*tensors], rng.choice([1, 2, len(tensors)]), replace=False).tolist():
            if name != LABEL_ROWS:
                tensors[name] = np.clip(tensors[name] * rng.choice(NUMBERS), -3e38, 3e38).astype(np.float32)
        if isinstance(spec, WaveNetSpec) and rng.random() < 0.5:
            factor = float(rng.choice(NUMBERS[:-1]))
            spec = replace(spec, int8_ranges=tuple(min(factor * x, 999999.0) for x in spec.int8_ranges))
        self._sampled(rng, replace(base, spec=spec, tensors=tensors))

    def resized(self, rng: np.random.Generator) -> None:
        """Right networks of any sizes."""
        spec, self.changed = SPECS[rng.integers(len(SPECS))], set[str]()
        names = (
            "residual_channels", "gate_channels", "skip_channels", "head_channels", "conditioner_channels", "features",
            "first_kernel_size", "kernel_size", "output_features", "height", "width", "layers", "coarse_features",
        )  # fmt: skip
        for name in names:
            if hasattr(spec, name) and rng.random() < 0.25:
                size = int(rng.choice([1, 3, 4, 5, 6, 7, 9, 12, 16, 30, 32, 33, 64]))
                if name in ("residual_channels", "gate_channels") and rng.random() < 0.04:
                    size = int(rng.choice([1024, 1026, 2048, 2050]))
                spec = replace(spec, **{name: size})
        self._sampled(rng, self.checkpoint_of(spec, 0))

    def _sampled(self, rng: np.random.Generator, checkpoint: Checkpoint) -> None:
        """Sample a little, alone and in company."""
        engine: Any = load_engine("native", checkpoint)
        spec: Any = checkpoint.spec
        if isinstance(engine, BatchEngine):
            pictures = engine.pictures
            h = pictures.embed_labels([None] * len(spec.conditions)) if spec.conditioned else None
            self._drawn(pictures, [pictures.open(ImageStreamRequest(1, h=h))])
            return
        frames = np.ones((9, spec.local_channels), np.float32) if spec.local_channels else None
        wanted = StreamRequest(min(9 * spec.local_hop, 40), 1, 1.0, 0 if spec.speakers else None, frames)
        count = int(rng.choice([1, 3, 4]))
        made = engine.step([engine.open(wanted) for _ in range(count)], 12)
        assert all(np.array_equal(one, made[0]) for one in made)
        engine.score(made[0], frames, wanted.speaker)

    @staticmethod
    def _drawn(engine: Any, pictures: list[Any]) -> None:
        engine.step(pictures, 1)
        for picture in pictures:
            assert picture.symbols.max() < engine.spec.levels

    # ------------------------------------------------------------------ requests and snapshots
    def requested(self, rng: np.random.Generator) -> None:
        """Requests with wrong fields."""
        self.changed = set[str]()
        engine: Any = self.engines[rng.integers(len(self.engines))]
        if isinstance(engine, BatchEngine):
            self._picture(rng, engine.pictures)
            return
        wanted = self._speech(rng, engine.spec, wrong=True)
        stream = engine.open(wanted)
        engine.step([stream], 10)
        engine.teacher_force(stream, rng.integers(0, 256, 7).astype(np.uint8))

    def _speech(self, rng: np.random.Generator, spec: Any, *, wrong: bool) -> StreamRequest:
        frames = rng.normal(size=(6, spec.local_channels)).astype(np.float32) if spec.local_channels else None
        wanted = StreamRequest(50, 3, 1.0, 0 if spec.speakers else None, frames)
        for _ in range(int(rng.choice([1, 2])) * wrong):
            change, number = rng.integers(5), FLOATS[rng.integers(len(FLOATS))]
            if change == 0:
                wanted = replace(wanted, length=OUT[rng.integers(len(OUT))])
            elif change == 1:
                wanted = replace(wanted, seed=OUT[rng.integers(len(OUT))])
            elif change == 2:
                wanted = replace(wanted, temperature=number)
            elif change == 3:
                speakers = [None, -1, 1, 2, 2**40, {}, {0: number, 1: 1.0}, {5: 1.0}, {0: 0.5, 1: 0.5}]
                wanted = replace(wanted, speaker=speakers[rng.integers(len(speakers))])
            else:
                shape = [(0, 3), (6, 2), (6, 4), (18,), (6, 3, 1), (6, 3), (7, 3)][rng.integers(7)]
                made = np.full(shape, rng.choice([0.0, 1.0, np.nan, np.inf, 1e20, 3e38]), np.float32)
                wanted = replace(wanted, frames=made if rng.random() < 0.9 else None)
        if wanted.frames is None and wanted.length > 2**40:
            wanted = replace(wanted, length=2**40)
        return wanted

    def _picture(self, rng: np.random.Generator, engine: Any) -> None:
        spec = engine.spec
        number, size = FLOATS[rng.integers(len(FLOATS))], spec.condition_channels
        kinds = [None, 0, 1, -1, 9, 2**40, np.full(size, number, np.float32), np.zeros(3, np.float32)]
        labels = [kinds[rng.integers(8)] for _ in spec.conditions]
        h = engine.embed_labels(labels) if spec.conditioned and rng.random() < 0.9 else None
        wanted = ImageStreamRequest(3, h=h)
        size_of = (spec.width, spec.channels)
        shapes = [(2, *size_of), (99, *size_of), (2, 3, 1), (0, *size_of), (spec.height, *size_of), (8,)]
        picture = np.full(shapes[rng.integers(len(shapes))], rng.choice([0, 1, 2, 255]), rng.choice(["u1", "i4", "f4"]))
        for change in rng.choice(6, 2).tolist():
            if change == 0:
                wanted = replace(wanted, seed=OUT[rng.integers(len(OUT))])
            elif change == 1:
                wanted = replace(wanted, temperature=number)
            elif change == 2:
                wanted = replace(wanted, guidance=number, unconditional=None if h is None else np.zeros_like(h))
            elif change == 3:
                wanted = replace(wanted, given=picture)
            elif change == 4:
                kept = rng.random((spec.height, spec.width)) < rng.choice([0.0, 0.5, 1.0])
                wanted = replace(wanted, edit=Edit(picture, kept if rng.random() < 0.8 else kept[:-1].astype("u1")))
            else:
                numbers = rng.choice([0.0, np.nan, 3e38])
                wanted = replace(wanted, h=np.full(size + rng.choice([0, 1]), numbers, np.float32))
        opened = engine.open(wanted)
        if opened.rows < spec.height:
            self._drawn(engine, [opened, engine.open(replace(wanted, seed=4))])
        if rng.random() < 0.5:
            shape = [(1, spec.height, spec.width, spec.channels), (1, 2, 2, 1)][rng.integers(2)]
            symbols = rng.integers(0, rng.choice([1, spec.levels, 256]), shape).astype(np.uint8)
            engine.score(symbols, None if wanted.h is None else wanted.h[None])

    def restored(self, rng: np.random.Generator) -> None:
        """Snapshots that are damaged, of another model, or made by hand."""
        self.changed = set[str]()
        speaks = [engine for engine in self.engines if not isinstance(engine, BatchEngine)]
        engine: Any = speaks[rng.integers(len(speaks))]
        wanted = self._speech(rng, engine.spec, wrong=False)
        stream = engine.open(wanted)
        engine.step([stream], int(rng.choice([1, 20, 50])))
        snapshot = bytearray(engine.snapshot(stream))
        kind = rng.integers(4)
        if kind == 0:
            snapshot = snapshot[: rng.integers(len(snapshot))] + bytes(rng.integers(0, 9))
        elif kind == 1:
            snapshot[rng.integers(len(snapshot))] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            snapshot = bytearray(speaks[0].snapshot(speaks[0].open(self._speech(rng, speaks[0].spec, wrong=False))))
        else:
            position = int(rng.choice([-(2**63), -1, 0, 1, 49, 50, 51, 2**31, 2**63 - 1]))
            recent = rng.integers(0, 256, engine.spec.receptive_field + 1).astype(np.uint8)
            snapshot = bytearray(pack(engine.name, engine._sha256, position, recent))
        engine.step([engine.restore(wanted, bytes(snapshot))], 9)


def attempts(first: int, count: int) -> Counter[str]:
    """Run these attempts; how many were refused, and how many sampled."""
    with tempfile.TemporaryDirectory(prefix="anc-") as folder:
        hostile = Hostile(Path(folder))
        for number in range(first, first + count):
            hostile.run(number)
    return hostile.outcomes


if __name__ == "__main__":
    print(dict(sorted(attempts(int(sys.argv[1]), int(sys.argv[2])).items())))
