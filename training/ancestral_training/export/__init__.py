"""Checkpoints to ONNX: graphs beside the weights that they refer to, written only if they match the networks."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from ancestral_models.architectures import architecture, load_object, tensor_table
from ancestral_models.checkpoint import CARD, CONFIG, MANIFEST, WEIGHTS, Checkpoint, CheckpointError, load, save
from ancestral_models.engines.onnx import identity
from ancestral_models.tensors import random_tensors


def graphs(checkpoint: Checkpoint) -> dict[str, bytes]:
    """The graphs of a checkpoint on disk, by file name; none where its architecture has no exporter.

    The same checkpoint gives the same bytes.
    """
    exporter = architecture(checkpoint.spec.kind).exporter
    if exporter is None:
        return {}
    weights, metadata = WeightFile((checkpoint.path / WEIGHTS).read_bytes()), identity(checkpoint)
    built: list[Graph] = load_object(exporter.graphs)(checkpoint.spec, weights)
    return {f"{g.name}.onnx": g.model(metadata).SerializeToString(deterministic=True) for g in built}


def export(path: Path, output: Path | None = None) -> list[Path]:
    """Write the graphs of a checkpoint beside its weights.

    They are tested first, with random weights and with its own: ONNX's checker has to accept them, and they have to
    compute what the torch network computes (ancestral_training/export/parity.py).

    Args:
        path: of the checkpoint.
        output: a directory to create, with a copy of the checkpoint; None writes into the checkpoint's own.

    Returns:
        The files written; none where the architecture has no exporter.

    Raises:
        CheckpointError: there is no valid checkpoint, or ``output`` exists.
        ParityError: a graph does not compute what the network does.
    """
    checkpoint = load(path)
    exporter = architecture(checkpoint.spec.kind).exporter
    if exporter is None:
        return []
    if output is not None and output.exists():
        raise CheckpointError(f"{output}: exists already")
    target = (output or path).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
        random, own = Path(scratch, "random"), Path(scratch, "own")
        save(random, checkpoint.spec, random_tensors(tensor_table(checkpoint.spec)), "")
        own.mkdir()
        for name in (CONFIG, WEIGHTS, CARD, MANIFEST):
            shutil.copyfile(path / name, own / name)
        for trial in (random, own):
            written = write(trial)
            load_object(exporter.check)(load(trial))
        if output is not None:
            os.rename(own, output)
        else:
            for name in written:
                os.replace(own / name, path / name)
    return [target / name for name in written]


def write(path: Path) -> list[str]:
    """Write the graphs of the checkpoint in a directory, tested by ONNX's checker alone; their names."""
    made = graphs(load(path))
    for name, data in made.items():
        (path / name).write_bytes(data)
        onnx.checker.check_model(str(path / name), full_check=True)
    return list(made)


# ONNX graphs without weights: nodes, small constants, and references to the bytes of ``weights.safetensors``.
#
# A tensor of a checkpoint is raw little-endian float32 or float16 at a known offset of that file: what ONNX calls
# external data. So a graph beside its checkpoint's weights adds a few kilobytes to them. Values derived from weights
# (masks, sums of biases, float16 as float32) are nodes over constants, which a runtime computes once, when it loads the
# graph.


OPSET = 18
_IR_VERSION = 9
"""The version that onnxruntime 1.20 reads, the oldest supported one."""

TYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "int64": TensorProto.INT64}
_STORED = {"F32": (TensorProto.FLOAT, 4), "F16": (TensorProto.FLOAT16, 2)}
"""ONNX's type and the bytes of a number, by safetensors' name of the type."""
_SPELLED_OUT = 8
"""Numbers that the name of a constant may hold; longer ones are hashed."""


