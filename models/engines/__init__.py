"""One interface, several ways to run it: the same stream of symbols from torch, numba or onnxruntime."""

from __future__ import annotations

from models.checkpoint import Checkpoint
from models.engines.base import Engine, EngineError

NAMES = ("auto", "native", "torch")
"""What :func:`load_engine` knows; ``auto`` is the fastest that this machine can run."""

PRECISIONS = ("fp32", "bf16", "int8")
"""How the native engine may keep a WaveNet's weights (models/engines/kernels/products.py)."""


def load_engine(name: str, checkpoint: Checkpoint, precision: str = "fp32") -> Engine:
    """An engine for a WaveNet checkpoint.

    Args:
        name: one of :data:`NAMES`.
        checkpoint: its spec is a WaveNetSpec.
        precision: one of :data:`PRECISIONS`.

    Raises:
        EngineError: the engine has no such precision.
        ValueError: there is no such engine, or the checkpoint holds no WaveNet.
        ModuleNotFoundError: the engine's library is not installed.
    """
    if name in ("auto", "native"):
        from models.engines.kernels.products import Precision
        from models.engines.native import NativeEngine

        return NativeEngine(checkpoint, Precision[precision.upper()])
    if precision != "fp32":
        raise EngineError(f"precision: the {name} engine has fp32 alone, {precision} needs the native one")
    if name == "torch":
        from models.engines.reference import ReferenceEngine

        return ReferenceEngine(checkpoint, cached=True)
    raise ValueError(f"engine: {name!r} is none of {', '.join(NAMES)}")
