"""Engines: one protocol, several ways to run it. Compiled kernels and onnxruntime sample the same symbols."""

from __future__ import annotations

import logging

from ancestral_models.architectures import architecture, load_object
from ancestral_models.checkpoint import Checkpoint
from ancestral_models.engines.base import Engine, EngineError
from ancestral_models.engines.images.engine import BatchEngine, ImageEngine

NAMES = ("auto", "native", "onnx-cuda", "onnx-cpu")
"""What :func:`load_engine` knows; ``auto`` is ``native``: it never is an engine that has not run on such a machine."""
log = logging.getLogger(__name__)


def load_engine(name: str, checkpoint: Checkpoint) -> Engine:
    """An engine that samples a checkpoint: a SpeechEngine, or a BatchEngine of an ImageEngine.

    Args:
        name: one of :data:`NAMES`. Where an architecture has no ONNX exporter, the onnx engines are ``native``; where
            one of pictures has no compiled kernel, ``native`` is ``torch``. Either is logged.
        checkpoint: of any autoregressive architecture; onnx engines need it read from a directory with graphs in it.

    Raises:
        ValueError: there is no such engine.
        EngineError: the architecture has no such engine, or the engine cannot run here, or the graphs are missing or
            stale.
        ModuleNotFoundError: the engine's library is not installed.
    """
    if name not in NAMES:
        raise ValueError(f"engine: {name!r} is none of {', '.join(NAMES)}")
    kind = checkpoint.spec.kind
    path, options = architecture(kind).engine("native"), list[str]()
    if name.startswith("onnx-"):
        if (graphs := architecture(kind).engine("onnx")) is not None:
            path, options = graphs, [name]
        else:  # One model without graphs must not keep a worker from serving the others.
            log.warning("%s has no ONNX exporter: the native engine samples it, not %s", kind, name)
    if path is None:
        raise EngineError(f"{kind}: there is no {name} engine for it, because it is not sampled symbol by symbol")
    engine: Engine | ImageEngine = load_object(path)(checkpoint, *options)
    if engine.name == "torch":
        log.warning("%s has no compiled kernel: the torch engine samples it, slowly", kind)
    return BatchEngine(engine) if isinstance(engine, ImageEngine) else engine


def load_image_engine(name: str, checkpoint: Checkpoint) -> ImageEngine:
    """The engine of single pictures; like :func:`load_engine`, for checkpoints of image architectures."""
    engine = load_engine(name, checkpoint)
    if not isinstance(engine, BatchEngine):
        raise EngineError(f"{checkpoint.spec.kind}: it samples no pictures")
    return engine.pictures
