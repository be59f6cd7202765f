"""Tiny models of random weights, the requests that tests send, and who may send them."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ancestral_models import checkpoint
from ancestral_models.architectures import architecture, tensor_table
from ancestral_models.architectures.acoustic import AcousticSpec, HighBandSpec
from ancestral_models.architectures.classifier import ClassifierSpec, shared_fields
from ancestral_models.architectures.pixelcnn import PixelCNNAutoencoderSpec, PixelCNNSpec
from ancestral_models.architectures.pixelrnn import PixelRNNSpec
from ancestral_models.architectures.wavenet import WaveNetSpec
from ancestral_models.audio.resampler import BANDS, INPUTS
from ancestral_models.engines import load_engine
from ancestral_models.spec import LABEL_ROWS, FeatureSpec, ImageSpec, Spec
from ancestral_models.tensors import random_tensors, shapes
from ancestral_models.text import PHONEMES
from ancestral_training.export import write as write_graphs
from tests.random_weights import with_ranges

VOICES = ("ann", "bob")
PICTURES: dict[str, ImageSpec] = {
    "rgb": PixelCNNSpec(
        height=6, width=8, channels=3, levels=256, layers=3, features=12, first_kernel_size=3, output_features=12,
        attributes=(("class", ("cat", "dog", "cow")), ("style", ("oil", "crayon"))), conditioning="class",
        condition_channels=5,
    ),
    "binary": PixelCNNSpec(
        height=9, width=7, channels=1, levels=2, gated=False, layers=3, features=12, first_kernel_size=3,
        output_features=8, attributes=(("class", ("One", "Two", "Three")),), conditioning="class", condition_channels=4,
    ),
    "grey": PixelCNNSpec(
        height=6, width=5, channels=1, levels=256, layers=3, features=6, first_kernel_size=3, output_features=8,
    ),
    "subclasses": PixelCNNSpec(
        height=8, width=12, channels=3, levels=256, layers=2, features=12, first_kernel_size=3, output_features=12,
        attributes=(
            ("class", ("Birds", "Beasts", "Stones")), ("style", ("oil", "crayon")),
            ("subclass", ("owl", "wren", "fox", "heron")),
        ),
        label_rows=4, conditioning="location", condition_channels=5, location_channels=3, coarse_layers=2,
        coarse_features=6,
    ),
    "palette": PixelCNNSpec(
        height=8, width=8, channels=1, levels=6,
        palette=("#00000000", "#000000", "#ff8000", "#ffffff", "#2040c0", "#90ff90"), layers=2, features=16,
        first_kernel_size=3, output_features=12,
        attributes=(
            ("species", ("elf", "orc", "imp")), ("garment", ("robe", "mail")),
            ("weapon", ("staff", "axe", "no weapon")),
        ),
        label_rows=6, conditioning="location", condition_channels=5, location_channels=3, coarse_layers=2,
        coarse_features=8, coarse_inputs=4, context_channels=4,
    ),
    "diagonal": PixelRNNSpec(
        height=7, width=6, channels=1, levels=2, lstm="diagonal", layers=2, features=4, first_kernel_size=3,
        output_features=8, attributes=(("class", ("Plain", "Twill", "Satin")),), conditioning="class",
        condition_channels=4,
    ),
    "row": PixelRNNSpec(
        height=7, width=6, channels=3, levels=256, lstm="row", layers=2, features=6, first_kernel_size=3,
        output_features=9, skip_connections=True,
    ),
}  # fmt: skip
"""The models that draw, named after what they have: `rgb` and `binary` also have classes, `grey` and `row` have no
attributes, `subclasses` samples in two scales, the `palette` has a transparent colour; `diagonal` (BiLSTM) and `row`
(LSTM) have no graphs. The `palette` is sampled in int8, and has a classifier."""
ENCODED: dict[str, ImageSpec] = {
    "autoencoder": PixelCNNAutoencoderSpec(
        height=6, width=8, channels=1, levels=2, layers=2, features=6, first_kernel_size=3, output_features=8,
        condition_channels=5, encoder_layers=2, encoder_features=4,
    ),
    "portraits": PixelCNNAutoencoderSpec(
        height=6, width=8, channels=1, levels=4, palette=("#00000000", "#000000", "#ff8000", "#2040c0"), layers=2,
        features=6, first_kernel_size=3, output_features=8, condition_channels=4, conditioning="location",
        location_channels=3, encoder_layers=2, encoder_features=4, normalised=True, portraits=True,
    ),
}  # fmt: skip
"""The models that draw from a picture: an autoencoder in black and white, and portraits with a palette."""
LABEL_ROWS_OF = {
    "subclasses": [(0, -1, 0, 4), (0, -1, 1, 2), (1, -1, 2, 5), (0, -1, 3, 3)],
    "palette": [(0, 0, 0, 3), (0, 1, 1, 1), (0, 0, 2, 2), (1, 1, 1, 4), (1, 1, 0, 1), (2, -1, 2, 2)],
}
"""The labels that occurred together; an imp wears nothing."""
SHEETS_OF = {
    "palette": {
        "arms": {
            "rows": ["robe", "mail"], "frames_per_second": 8,
            "animations": {"rest": ["{row}, no weapon"], "swing": ["{row}, staff", "{row}, axe"]},
        }
    }
}  # fmt: skip
"""The sheets that models lay out."""
CALLERS = {
    "jobs-ann": "", "jobs-bob": "", "twice-ann": "", "twice-bob": "", "files": "", "openai": "", "elevenlabs": "",
    "speech": "concurrent_streams=1", "parked": "concurrent_streams=1", "speech-limited": "requests_per_minute=1",
    "images": "", "images-limited": "requests_per_minute=1", "samples": "", "browser": "", "first-message": "",
    "connect": "", "javascript": "", "forms": "", "realtime": "", "realtime-limited": "requests_per_minute=1",
}  # fmt: skip
"""Who may use the server with keys, and their limits. No two tests use the same caller."""
FRAMES_A_PHONEME = 2
BOBS_SAMPLING = {"voiced_temperature": 0.7, "min_p": 0.05, "low_shelf_db": -6.0, "mel_correction": 0.6}
"""How the second voice of a model on an excitation is sampled. Such a model has a band above 8 kHz, too."""
SPEECH = {"model": "tiny", "input": "The birch canoe slid.", "voice": "ann", "response_format": "wav", "seed": 7}
GENERATION = {"model": "free", "voice": "ann", "duration": 1.0, "response_format": "wav", "seed": 7}
ASYNC = {"prefer": "respond-async"}
PREVIEW = b"shown as it is"
"""The bytes of every preview of these models."""


def _save(path: Path, spec: Spec, tensors: checkpoint.Tensors) -> None:
    """A checkpoint with its graphs, so that every engine can serve it."""
    checkpoint.save(path, spec, tensors, card="Random weights, for tests.")
    write_graphs(path)


def write_model(path: Path, fails_on: str | None = None, kind: str = "speech", shaping: str = "preemphasis") -> None:
    """A model directory with random weights, small enough to sound many times faster than real time.

    The duration of the phoneme that it fails on overflows. A model of kind `audio` takes no text.
    """
    rng = np.random.default_rng(1)
    channels = FeatureSpec().channels
    wavenet = WaveNetSpec(
        layers=4, stacks=2, residual_channels=8, gate_channels=16, skip_channels=16, head_channels=16, speakers=VOICES,
        global_channels=4, local_channels=channels if kind == "speech" else 0, conditioner_channels=8,
        conditioner_layers=1, shaping=shaping,
    )  # fmt: skip
    acoustic = AcousticSpec(
        phonemes=PHONEMES, speakers=VOICES, outputs=channels, channels=8, encoder_layers=1, decoder_layers=1,
        kernel_size=3, speaker_channels=4, pitch_layers=1,
    )  # fmt: skip
    parts: list[tuple[str, WaveNetSpec | AcousticSpec]] = [("wavenet", wavenet)]
    if kind == "speech":
        parts.append(("acoustic", acoustic))
    if shaping == "linear_prediction":
        parts.append(("wavenet-bob", wavenet))
    for name, spec in parts:
        sizes = shapes(tensor_table(spec))
        tensors = {key: rng.normal(0.0, 0.3, shape).astype(np.float32) for key, shape in sizes.items()}
        if name == "acoustic":
            tensors["duration_out"] *= 0.0
            tensors["duration_bias"][:] = np.log1p(FRAMES_A_PHONEME)
            if fails_on is not None:
                tensors["phoneme"][PHONEMES.index(fails_on)] = 1e30
                tensors["duration_out"][:] = 1.0
        if isinstance(spec, WaveNetSpec):
            spec = with_ranges(spec, tensors)
        _save(path / name, spec, tensors)
    voices: list[dict[str, Any]] = [
        {"id": v, "name": v.title(), "language": "en", "gender": "none", "description": "Noise.", "license": "CC0-1.0"}
        for v in VOICES
    ]
    if shaping == "linear_prediction":
        voices[1] |= {"sampling": BOBS_SAMPLING, "network": "wavenet-bob"}
        maps = {f"maps.{v}": np.full((INPUTS, BANDS), 0.01, np.float32) for v in VOICES}
        maps["maps.ann"][-1], maps["maps.bob"][-1] = -12.0, -8.0
        checkpoint.save(path / "high_band", HighBandSpec(VOICES), maps, card="")
    manifest = {
        "id": path.name, "kind": kind, "created": 1_700_000_000, "owned_by": "tests",
        "description": "Random weights.", "temperature": 1.0, "voices": voices,
    }  # fmt: skip
    (path / "model.json").write_text(json.dumps(manifest))


def write_picture_model(path: Path, spec: ImageSpec) -> None:
    """The same of a model that draws: whatever is asked for and all that was drawn before shows in what follows."""
    rng = np.random.default_rng(2)
    sizes = shapes(tensor_table(spec))
    tensors = {key: rng.normal(0.0, 0.5, shape).astype(np.float32) for key, shape in sizes.items()}
    if spec.label_rows:
        tensors[LABEL_ROWS] = np.array(LABEL_ROWS_OF[path.name], np.float32)
    _save(path / spec.kind, spec, tensors)
    if path.name == "palette":
        judge = ClassifierSpec(**shared_fields(spec), layers=2, features=4, code=6)
        checkpoint.save(path / "classifier", judge, random_tensors(tensor_table(judge)), "Random weights, for tests.")
    manifest = {
        "id": path.name, "kind": "image", "created": 1_700_000_000, "owned_by": "tests",
        "description": "Random pictures.", "temperature": 1.0, "guidance": 1.0, "sheets": SHEETS_OF.get(path.name, {}),
    }  # fmt: skip
    (path / "model.json").write_text(json.dumps(manifest))


def sampled_by(model: str, engine: str) -> str:
    """The engine that really samples a model where ``engine`` is wanted: without graphs, no onnx engine does, and
    ``native`` is in int8 where a network has it."""
    spec = (PICTURES | ENCODED).get(model)
    if engine == "native":
        return "native-int8" if spec is None or architecture(spec.kind).has_int8(spec) else "native"
    return "native" if spec is not None and architecture(spec.kind).exporter is None else engine


def once_a_run(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A directory of models for all processes of this run: the first makes it, and compiles the kernels, which the
    others and the servers find on disk."""
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    directory = shared / name
    with (shared / "models.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            make(unfinished := shared / f"{name}.unfinished")
            unfinished.rename(directory)
            for kind in ("wavenet", "pixelcnn", "pixelrnn"):
                for path in sorted(directory.glob(f"*/{kind}")):
                    load_engine("native", checkpoint.load(path))
    return directory
