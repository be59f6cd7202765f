"""Engines: one protocol, several ways to run it. The same symbols come from torch, compiled kernels or onnxruntime."""

from __future__ import annotations

import logging
from typing import Any

from ancestral.models.architectures import architecture, load_object
from ancestral.models.checkpoint import Checkpoint
from ancestral.models.engines.base import Engine, EngineError
from ancestral.models.engines.images.batch import BatchEngine
from ancestral.models.engines.images.engine import ImageEngine

NAMES = ("auto", "native", "onnx-cuda", "onnx-cpu", "torch")
"""What :func:`load_engine` knows; ``auto`` is ``native``: it never is an engine that has not run on such a machine."""
PRECISIONS = ("auto", "fp32", "int8")
"""Precisions of the native engine's weights; ``auto`` is ``int8``."""

log = logging.getLogger(__name__)


def load_engine(name: str, checkpoint: Checkpoint, precision: str = "auto") -> Engine:
    """An engine that samples a checkpoint: a SpeechEngine, or a BatchEngine of an ImageEngine.

    Args:
        name: one of :data:`NAMES`. Where an architecture has no ONNX exporter, the onnx engines are ``native``; where
            it has no compiled kernel, ``native`` is ``torch``. Either is logged.
        checkpoint: of any autoregressive architecture; onnx engines need it read from a directory with graphs in it.
        precision: one of :data:`PRECISIONS`, for the native engine's weights. Networks without int8
            (``Architecture.has_int8``) are fp32, whichever it is.

    Raises:
        ValueError: there is no such engine or precision.
        EngineError: the architecture has no such engine, or the engine cannot run here, or has no such precision, or
            the graphs are missing or stale.
        ModuleNotFoundError: the engine's library is not installed.
    """
    if name not in NAMES:
        raise ValueError(f"engine: {name!r} is none of {', '.join(NAMES)}")
    if precision not in PRECISIONS:
        raise ValueError(f"precision: {precision!r} is none of {', '.join(PRECISIONS)}")
    native, has_int8 = name in ("auto", "native"), architecture(checkpoint.spec.kind).has_int8(checkpoint.spec)
    if precision == "int8" and has_int8 and not native:
        raise EngineError(f"precision: the {name} engine has fp32 only; int8 needs the native engine")
    if precision == "int8" and not has_int8:  # one older model must not keep a worker from serving the others
        log.info("%s: there is no int8 for it, so it is sampled in fp32", checkpoint.path)
    if name.startswith("onnx-"):
        if _has_graphs(checkpoint):
            return _engine("onnx", checkpoint, name)
        # One model without graphs must not keep a worker from serving the others.
        log.warning("%s has no ONNX exporter: the native engine samples it, not %s", checkpoint.spec.kind, name)
    if name == "torch":
        return _engine("torch", checkpoint)
    return _native(checkpoint, "fp32" if not (native and has_int8) else precision)


def load_image_engine(name: str, checkpoint: Checkpoint, precision: str = "auto") -> ImageEngine:
    """The engine of single pictures; like :func:`load_engine`, for checkpoints of image architectures."""
    engine = load_engine(name, checkpoint, precision)
    if not isinstance(engine, BatchEngine):
        raise EngineError(f"{checkpoint.spec.kind}: it samples no pictures")
    return engine.pictures


def _native(checkpoint: Checkpoint, precision: str) -> Engine:
    kind = checkpoint.spec.kind
    if architecture(kind).engine("native") is None and architecture(kind).engine("torch") is not None:
        log.warning("%s has no compiled kernel: the torch engine samples it, slowly", kind)
        return _engine("torch", checkpoint)
    if precision == "fp32":
        return _engine("native", checkpoint)
    from ancestral.models.kernels.precision import Precision

    return _engine("native", checkpoint, Precision.INT8)


def _engine(name: str, checkpoint: Checkpoint, *options: Any) -> Engine:
    kind = checkpoint.spec.kind
    path = architecture(kind).engine(name)
    if path is None:
        raise EngineError(f"{kind}: there is no {name} engine for it, because it is not sampled symbol by symbol")
    engine: Engine | ImageEngine = load_object(path)(checkpoint, *options)
    return BatchEngine(engine) if isinstance(engine, ImageEngine) else engine


def _has_graphs(checkpoint: Checkpoint) -> bool:
    return architecture(checkpoint.spec.kind).engine("onnx") is not None
