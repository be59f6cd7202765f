"""Runs that start from the weights of a checkpoint, or from the whole state of another run; folders made in steps."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import nn

from ancestral.models.architectures import tensor_table
from ancestral.models.architectures.acoustic import AcousticSpec
from ancestral.models.architectures.wavenet import WaveNetSpec
from ancestral.models.checkpoint import Checkpoint, Tensors, load
from ancestral.models.spec import Spec

STATE = "state.safetensors"
_BRANCH = "branch.json"


def read_start(path: Path | None, spec: Spec, may_differ: Iterable[str] = ()) -> Checkpoint | None:
    """The checkpoint that a run starts from, or None.

    Args:
        path: of its directory.
        spec: of the network to train.
        may_differ: fields of the spec that may differ, because they shape no tensor or one that is adapted.

    Raises:
        ValueError: it holds another network.
    """
    if path is None:
        return None
    start = load(path)
    if start.spec.kind != spec.kind or start.spec != replace(spec, **{n: getattr(start.spec, n) for n in may_differ}):
        raise ValueError(f"{path}: its spec is not that of the network to train")
    return start


def load_weights(network: nn.Module, tensors: Tensors) -> None:
    network.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in tensors.items()})


def fit_speakers(start: Checkpoint, speakers: tuple[str, ...]) -> Tensors:
    """The tensors of a WaveNet for other speakers: each keeps its vector, a new one gets the mean of the others."""
    assert isinstance(start.spec, WaveNetSpec)
    if not speakers or not start.spec.speakers:
        return start.tensors
    vectors = _rows(start.tensors["conditioner.speaker"], start.spec.speakers, speakers)
    return start.tensors | {"conditioner.speaker": vectors}


def _rows(vectors: NDArray[np.float32], names: Sequence[str], wanted: Sequence[str]) -> NDArray[np.float32]:
    """The vector of each name that is wanted; one that has none gets the mean of all."""
    mean = vectors.mean(axis=0)
    return np.stack([vectors[names.index(name)] if name in names else mean for name in wanted])


def fit_acoustic(start: Checkpoint, spec: AcousticSpec) -> dict[str, torch.Tensor]:
    """The tensors of an acoustic model that another one can start with: those that it has in common.

    Speakers and phonemes keep their vectors, and a new one gets the mean of the others. Of a decoder that predicted F0
    beside the mels, the mels are kept.
    """
    assert isinstance(start.spec, AcousticSpec)
    speakers = _rows(start.tensors["speaker"], start.spec.speakers, spec.speakers)
    phonemes = _rows(start.tensors["phoneme"], start.spec.phonemes, spec.phonemes)
    decoder = {name: start.tensors[name][..., : spec.decoded] for name in ("frames_out", "frames_bias")}
    shapes = {name: tensor.shape for name, tensor in tensor_table(spec).items()}
    fitted = start.tensors | decoder | {"speaker": speakers, "phoneme": phonemes}
    return {n: torch.from_numpy(np.array(t)) for n, t in fitted.items() if shapes.get(n) == t.shape}


def _metadata(state: Path) -> dict[str, str]:
    with safe_open(state, "pt") as file:
        found: dict[str, str] = file.metadata()
    return found


def branch(trunk: Path, out: Path) -> tuple[int, float]:
    """Let ``out`` continue from the state of another run, unless it has been started already.

    The trunk keeps weights from before any decay: any number of branches of any length can be annealed from them
    (Hu et al. 2024, arXiv:2404.06395, section 4: warm-up, stable, decay).

    Returns:
        The step at which the branch started, and the learning rate of the trunk there.

    Raises:
        ValueError: ``trunk`` has no state, or ``out`` is another run.
    """
    note, state, copy = out / _BRANCH, out / STATE, out / f"{STATE}.trunk"
    if not note.exists():
        if state.exists():
            raise ValueError(f"{out}: a run that is not a branch of another")
        if not (trunk / STATE).exists():
            raise ValueError(f"{trunk}: no state of a run ({STATE})")
        out.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(trunk / STATE, copy)
        meta = _metadata(copy)
        if "learning_rate" not in meta:
            raise ValueError(f"{trunk}: its state was saved by an earlier version, which kept no learning rate")
        step, rate = int(meta["step"]), float(meta["learning_rate"])
        begun = {"trunk": str(trunk.resolve()), "step": step, "learning_rate": rate}
        partial = note.with_suffix(".partial")
        partial.write_text(json.dumps(begun))
        os.replace(partial, note)
    if copy.exists():  # of a copy, whole since there is a note
        os.replace(copy, state)
    found = json.loads(note.read_text())
    return int(found["step"]), float(found["learning_rate"])


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to write that gets its name when it is whole."""
    partial = path.with_name(f"{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    yield partial
    os.replace(partial, path)
