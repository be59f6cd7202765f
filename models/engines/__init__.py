"""One interface, several ways to run it: the same stream of symbols from torch, numba or onnxruntime."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import metadata
from typing import TypeVar

from models.checkpoint import Checkpoint
from models.engines.base import EngineError
from models.engines.images.engine import ImageEngine
from models.engines.speech.engine import SpeechEngine

NAMES = ("auto", "native", "onnx-cuda", "onnx-cpu", "torch")
"""What :func:`load_engine` knows; ``auto`` is ``onnx-cuda`` where CUDA really runs, else ``native``."""
PRECISIONS = ("fp32", "bf16", "int8")
"""How the native engine may keep a WaveNet's weights (models/kernels/gemm.py)."""

log = logging.getLogger(__name__)
_E = TypeVar("_E")


def load_engine(name: str, checkpoint: Checkpoint, precision: str = "fp32") -> SpeechEngine:
    """An engine for a WaveNet checkpoint.

    Args:
        name: one of :data:`NAMES`.
        checkpoint: its spec is a WaveNetSpec; the onnx engines want it read from a directory with graphs in it.
        precision: one of :data:`PRECISIONS`.

    Raises:
        ValueError: there is no such engine, or the checkpoint holds no WaveNet.
        EngineError: the engine cannot run here, or has no such precision, or the graphs are missing or stale.
        ModuleNotFoundError: the engine's library is not installed.
    """

    def native() -> SpeechEngine:
        from models.engines.speech.native import NativeEngine
        from models.kernels.gemm import Precision

        return NativeEngine(checkpoint, Precision[precision.upper()])

    def onnx(provider: str) -> SpeechEngine:
        from models.engines.speech.onnx import OnnxEngine

        return OnnxEngine(checkpoint, provider)

    if precision != "fp32":
        if name not in ("auto", "native"):
            raise EngineError(f"precision: the {name} engine has fp32 alone, {precision} needs the native one")
        return native()
    if name == "torch":
        from models.engines.speech.torch_engine import TorchEngine

        return TorchEngine(checkpoint, cached=True)
    return _chosen(name, native, onnx)


def load_image_engine(name: str, checkpoint: Checkpoint) -> ImageEngine:
    """The same for a PixelCNN checkpoint; ``torch`` draws no pictures, so it stands for ``native``."""

    def native() -> ImageEngine:
        from models.engines.images.native import NativeImageEngine

        return NativeImageEngine(checkpoint)

    def onnx(provider: str) -> ImageEngine:
        from models.engines.images.onnx import OnnxImageEngine

        return OnnxImageEngine(checkpoint, provider)

    return _chosen("native" if name == "torch" else name, native, onnx)


def _chosen(name: str, native: Callable[[], _E], onnx: Callable[[str], _E]) -> _E:
    """What ``name`` stands for on this machine."""
    if name == "auto" and _cuda_is_likely():
        try:
            return onnx("onnx-cuda")
        except EngineError as error:
            log.warning("auto is native: %s", error)
    if name in ("auto", "native"):
        return native()
    if name in ("onnx-cuda", "onnx-cpu"):
        return onnx(name)
    raise ValueError(f"engine: {name!r} is none of {', '.join(NAMES)}")


def _cuda_is_likely() -> bool:
    """Whether it is worth to try: importing onnxruntime takes a fifth of a second, and most machines have no card."""
    try:
        metadata.distribution("onnxruntime-gpu")
    except metadata.PackageNotFoundError:
        return False
    return True
