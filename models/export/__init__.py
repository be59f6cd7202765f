"""Checkpoints to ONNX: graphs beside the weights that they refer to, written only if they agree with the networks."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnx

from models.checkpoint import CARD, CONFIG, MANIFEST, WEIGHTS, Checkpoint, CheckpointError, load, save
from models.engines.onnx.ort_session import identity
from models.export import acoustic as frames
from models.export import pixelcnn, wavenet
from models.export.graph import Graph, WeightFile
from models.spec import AcousticSpec, PixelCNNSpec, WaveNetSpec

Builder = Callable[[Any, WeightFile], Graph]

_BUILDERS: Mapping[str, tuple[Builder, ...]] = {
    WaveNetSpec.kind: (wavenet.step, wavenet.steps, wavenet.chunk),
    PixelCNNSpec.kind: (pixelcnn.above, pixelcnn.beside),
    AcousticSpec.kind: (frames.encode, frames.decode),
}


def graphs(checkpoint: Checkpoint) -> dict[str, bytes]:
    """The graphs of a checkpoint on disk, by file name. The same checkpoint gives the same bytes."""
    spec = checkpoint.spec
    weights, metadata = WeightFile((checkpoint.path / WEIGHTS).read_bytes()), identity(checkpoint)
    built = [builder(spec, weights) for builder in _BUILDERS[spec.kind]]
    return {f"{g.name}.onnx": g.model(metadata).SerializeToString(deterministic=True) for g in built}


def export(path: Path, output: Path | None = None) -> list[Path]:
    """Write the graphs of a checkpoint beside its weights.

    They are tried out first, with random weights and with its own: ONNX's checker has to accept them, and what they
    compute has to be what the torch network computes (models/export/parity.py).

    Args:
        path: of the checkpoint.
        output: a directory to be made, with a copy of the checkpoint; None writes into the checkpoint's own.

    Returns:
        The files written.

    Raises:
        CheckpointError: there is no sound checkpoint, or ``output`` exists.
        ParityError: a graph does not do what the network does.
    """
    # What only writes graphs needs no torch.
    from models.export import parity

    checkpoint = load(path)
    if output is not None and output.exists():
        raise CheckpointError(f"{output}: exists already")
    target = (output or path).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
        random, own = Path(scratch, "random"), Path(scratch, "own")
        save(random, checkpoint.spec, parity.random_tensors(checkpoint.spec), "")
        own.mkdir()
        for name in (CONFIG, WEIGHTS, CARD, MANIFEST):
            shutil.copyfile(path / name, own / name)
        for trial in (random, own):
            written = write(trial)
            parity.check(load(trial))
        if output is not None:
            os.rename(own, output)
        else:
            for name in written:
                os.replace(own / name, path / name)
    return [target / name for name in written]


def write(path: Path) -> list[str]:
    """Write the graphs of the checkpoint in a directory, untried but for ONNX's checker; their names."""
    made = graphs(load(path))
    for name, data in made.items():
        (path / name).write_bytes(data)
        onnx.checker.check_model(str(path / name), full_check=True)
    return list(made)
