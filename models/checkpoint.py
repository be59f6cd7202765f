"""A checkpoint is a directory: configuration, weights, model card and a manifest of hashes. numpy only, never pickle.

    config.json          the spec, as ``to_json`` gives it
    weights.safetensors  float32 tensors, named as in the network's state_dict
    README.md            the model card
    manifest.json        SHA-256 and size of each of the other files

Everything is checked before a model is built from it: a damaged download ends in a message that names the file or the
tensor, not in noise.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as parse_tensors
from safetensors.numpy import save as format_tensors

from models.spec import LOCATION_STRIDE, SYMBOLS, AcousticSpec, PixelCNNSpec, SpecError, WaveNetSpec

Spec = WaveNetSpec | AcousticSpec | PixelCNNSpec
Shapes = dict[str, tuple[int, ...]]
Tensors = dict[str, NDArray[np.float32]]

CONFIG, WEIGHTS, CARD, MANIFEST = "config.json", "weights.safetensors", "README.md", "manifest.json"


class CheckpointError(ValueError):
    """A directory that holds no sound checkpoint; the message names the file or the tensor at fault."""


@dataclass(frozen=True)
class Checkpoint:
    """A model at rest."""

    spec: Spec
    tensors: Tensors
    sha256: str
    """Of ``weights.safetensors``: what clients see as ``x-model-sha256``."""
    path: Path
    card: str


def wavenet_shapes(spec: WaveNetSpec) -> Shapes:
    """The tensors of networks/wavenet.py."""
    layers, residual, gate, skip = spec.layers, spec.residual_channels, spec.gate_channels, spec.skip_channels
    hidden, width = spec.hidden_channels, spec.conditioner_channels
    shapes: Shapes = {
        "conditioner.bias": (width,),
        "embedding": (SYMBOLS, residual),
        "past": (layers, residual, gate),
        "current": (layers, residual, gate),
        "gate_condition": (layers, width, gate),
        "gate_bias": (layers, gate),
        "residual": (layers - 1, hidden, residual),
        "residual_bias": (layers - 1, residual),
        "skip": (layers, hidden, skip),
        "skip_bias": (skip,),
        "head": (skip, spec.head_channels),
        "head_bias": (spec.head_channels,),
        "output": (spec.head_channels, SYMBOLS),
        "output_bias": (SYMBOLS,),
    }
    if spec.speakers:
        shapes["conditioner.speaker"] = (len(spec.speakers), spec.global_channels)
        shapes["conditioner.speaker_in"] = (spec.global_channels, width)
    if spec.local_channels:
        shapes["conditioner.frames_in"] = (spec.local_channels, width)
        shapes["conditioner.taps"] = (spec.conditioner_layers, 3 * width, width)
        shapes["conditioner.taps_bias"] = (spec.conditioner_layers, width)
    return shapes


def acoustic_shapes(spec: AcousticSpec) -> Shapes:
    """The tensors of networks/acoustic.py."""
    channels, speaker = spec.channels, spec.speaker_channels
    shapes: Shapes = {
        "phoneme": (len(spec.phonemes), channels),
        "word_start": (1, channels),
        "speaker": (len(spec.speakers), speaker),
        "encoder_speaker": (speaker, channels),
        "decoder_speaker": (speaker, channels),
        "duration_out": (channels, 1),
        "duration_bias": (1,),
        "position": (spec.position_channels, channels),
        "frames_out": (channels, spec.outputs),
        "frames_bias": (spec.outputs,),
    }
    stacks = {
        "encoder": (spec.encoder_layers, spec.kernel_size),
        "duration": (spec.duration_layers, spec.duration_kernel_size),
        "decoder": (spec.decoder_layers, spec.kernel_size),
    }
    for stack, (layers, kernel_size) in stacks.items():
        for layer in range(layers):
            shapes[f"{stack}.{layer}.scale"] = (channels,)
            shapes[f"{stack}.{layer}.taps"] = (kernel_size * channels, 2 * channels)
            shapes[f"{stack}.{layer}.taps_bias"] = (2 * channels,)
            shapes[f"{stack}.{layer}.out"] = (channels, channels)
            shapes[f"{stack}.{layer}.out_bias"] = (channels,)
    return shapes


EMBEDDING: Final = "conditioner.embedding"
OUTLINE_PREFIX: Final = "outline."
"""Of the tensors of the network that draws the outline."""


def pixelcnn_shapes(spec: PixelCNNSpec) -> Shapes:
    """The tensors of networks/pixelcnn.py."""
    outputs, symbols = spec.output_features, spec.channels * spec.levels
    shapes: Shapes = {
        "head": (outputs, outputs),
        "head_bias": (outputs,),
        "output": (outputs, symbols),
        "output_bias": (symbols,),
        **(_gated_shapes(spec) if spec.gated else _original_shapes(spec)),
    }
    if spec.conditions:
        shapes[EMBEDDING] = (sum(len(names) + 1 for names in spec.conditions), spec.condition_channels)
    if spec.outline is not None:
        within = {name: shape for name, shape in pixelcnn_shapes(spec.outline).items() if name != EMBEDDING}
        shapes |= {OUTLINE_PREFIX + name: shape for name, shape in within.items()}
        channels = spec.location_channels
        shapes["conditioner.outline"] = (channels, spec.channels, 3, 3)
        shapes["conditioner.around"] = (channels, channels, 3, 3)
    if spec.conditioning == "location":
        cells, channels = -(-spec.height // LOCATION_STRIDE) * -(-spec.width // LOCATION_STRIDE), spec.location_channels
        shapes["conditioner.coarse"] = (spec.condition_channels, cells * channels)
        shapes["conditioner.coarse_bias"] = (cells * channels,)
        shapes["conditioner.upsampling"] = (channels, channels, LOCATION_STRIDE, LOCATION_STRIDE)
    return shapes


def _condition_width(spec: PixelCNNSpec) -> int:
    return spec.location_channels if spec.conditioning == "location" else spec.condition_channels


def _gated_shapes(spec: PixelCNNSpec) -> Shapes:
    layers, features, above = spec.layers, spec.features, spec.kernel_size // 2
    gate, first = 2 * features, spec.first_kernel_size // 2
    shapes: Shapes = {
        "vertical_first": (gate, spec.channels, first, spec.first_kernel_size),
        "horizontal_first": (gate, spec.channels, 1, first + 1),
        "vertical": (layers - 1, gate, features, above + 1, spec.kernel_size),
        "horizontal": (layers - 1, gate, features, 1, above + 1),
        "vertical_bias": (layers - 1, gate),
        "horizontal_bias": (layers, gate),
        "link": (layers, gate, gate),
        "residual": (layers - 1, features, features),
        "residual_bias": (layers - 1, features),
        "skip": (layers, features, spec.output_features),
        "skip_bias": (spec.output_features,),
    }
    if spec.conditions:
        shapes["vertical_condition"] = (layers - 1, _condition_width(spec), gate)
        shapes["horizontal_condition"] = (layers, _condition_width(spec), gate)
    return shapes


def _original_shapes(spec: PixelCNNSpec) -> Shapes:
    blocks, features, hidden = spec.layers - 1, spec.features, spec.features // 2
    shapes: Shapes = {
        "first": (features, spec.channels, spec.first_kernel_size // 2 + 1, spec.first_kernel_size),
        "first_bias": (features,),
        "reduce": (blocks, features, hidden),
        "reduce_bias": (blocks, hidden),
        "masked": (blocks, hidden, hidden, spec.kernel_size // 2 + 1, spec.kernel_size),
        "masked_bias": (blocks, hidden),
        "expand": (blocks, hidden, features),
        "expand_bias": (blocks, features),
        "skip": (1, features, spec.output_features),
        "skip_bias": (spec.output_features,),
    }
    if spec.conditions:
        shapes["condition"] = (blocks, _condition_width(spec), hidden)
    return shapes


_SPECS: dict[str, type[Spec]] = {spec.kind: spec for spec in (WaveNetSpec, AcousticSpec, PixelCNNSpec)}
_SHAPES: dict[str, Callable[[Any], Shapes]] = {
    WaveNetSpec.kind: wavenet_shapes,
    AcousticSpec.kind: acoustic_shapes,
    PixelCNNSpec.kind: pixelcnn_shapes,
}


def expected_shapes(spec: Spec) -> Shapes:
    """Name and shape of every tensor of a model."""
    return _SHAPES[spec.kind](spec)


def save(path: Path, spec: Spec, tensors: Mapping[str, NDArray[np.floating]], card: str) -> None:
    """Write a checkpoint directory, or replace one: a reader finds it whole or, for an instant, not at all.

    Raises:
        CheckpointError: the tensors are not those of the spec, or not finite.
    """
    arrays: Tensors = {name: np.ascontiguousarray(tensor, np.float32) for name, tensor in tensors.items()}
    _check_tensors(spec, arrays)
    files = {
        CONFIG: _json_bytes(spec.to_json()),
        WEIGHTS: format_tensors(dict(sorted(arrays.items()))),
        CARD: card.encode(),
    }
    listing = {name: {"sha256": _sha256(data), "size": len(data)} for name, data in files.items()}
    files[MANIFEST] = _json_bytes({"files": listing})
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as scratch:
        new, old = Path(scratch, "new"), Path(scratch, "old")
        new.mkdir()
        for name, data in files.items():
            _write(new / name, data)
        if path.exists():
            os.rename(path, old)
        os.rename(new, path)


def load(path: Path) -> Checkpoint:
    """Read and check a checkpoint directory.

    Raises:
        CheckpointError: a file is missing, truncated, altered or malformed; a tensor is missing, unknown, of another
            shape or type, or holds a value that is not finite.
    """
    path = Path(path)
    listing = _manifest(path)
    files = {name: _verified(path, name, listing) for name in (CONFIG, WEIGHTS, CARD)}
    spec = _parse_spec(files[CONFIG])
    try:
        tensors = parse_tensors(files[WEIGHTS])
    except (SafetensorError, KeyError) as error:  # KeyError: a type that numpy has no name for
        raise CheckpointError(f"{WEIGHTS}: not a safetensors file ({error})") from error
    _check_tensors(spec, tensors)
    return Checkpoint(spec, tensors, _sha256(files[WEIGHTS]), path, files[CARD].decode(errors="replace"))


def _check_tensors(spec: Spec, tensors: Mapping[str, NDArray[Any]]) -> None:
    shapes = expected_shapes(spec)
    for name, shape in shapes.items():
        if name not in tensors:
            raise CheckpointError(f"{name}: missing from {WEIGHTS}")
        tensor = tensors[name]
        if tensor.shape != shape:
            raise CheckpointError(f"{name}: shape {list(tensor.shape)}, but the configuration makes it {list(shape)}")
        if tensor.dtype != np.float32:
            raise CheckpointError(f"{name}: type {tensor.dtype}, not float32")
        if not np.isfinite(tensor).all():
            raise CheckpointError(f"{name}: holds values that are not finite")
    if extra := sorted(set(tensors) - set(shapes)):
        raise CheckpointError(f"{extra[0]}: no tensor of a {spec.kind} model")


def _parse_spec(data: bytes) -> Spec:
    fields = _parse_json(CONFIG, data)
    kind = fields.get("kind")
    if not isinstance(kind, str) or kind not in _SPECS:
        raise CheckpointError(f"{CONFIG}: unknown kind {kind!r}")
    try:
        return _SPECS[kind].from_json(fields)
    except SpecError as error:
        raise CheckpointError(f"{CONFIG}: {error}") from error


def _manifest(path: Path) -> dict[str, Any]:
    files = _parse_json(MANIFEST, _read(path, MANIFEST)).get("files")
    if not isinstance(files, dict):
        raise CheckpointError(f"{MANIFEST}: no table of files")
    return files


def _verified(path: Path, name: str, listing: dict[str, Any]) -> bytes:
    """The bytes of a file, after they were found to be what the manifest says."""
    entry = listing.get(name)
    if not isinstance(entry, dict):
        raise CheckpointError(f"{name}: not listed in {MANIFEST}")
    data = _read(path, name)
    if len(data) != entry.get("size"):
        raise CheckpointError(f"{name}: {len(data)} bytes, but {MANIFEST} says {entry.get('size')}")
    if _sha256(data) != entry.get("sha256"):
        raise CheckpointError(f"{name}: its SHA-256 is not the one in {MANIFEST}")
    return data


def _read(path: Path, name: str) -> bytes:
    try:
        return (path / name).read_bytes()
    except OSError as error:
        raise CheckpointError(f"{name}: cannot be read from {path} ({error.strerror})") from error


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _parse_json(name: str, data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError as error:  # of the syntax or of the encoding
        raise CheckpointError(f"{name}: not JSON ({error})") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{name}: not a JSON object")
    return value


def _json_bytes(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
