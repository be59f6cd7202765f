"""Checkpoints on disk with their graphs beside them."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

from ancestral.models.checkpoint import Checkpoint, load, save
from ancestral.training.export import write

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
