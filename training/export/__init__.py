"""Checkpoints to ONNX: graphs beside the weights that they refer to, written only if they match the networks."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import onnx

from ancestral.models.architectures import architecture, load_object, tensor_table
from ancestral.models.checkpoint import CARD, CONFIG, MANIFEST, WEIGHTS, Checkpoint, CheckpointError, load, save
from ancestral.models.engines.onnx import identity
from ancestral.models.tensors import random_tensors
from ancestral.training.export.graph import Graph, WeightFile


def graphs(checkpoint: Checkpoint) -> dict[str, bytes]:
    """The graphs of a checkpoint on disk, by file name; none where its architecture has no exporter.

    The same checkpoint gives the same bytes.
    """
    exporter = architecture(checkpoint.spec.kind).exporter
    if exporter is None:
        return {}
    weights, metadata = WeightFile((checkpoint.path / WEIGHTS).read_bytes()), identity(checkpoint)
    built: list[Graph] = load_object(exporter.graphs)(checkpoint.spec, weights)
    return {f"{g.name}.onnx": g.model(metadata).SerializeToString(deterministic=True) for g in built}


def export(path: Path, output: Path | None = None) -> list[Path]:
    """Write the graphs of a checkpoint beside its weights.

    They are tested first, with random weights and with its own: ONNX's checker has to accept them, and they have to
    compute what the torch network computes (training/export/parity.py).

    Args:
        path: of the checkpoint.
        output: a directory to create, with a copy of the checkpoint; None writes into the checkpoint's own.

    Returns:
        The files written; none where the architecture has no exporter.

    Raises:
        CheckpointError: there is no valid checkpoint, or ``output`` exists.
        ParityError: a graph does not compute what the network does.
    """
    checkpoint = load(path)
    exporter = architecture(checkpoint.spec.kind).exporter
    if exporter is None:
        return []
    if output is not None and output.exists():
        raise CheckpointError(f"{output}: exists already")
    target = (output or path).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
        random, own = Path(scratch, "random"), Path(scratch, "own")
        save(random, checkpoint.spec, random_tensors(tensor_table(checkpoint.spec)), "")
        own.mkdir()
        for name in (CONFIG, WEIGHTS, CARD, MANIFEST):
            shutil.copyfile(path / name, own / name)
        for trial in (random, own):
            written = write(trial)
            load_object(exporter.check)(load(trial))
        if output is not None:
            os.rename(own, output)
        else:
            for name in written:
                os.replace(own / name, path / name)
    return [target / name for name in written]


def write(path: Path) -> list[str]:
    """Write the graphs of the checkpoint in a directory, tested by ONNX's checker alone; their names."""
    made = graphs(load(path))
    for name, data in made.items():
        (path / name).write_bytes(data)
        onnx.checker.check_model(str(path / name), full_check=True)
    return list(made)
