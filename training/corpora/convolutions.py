"""The integer convolutions of an ONNX graph as products of matrices, for processors that multiply bytes fast.

onnxruntime multiplies unsigned bytes by signed ones with AMX or VNNI, but only in MatMulInteger; its ConvInteger takes
three quarters of the time of a vocoder of int8. The sums are the same integers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_OFFSET = 128
"""Difference between an unsigned byte and the signed one that stands for it."""


def as_products(model: Any) -> None:
    """Replace, in place, every one-dimensional ConvInteger of one group and stride 1 whose weights are constant."""
    from onnx import helper, numpy_helper

    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        weights = constants.get(node.input[1]) if node.op_type == "ConvInteger" else None
        options = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        one = options.get("group", 1) == 1 and options.get("strides", [1]) == [1]
        if weights is None or len(weights.dims) != 3 or not one:
            nodes.append(node)
            continue
        signed = _signed(numpy_helper.to_array(weights)), _signed(numpy_helper.to_array(constants[node.input[3]]))
        nodes += _product(graph, node, *signed, options)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    for field, items in ((graph.node, nodes), (graph.initializer, kept)):
        del field[:]
        field.extend(items)


def _signed(weights: NDArray[Any]) -> NDArray[np.int8]:
    """Unsigned bytes, or their zero point, with the same differences."""
    assert weights.dtype == np.uint8, weights.dtype
    return (weights.astype(np.int16) - _OFFSET).astype(np.int8)


def _product(
    graph: Any, node: Any, weights: NDArray[np.int8], zero: NDArray[np.int8], options: dict[str, Any]
) -> list[Any]:
    """The nodes for one convolution: the taps ``[B, T, C]`` of the padded input beside each other, times
    ``[taps * C, C']``."""
    from onnx import helper, numpy_helper

    name: str = node.output[0]
    outputs, inputs, taps = weights.shape
    nodes = list[Any]()

    def constant(suffix: str, array: NDArray[Any]) -> str:
        graph.initializer.append(numpy_helper.from_array(array, name + suffix))
        return name + suffix

    def add(kind: str, given: list[str], suffix: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, given, [name + suffix], **attributes))
        return name + suffix

    before, after = options.get("pads", [0, 0])
    rows = add("Transpose", [node.input[0]], "/rows", perm=[0, 2, 1])
    pads = constant("/pads", np.array([0, before, 0, 0, after, 0]))
    padded = add("Pad", [rows, pads, node.input[2]], "/padded")
    span = options.get("dilations", [1])[0] * (taps - 1)
    axis, parts = constant("/axis", np.array([1])), list[str]()
    for tap in range(taps):
        begin = span // max(taps - 1, 1) * tap
        end = begin - span or np.iinfo(np.int64).max
        edges = [constant(f"/{which}{tap}", np.array([at])) for which, at in (("begin", begin), ("end", end))]
        parts.append(add("Slice", [padded, *edges, axis], f"/tap{tap}"))
    beside = add("Concat", parts, "/taps", axis=2)
    matrix = constant("/matrix", np.ascontiguousarray(weights.transpose(2, 1, 0).reshape(taps * inputs, outputs)))
    product = add("MatMulInteger", [beside, matrix, node.input[2], constant("/zero", zero)], "/product")
    add("Transpose", [product], "", perm=[0, 2, 1])
    return nodes
