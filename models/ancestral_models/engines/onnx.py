"""Sessions of onnxruntime, and the loops that run a graph of one step."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
from collections.abc import Mapping
from importlib import metadata
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime import OrtValue

from ancestral_models.architectures import architecture
from ancestral_models.architectures.wavenet import WaveNetSpec
from ancestral_models.checkpoint import Checkpoint
from ancestral_models.engines.base import Array, EngineError, EngineUnavailable
from ancestral_models.spec import SYMBOLS

# onnxruntime sessions of exported graphs (ancestral_training/export), checked when they are opened.
#
# onnxruntime-gpu lists CUDA on machines that have none, and then computes on the CPU with a line in the log. Here a
# requested provider that does not run is an error that says what to do.

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
        EngineUnavailable: the provider does not run here.
        EngineError: the graph is missing, stale or damaged.
    """
    _check_installed(engine)
    path, provider = checkpoint.path / f"{graph}.onnx", PROVIDERS[engine]
    remedy = f"run: ancestral export {checkpoint.path}"
    if not path.is_file():
        raise EngineError(f"{path.name}: the checkpoint has no such graph; {remedy}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    given = dict(_CUDA) | ({"enable_cuda_graph": "1"} if captured else {}) if engine == "onnx-cuda" else {}
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=[(provider, given)])
    except Exception as error:  # its exceptions have no common base class
        reason = str(error).strip().partition("\n")[0]
        raise EngineError(f"{path.name}: cannot be loaded by onnxruntime ({reason}); {remedy}") from error
    if provider not in session.get_providers():
        raise EngineUnavailable(
            f"{engine}: onnxruntime lists CUDA, but it does not run on this machine: the driver, the GPU, CUDA or "
            "cuDNN is missing, or does not match this version of onnxruntime-gpu"
        )
    found = session.get_modelmeta().custom_metadata_map
    if found != identity(checkpoint):
        raise EngineError(f"{path.name}: was exported from other weights, or by another version; {remedy}")
    return session


def _check_installed(engine: str) -> None:
    """Raise :class:`EngineUnavailable` unless the installed onnxruntime has the engine's provider."""
    if PROVIDERS[engine] in onnxruntime.get_available_providers():
        return
    if {"onnxruntime", "onnxruntime-gpu"} <= {found.name for found in metadata.distributions()}:
        raise EngineUnavailable(
            f"{engine}: both onnxruntime and onnxruntime-gpu are installed, and the one without CUDA hides the other; "
            "pip uninstall onnxruntime onnxruntime-gpu, then pip install onnxruntime-gpu"
        )
    raise EngineUnavailable(f"{engine}: this onnxruntime has no CUDA; pip uninstall it, then pip install '.[gpu]'")


# How the graphs of a WaveNet are run: a chunk by one call of a loop, or block by block on buffers that stay.
#
# Both take as many steps as ``uniforms`` has rows, and give the same bits on a CPU;
# ancestral_models/engines/speech/onnx.py says which runs where.


class Inputs(NamedTuple):
    """The inputs of a graph (ancestral_training/export/wavenet.py)."""

    symbol: NDArray[np.int64]
    position: NDArray[np.int64]
    lane: NDArray[np.int64]
    ring: Array
    biases: Array
    log_min_p: NDArray[np.float64]
    frame: NDArray[np.int64]
    temperature: NDArray[np.float64]
    uniforms: NDArray[np.float64]
    forced: NDArray[np.int64]


class Outputs(NamedTuple):
    """The outputs of a graph."""

    symbols: NDArray[np.int64]
    logits: Array
    next_symbol: NDArray[np.int64]
    next_ring: Array


class Chunks:
    """One call of the graph with the loop. Any number of threads may."""

    def __init__(self, checkpoint: Checkpoint, engine: str, lanes: int) -> None:
        self._session = open_session(checkpoint, "chunk", engine)

    def __call__(self, inputs: Inputs) -> Outputs:
        return Outputs(*self._session.run(Outputs._fields, inputs._asdict()))