class WeightFile:
    """The offsets of the tensors in a ``weights.safetensors``.

    Args:
        data: the file.
    """

    def __init__(self, data: bytes) -> None:
        (size,) = struct.unpack_from("<Q", data)
        self._start = 8 + size
        self._entries: Mapping[str, Any] = json.loads(data[8 : self._start])

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._entries[name]["shape"])

    def reference(self, name: str, first: int | None, shape: Sequence[int] | None) -> TensorProto:
        """A tensor, or item ``first`` along its first axis, as an initialiser of any shape."""
        entry = self._entries[name]
        whole, (begin, end) = self.shape(name), entry["data_offsets"]
        if first is not None:
            size = (end - begin) // whole[0]
            begin, end, whole = begin + first * size, begin + (first + 1) * size, whole[1:]
            name = f"{name}.{first}"
        kind, number_bytes = _STORED[entry["dtype"]]
        proto = TensorProto(name=f"weights/{name}", data_type=kind)
        proto.dims.extend(whole if shape is None else shape)
        assert int(np.prod(proto.dims)) * number_bytes == end - begin, "another size"
        if shape is not None:
            proto.name += "/" + "x".join(map(str, shape))
        proto.data_location = TensorProto.EXTERNAL
        for key, value in (("location", WEIGHTS), ("offset", self._start + begin), ("length", end - begin)):
            proto.external_data.add(key=key, value=str(value))
        return proto


class Graph:
    """A graph under construction. Values are referred to by their names.

    Args:
        name: of the graph.
        weights: of the checkpoint.
        outer: the graph that has this one as the body of a loop; weights and constants are kept there.
    """

    def __init__(self, name: str, weights: WeightFile, outer: Graph | None = None) -> None:
        self.name, self.weights, self._outer = name, weights, outer
        self._nodes: list[NodeProto] = []
        self._inputs: list[ValueInfoProto] = []
        self._outputs: list[ValueInfoProto] = []
        self._initializers: dict[str, TensorProto] = {}

    def input(self, name: str, kind: str, *shape: int | str) -> str:
        """An input; an axis with a name may have any size."""
        self._inputs.append(helper.make_tensor_value_info(name, TYPES[kind], shape))
        return name

    def output(self, name: str, value: str, kind: str, *shape: int | str) -> None:
        """Make a value an output, under a name of its own."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, TYPES[kind], shape))

    def weight(self, name: str, first: int | None = None, shape: Sequence[int] | None = None) -> str:
        """A tensor of the checkpoint (:meth:`WeightFile.reference`), as float32."""
        proto = self.weights.reference(name, first, shape)
        return self._keep(proto) if proto.data_type == TensorProto.FLOAT else self._widened(proto)

    def constant(self, value: NDArray[Any] | Sequence[int] | int | np.float32) -> str:
        """A small constant; integers are int64. Equal ones are kept once."""
        array = np.asarray(value)
        kind = f"{array.dtype.name}{list(array.shape)}"
        value_name = str(array.ravel().tolist())
        if array.size > _SPELLED_OUT:
            value_name = hashlib.sha256(array.tobytes()).hexdigest()[:16]
        return self._keep(numpy_helper.from_array(array, kind + value_name))

    def op(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """The value of a node with one output."""
        (value,) = self.ops(operator, 1, *inputs, **attributes)
        return value

    def ops(self, operator: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """The values of a node with several."""
        names = [f"{self.name}/{len(self._nodes)}.{n}" for n in range(outputs)]
        self._nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names

    def parts(self, value: str, count: int) -> list[str]:
        """The slices along the first axis."""
        parts = self.ops("Split", count, value, axis=0, num_outputs=count) if count > 1 else [value]
        return [self.op("Squeeze", part, self.constant([0])) for part in parts]

    def stacked(self, values: Sequence[str]) -> str:
        """The inverse of :meth:`parts`."""
        return self.op("Concat", *(self.op("Unsqueeze", value, self.constant([0])) for value in values), axis=0)

    def proto(self) -> GraphProto:
        kept = list(self._initializers.values())
        return helper.make_graph(self._nodes, self.name, self._inputs, self._outputs, kept)

    def model(self, metadata: Mapping[str, str]) -> ModelProto:
        """The finished file."""
        opset = helper.make_opsetid("", OPSET)
        graph = self.proto()
        model = helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION, producer_name="ancestral")
        helper.set_model_props(model, dict(metadata))
        return model

    def _widened(self, proto: TensorProto) -> str:
        """A float16 tensor as float32, by a node of the outermost graph: in a loop's body it would run every time."""
        if self._outer is not None:
            return self._outer._widened(proto)
        name = f"{proto.name}/float32"
        if proto.name not in self._initializers:
            self._nodes.append(helper.make_node("Cast", [self._keep(proto)], [name], to=TensorProto.FLOAT))
        return name

    def _keep(self, proto: TensorProto) -> str:
        if self._outer is not None:
            return self._outer._keep(proto)
        self._initializers.setdefault(proto.name, proto)
        return str(proto.name)
