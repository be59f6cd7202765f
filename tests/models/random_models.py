"""Random models for tests: specs of every kind, networks whose every weight matters, varied requests."""

from __future__ import annotations

import atexit
import dataclasses
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ancestral_models.architectures import tensor_table
from ancestral_models.architectures.pixelcnn import PixelCNNAutoencoderSpec, PixelCNNSpec
from ancestral_models.architectures.pixelrnn import LSTMS, PixelRNNSpec
from ancestral_models.architectures.wavenet import MEDIUM, WaveNetSpec
from ancestral_models.checkpoint import Checkpoint, load, save
from ancestral_models.engines.speech.engine import StreamRequest
from ancestral_models.networks import load_network
from ancestral_models.networks.image import ImageNetwork
from ancestral_models.spec import LABEL_ROWS, ImageSpec
from ancestral_models.tensors import random_tensors
from ancestral_training.export import write
from tests.paths import ROOT
from tests.random_weights import lively_checkpoint

ZOO = ROOT / "models" / "zoo" / "wavenet-en"
SPEAKERS = ("ann", "bob")
CHANNELS = 66

SMALL_SPEC = WaveNetSpec(speakers=SPEAKERS, local_channels=CHANNELS)
MEDIUM_SPEC = WaveNetSpec(speakers=SPEAKERS, local_channels=CHANNELS, **MEDIUM)
TINY_SIZES = {
    "layers": 6, "stacks": 2, "residual_channels": 8, "gate_channels": 16, "skip_channels": 16, "head_channels": 24,
    "global_channels": 4, "conditioner_channels": 12, "conditioner_layers": 2,
}  # fmt: skip
TINY_SPECS = {
    "conditional": WaveNetSpec(**TINY_SIZES, speakers=SPEAKERS, local_channels=5, local_hop=16),
    "frames only": WaveNetSpec(**TINY_SIZES, local_channels=5, local_hop=16),
    "speaker only": WaveNetSpec(**TINY_SIZES, speakers=SPEAKERS),
    "unconditional": WaveNetSpec(**TINY_SIZES),
    "excitation": WaveNetSpec(**TINY_SIZES, speakers=SPEAKERS, local_channels=CHANNELS, shaping="linear_prediction"),
}


def random_checkpoint(spec: WaveNetSpec, seed: int = 0) -> Checkpoint:
    """Random weights, with a hash of its own for every seed."""
    return replace(lively_checkpoint(spec, seed), sha256=f"{seed:064x}")


