"""Runs that begin with weights: those of a checkpoint, or the whole state of another run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch import nn

from models.architectures.wavenet import WaveNetSpec
from models.checkpoint import Checkpoint, Tensors, load
from models.spec import Spec

STATE = "state.safetensors"
_BRANCH = "branch.json"


def read_start(path: Path | None, spec: Spec, may_differ: Iterable[str] = ()) -> Checkpoint | None:
    """The checkpoint that a run begins with, or None.

    Args:
        path: of its directory.
        spec: of the network that is to be trained.
        may_differ: fields of the spec that shape no tensor, or one that is made to fit.

    Raises:
        ValueError: it holds another network.
    """
    if path is None:
        return None
    begun = load(path)
    if begun.spec.kind != spec.kind or begun.spec != replace(spec, **{n: getattr(begun.spec, n) for n in may_differ}):
        raise ValueError(f"{path}: not the network that is to be trained")
    return begun


def load_weights(network: nn.Module, tensors: Tensors) -> None:
    """Set all weights of a network."""
    network.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in tensors.items()})


def fit_speakers(begun: Checkpoint, speakers: tuple[str, ...]) -> Tensors:
    """The tensors of a WaveNet for other speakers: each keeps its vector, a new one gets the mean of those there."""
    assert isinstance(begun.spec, WaveNetSpec)
    if not speakers or not begun.spec.speakers:
        return begun.tensors
    vectors, names = begun.tensors["conditioner.speaker"], begun.spec.speakers
    mean = vectors.mean(axis=0)
    rows = [vectors[names.index(name)] if name in names else mean for name in speakers]
    return begun.tensors | {"conditioner.speaker": np.stack(rows)}


def branch(trunk: Path, out: Path) -> tuple[int, float]:
    """Let ``out`` go on from the state of another run, unless it has begun to already.

    The trunk keeps weights from before any decay: from them as many branches as one likes are annealed, each for as
    long as it takes (Hu et al. 2024, arXiv:2404.06395, section 4: warm-up, stable, decay).

    Returns:
        The step where the branch began, and the learning rate that the trunk had there.

    Raises:
        ValueError: ``trunk`` has no state, or ``out`` is another run.
    """
    note, state, copy = out / _BRANCH, out / STATE, out / f"{STATE}.trunk"
    if not note.exists():
        if state.exists():
            raise ValueError(f"{out}: a run that is no branch of another")
        if not (trunk / STATE).exists():
            raise ValueError(f"{trunk}: no state of a run ({STATE})")
        out.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(trunk / STATE, copy)
        with safe_open(copy, "pt") as file:
            meta: dict[str, str] = file.metadata()
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
