"""onnxruntime sessions of exported graphs (training/export), checked when they are opened.

onnxruntime-gpu lists CUDA on machines that have none, and then computes on the CPU with a line in the log. Here a
requested provider that does not run is an error that says what to do.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import onnxruntime

from ancestral.models.architectures import architecture
from ancestral.models.checkpoint import Checkpoint
from ancestral.models.engines.base import EngineError

PROVIDERS: Mapping[str, str] = {"onnx-cpu": "CPUExecutionProvider", "onnx-cuda": "CUDAExecutionProvider"}
"""Engines that run on onnxruntime, and their providers."""

_CUDA: Mapping[str, str] = {
    "arena_extend_strategy": "kSameAsRequested",  # several models share the GPU: take no more than is needed
    "cudnn_conv_algo_search": "HEURISTIC",  # a benchmark would choose another algorithm, and other bits, every time
    "use_tf32": "0",  # ten bits of mantissa are not single precision
}


def identity(checkpoint: Checkpoint) -> dict[str, str]:
    """The metadata of a graph, which name the checkpoint that it belongs to.

    Raises:
        EngineError: the architecture has no exporter.
    """
    exporter = architecture(checkpoint.spec.kind).exporter
    if exporter is None:
        raise EngineError(f"{checkpoint.spec.kind}: its architecture has no ONNX exporter")
    # What is as by default is left out, so that graphs stay valid when a later version of a spec has more fields.
    usual = {f.name for f in dataclasses.fields(checkpoint.spec) if getattr(checkpoint.spec, f.name) == f.default}
    usual.add("int8_ranges")  # of a WaveNet: for another engine
    fields = {name: value for name, value in checkpoint.spec.to_json().items() if name not in usual}
    spec = json.dumps(fields, sort_keys=True).encode()
    return {
        "ancestral.format": exporter.format,
        "ancestral.spec_sha256": hashlib.sha256(spec).hexdigest(),
        "ancestral.weights_sha256": checkpoint.sha256,
    }


def open_session(checkpoint: Checkpoint, graph: str, engine: str, *, captured: bool = False) -> Any:
    """A session of one of a checkpoint's graphs.

    Args:
        checkpoint: read from a directory that ``ancestral export`` has written graphs to.
        graph: its name.
        engine: one of :data:`PROVIDERS`.
        captured: whether calls are recorded as a CUDA graph: every node on the GPU, fixed buffers, no loops.

    Returns:
        An ``onnxruntime.InferenceSession`` that runs on the caller's thread.

    Raises:
        EngineError: the graph is missing, stale or damaged, or the provider does not run here.
    """
    path, provider = checkpoint.path / f"{graph}.onnx", PROVIDERS[engine]
    remedy = f"run: ancestral export {checkpoint.path}"
    if not path.is_file():
        raise EngineError(f"{path.name}: the checkpoint has no such graph; {remedy}")
    _check_installed(engine)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    given = dict(_CUDA) | ({"enable_cuda_graph": "1"} if captured else {}) if engine == "onnx-cuda" else {}
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=[(provider, given)])
    except Exception as error:  # its exceptions have no common base class
        raise EngineError(f"{path.name}: cannot be loaded by onnxruntime ({_first_line(error)}); {remedy}") from error
    if provider not in session.get_providers():
        raise EngineError(
            f"{engine}: onnxruntime lists CUDA, but it does not run on this machine: the driver, the GPU, CUDA or "
            "cuDNN is missing, or does not match this version of onnxruntime-gpu"
        )
    found = session.get_modelmeta().custom_metadata_map
    if found != identity(checkpoint):
        raise EngineError(f"{path.name}: was exported from other weights, or by another version; {remedy}")
    return session


def _check_installed(engine: str) -> None:
    """Raise :class:`EngineError` unless the installed onnxruntime has the engine's provider."""
    if PROVIDERS[engine] in onnxruntime.get_available_providers():
        return
    if _both_wheels():
        raise EngineError(
            f"{engine}: both onnxruntime and onnxruntime-gpu are installed, and the one without CUDA hides the other; "
            "pip uninstall onnxruntime onnxruntime-gpu, then pip install onnxruntime-gpu"
        )
    raise EngineError(f"{engine}: this onnxruntime has no CUDA; pip uninstall it, then pip install '.[gpu]'")


def _both_wheels() -> bool:
    """Whether onnxruntime and onnxruntime-gpu share an environment, where the one installed last hides the other."""
    return all(_installed(name) for name in ("onnxruntime", "onnxruntime-gpu"))


def _installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