def requests(spec: WaveNetSpec, count: int, length: int, seed: int = 0) -> list[StreamRequest]:
    """Streams of different seeds, speakers, frames and temperatures."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        rows = -(-length // spec.local_hop)
        frames = rng.normal(0.0, 1.0, (rows, spec.local_channels)).astype(np.float32) if spec.local_channels else None
        speaker = number % len(spec.speakers) if spec.speakers else None
        made.append(StreamRequest(length, seed * 1000 + number, (1.0, 0.8, 1.2)[number % 3], speaker, frames))
    return made


CLASSES, STYLES, SUBCLASSES = ("cat", "dog", "cow"), ("oil", "ink"), ("lion", "tiger", "pug", "lynx")
CLASS, STYLE, SUBCLASS = ("class", CLASSES), ("style", STYLES), ("subclass", SUBCLASSES)
ROWS = np.array([(0, -1, 0, 5), (0, -1, 1, 1), (1, -1, 2, 3), (0, -1, 3, 2)], np.float32)
"""Label rows of the three attributes: a cow has no subclass, and no style is known."""
PALETTE = ("#00000000", "#000000", "#ff8000", "#ffffff", "#2040c0")
TWO_SCALES = {"height": 8, "width": 12, "coarse_layers": 2, "coarse_features": 8}
LOCATED = {"conditioning": "location"}
CONDITIONS = {
    "none": {},
    "class": {"attributes": (CLASS,), "conditioning": "class"},
    "style": {"attributes": (STYLE,), "conditioning": "class"},
    "class and style": {"attributes": (CLASS, STYLE), "conditioning": "class"},
    "location": {"attributes": (CLASS, STYLE), "conditioning": "location"},
    "subclasses, two scales": {
        "attributes": (CLASS, STYLE, SUBCLASS), "label_rows": len(ROWS), "conditioning": "location", **TWO_SCALES,
    },
}  # fmt: skip


def tiny(gated: bool, channels: int, **changes: object) -> PixelCNNSpec:
    """A network that sees three rows up, for pictures of 7 × 9 pixels."""
    sizes: dict[str, object] = {
        "height": 7, "width": 9, "channels": channels, "levels": 256 if channels == 3 else 2, "gated": gated,
        "layers": 3, "features": 14 if channels == 3 else 6, "first_kernel_size": 3, "output_features": 31,
        "condition_channels": 5, "location_channels": 3,
    }  # fmt: skip
    return PixelCNNSpec(**{**sizes, **changes})  # type: ignore[arg-type]


def tiny_autoencoder(channels: int, **changes: object) -> PixelCNNAutoencoderSpec:
    """A network of the same sizes that is conditioned on a picture."""
    fields = dataclasses.asdict(tiny(True, channels)) | {"conditioning": "class", "encoder_layers": 2}
    return PixelCNNAutoencoderSpec(**{**fields, "encoder_features": 6, **changes})


INDEXED = {"palette": PALETTE, "levels": len(PALETTE)}
EDITS = {
    name: tiny(True, channels, **fields, **CONDITIONS["subclasses, two scales"], coarse_inputs=5, context_channels=6)
    for name, channels, fields in (("palette", 1, INDEXED), ("RGB", 3, {}))
}
"""Fields of networks that draw edits."""
SPECS = {
    f"{'gated' if gated else 'original'}, {'RGB' if channels == 3 else 'grey'}, {name}": tiny(gated, channels, **fields)
    for gated in (True, False)
    for channels in (1, 3)
    for name, fields in CONDITIONS.items()
} | {
    "gated, palette, none": tiny(True, 1, **INDEXED),
    "original, palette, class": tiny(False, 1, **INDEXED, **CONDITIONS["class"]),
    "gated, palette, two scales": tiny(
        True, 1, palette=PALETTE[1:], levels=4, attributes=(CLASS,), map_channels=4, **LOCATED, **TWO_SCALES
    ),
    "gated, palette, coarse inputs": tiny(True, 1, **INDEXED, **CONDITIONS["subclasses, two scales"], coarse_inputs=5),
    "autoencoder, grey, class": tiny_autoencoder(1),
    "autoencoder, RGB, location": tiny_autoencoder(3, **LOCATED, map_channels=4, normalised=True, portraits=True),
    "autoencoder, palette, coarse inputs": tiny_autoencoder(1, **INDEXED, **LOCATED, coarse_inputs=5, **TWO_SCALES),
    "gated, RGB, coarse inputs": tiny(True, 3, **CONDITIONS["subclasses, two scales"], coarse_inputs=5),
    **{f"gated, {name}, edits": spec for name, spec in EDITS.items()},
}


def marks(name: str) -> list[pytest.MarkDecorator]:
    """Half of SPECS are slow; every pair of two properties (gated or not, channels, conditions) is among the others."""
    architecture, channels, condition = [*name.split(", ", 2), "", ""][:3]
    if name not in SPECS or condition not in CONDITIONS or channels == "palette":
        return []
    odd = list(CONDITIONS).index(condition) + (architecture == "gated") + (channels == "RGB")
    return [pytest.mark.slow] * (odd % 2)


def each_of(specs: Mapping[str, ImageSpec]) -> pytest.MarkDecorator:
    """Run a test with each spec; of SPECS, half are slow."""
    return pytest.mark.parametrize("spec", [pytest.param(spec, id=n, marks=marks(n)) for n, spec in specs.items()])


def network(spec: ImageSpec, seed: int = 0) -> ImageNetwork:
    """A random network in double precision, with biases that are not zero."""
    return oracle(checkpoint_of(spec, seed))


def given_of(spec: ImageSpec, batch: int) -> torch.Tensor | None:
    """What a network is given: labels of every condition, "unspecified" among them; pictures; or None for neither."""
    if spec.encoder is not None:
        return torch.from_numpy(pictures_of(spec, batch).astype(np.int64))
    columns = [torch.arange(batch) % (len(names) + 1) for names in spec.conditions]
    return torch.stack(columns, dim=1) if columns else None


def pictures_of(spec: ImageSpec, count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Random symbols."""
    shape = (count, spec.height, spec.width, spec.channels)
    return np.random.default_rng(seed).integers(0, spec.levels, shape, np.uint8)