class Blocks:
    """Unrolled steps on fixed buffers, and single steps for the rest. One thread at a time.

    A CUDA graph replays what was recorded with the same buffers, so everything is written into them; the outputs ring
    and symbol share the buffers of the inputs.
    """

    def __init__(self, checkpoint: Checkpoint, engine: str, lanes: int) -> None:
        spec = checkpoint.spec_as(WaveNetSpec)
        device, captured = ("cuda", True) if engine == "onnx-cuda" else ("cpu", False)
        # The longest blocks first.
        sessions = [open_session(checkpoint, graph, engine, captured=captured) for graph in ("steps", "step")]
        self._lock, self._lanes = threading.Lock(), lanes
        self._ring = _on(device, np.zeros((lanes * sum(spec.dilations), spec.residual_channels), np.float32))
        self._symbol = _on(device, np.zeros(lanes, np.int64))
        shared = {"ring": self._ring, "symbol": self._symbol}
        self._sizes = [_Block(session, spec, lanes, device, shared) for session in sessions]

    def __call__(self, inputs: Inputs) -> Outputs:
        steps, done = len(inputs.uniforms), 0
        symbols = np.empty((steps, self._lanes), np.int64)
        logits = np.empty((steps, self._lanes, SYMBOLS), np.float32)
        with self._lock:
            self._ring.update_inplace(inputs.ring)
            self._symbol.update_inplace(inputs.symbol)
            for block in self._sizes:
                while steps - done >= block.steps:
                    part = slice(done, done + block.steps)
                    symbols[part], logits[part] = block(inputs, part)
                    done += block.steps
            return Outputs(symbols, logits, self._symbol.numpy().copy(), self._ring.numpy().copy())


class _Block:
    """A graph of a fixed number of steps, bound to its buffers."""

    def __init__(self, session: Any, spec: WaveNetSpec, lanes: int, device: str, shared: Mapping[str, Any]) -> None:
        self._session = session
        (self.steps,) = (i.shape[0] for i in session.get_inputs() if i.name == "uniforms")
        hop = spec.local_hop if spec.local_channels else self.steps
        self._frames = (self.steps - 2) // hop + 2
        """Frames that the steps of a lane can be in."""
        shapes: dict[str, tuple[tuple[int, ...], type]] = {
            "position": ((lanes,), np.int64),
            "lane": ((lanes,), np.int64),
            "biases": ((spec.layers, lanes * self._frames, spec.gate_channels), np.float32),
            "log_min_p": ((lanes,), np.float64),
            "frame": ((self.steps, lanes), np.int64),
            "temperature": ((self.steps, lanes), np.float64),
            "uniforms": ((self.steps, lanes), np.float64),
            "forced": ((self.steps, lanes), np.int64),
        }
        self._inputs = {name: _on(device, np.zeros(shape, kind)) for name, (shape, kind) in shapes.items()}
        made = {"symbols": (self.steps, lanes), "logits": (self.steps, lanes, SYMBOLS)}
        types = {"symbols": np.int64, "logits": np.float32}
        self._outputs = {name: _on(device, np.zeros(shape, types[name])) for name, shape in made.items()}
        self._binding = session.io_binding()
        for name, value in {**self._inputs, **shared}.items():
            self._binding.bind_ortvalue_input(name, value)
        for name, value in {**self._outputs, **{f"next_{k}": v for k, v in shared.items()}}.items():
            self._binding.bind_ortvalue_output(name, value)

    def __call__(self, inputs: Inputs, part: slice) -> tuple[NDArray[np.int64], Array]:
        """The steps ``part`` of a call; ring and symbol continue from the last ones."""
        frame = inputs.frame[part]
        rows = (frame[0][:, None] + np.arange(self._frames)).ravel()
        values = {
            "position": inputs.position + part.start,
            "lane": inputs.lane,
            "biases": inputs.biases[:, np.minimum(rows, inputs.biases.shape[1] - 1)],
            "log_min_p": inputs.log_min_p,
            "frame": frame - frame[0] + inputs.lane * self._frames,
            "temperature": inputs.temperature[part],
            "uniforms": inputs.uniforms[part],
            "forced": inputs.forced[part],
        }
        for name, value in values.items():
            self._inputs[name].update_inplace(np.ascontiguousarray(value))
        self._session.run_with_iobinding(self._binding)
        return self._outputs["symbols"].numpy(), self._outputs["logits"].numpy()


def _on(device: str, value: NDArray[Any]) -> Any:
    """The value, copied to the memory of a device."""
    return OrtValue.ortvalue_from_numpy(value, device, 0)
