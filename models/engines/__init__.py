"""One interface, several ways to run it: the same stream of symbols from torch, numba or onnxruntime."""

from __future__ import annotations

from models.checkpoint import Checkpoint
from models.engines.base import Engine

NAMES = ("auto", "native", "torch")
"""What :func:`load_engine` knows; ``auto`` is the fastest that this machine can run."""


def load_engine(name: str, checkpoint: Checkpoint) -> Engine:
    """An engine for a WaveNet checkpoint.

    Args:
        name: one of :data:`NAMES`.
        checkpoint: its spec is a WaveNetSpec.

    Raises:
        ValueError: there is no such engine, or the checkpoint holds no WaveNet.
        ModuleNotFoundError: the engine's library is not installed.
    """
    if name in ("auto", "native"):
        from models.engines.native import NativeEngine

        return NativeEngine(checkpoint)
    if name == "torch":
        from models.engines.reference import ReferenceEngine

        return ReferenceEngine(checkpoint, cached=True)
    raise ValueError(f"engine: {name!r} is none of {', '.join(NAMES)}")