def checkpoint_of(spec: ImageSpec, seed: int = 0) -> Checkpoint:
    """Random weights, with biases that are not zero."""
    tensors = random_tensors(tensor_table(spec), seed, bias_std=0.3)
    if spec.label_rows:
        tensors[LABEL_ROWS] = ROWS
    return Checkpoint(spec, tensors, f"{seed:064x}", Path(), "")


def oracle(checkpoint: Checkpoint) -> ImageNetwork:
    """The network of a checkpoint in double precision."""
    model = load_network(checkpoint, torch.float64)
    assert isinstance(model, ImageNetwork)
    return model


def tiny_rnn(lstm: str, channels: int, **changes: object) -> PixelRNNSpec:
    """A network for pictures of 7 × 9 pixels, whose features do not divide by the channels."""
    sizes: dict[str, object] = {
        "height": 7, "width": 9, "channels": channels, "levels": 256 if channels == 3 else 2, "lstm": lstm,
        "layers": 2, "features": 7, "first_kernel_size": 5, "output_features": 31, "condition_channels": 5,
    }  # fmt: skip
    return PixelRNNSpec(**{**sizes, **changes})  # type: ignore[arg-type]


RNN_SPECS = {
    f"{lstm}, {'RGB' if channels == 3 else 'grey'}, {name}": tiny_rnn(lstm, channels, **CONDITIONS[name])
    for lstm in LSTMS
    for channels in (1, 3)
    for name in ("none", "class and style")
} | {
    "row, grey, 256 levels, skips": tiny_rnn("row", 1, levels=256, skip_connections=True, layers=3, kernel_size=5),
    "row, RGB, 2 levels, skips": tiny_rnn("row", 3, levels=2, skip_connections=True, layers=1, kernel_size=5),
    "diagonal, grey, 256 levels, skips": tiny_rnn("diagonal", 1, levels=256, skip_connections=True, layers=3),
    "diagonal, RGB, 2 levels, skips": tiny_rnn("diagonal", 3, levels=2, skip_connections=True, layers=1),
    "row, grey, none, two scales": tiny_rnn("row", 1, **TWO_SCALES, coarse_channels=6),
    "diagonal, grey, none, two scales": tiny_rnn("diagonal", 1, **TWO_SCALES, coarse_channels=6),
    "diagonal, RGB, class and style, two scales": tiny_rnn(
        "diagonal", 3, **CONDITIONS["class and style"], **TWO_SCALES
    ),
}


_made: dict[str, Checkpoint] = {}


def exported(checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint as ``ancestral export`` leaves it, but for the trial that comes before; each is made once."""
    key = f"{checkpoint.spec} {checkpoint.sha256}"
    if key not in _made:
        path = Path(tempfile.mkdtemp(prefix="anc-"))
        atexit.register(shutil.rmtree, path)
        save(path / "checkpoint", checkpoint.spec, checkpoint.tensors, "")
        write(path / "checkpoint")
        _made[key] = load(path / "checkpoint")
    return _made[key]
