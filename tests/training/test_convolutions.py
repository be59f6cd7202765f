"""Integer convolutions as products: the same integers, from fewer kinds of nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from ancestral.training.corpora.convolutions import as_products
from ancestral.training.corpora.teachers import session

INPUTS, OUTPUTS = 3, 6


def convolution(taps: int, **attributes: Any) -> Any:
    """A graph with one, of bytes."""
    rng = np.random.default_rng(taps)
    weights = rng.integers(0, 256, (OUTPUTS, INPUTS // attributes.get("group", 1), taps), np.uint8)
    node = helper.make_node("ConvInteger", ["x", "w", "x_zero", "w_zero"], ["y"], "one", **attributes)
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.UINT8, [1, INPUTS, "t"]),
        helper.make_tensor_value_info("x_zero", TensorProto.UINT8, []),
    ]
    constants = [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.array(69, np.uint8), "w_zero")]
    out = helper.make_tensor_value_info("y", TensorProto.INT32, None)
    graph = helper.make_graph([node], "one", inputs, [out], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def computed(model: Any) -> Any:
    x = np.random.default_rng(0).integers(0, 256, (1, INPUTS, 40), np.uint8)
    return session(model).run(None, {"x": x, "x_zero": np.array(131, np.uint8)})[0]


@pytest.mark.parametrize(
    ("taps", "attributes"),
    [
        (1, {}),
        (1, {"pads": [0, 0], "strides": [1], "group": 1, "dilations": [1]}),
        (3, {"pads": [1, 1]}),
        (5, {"pads": [2, 3], "dilations": [1]}),
        (3, {"pads": [5, 5], "dilations": [5]}),
        (2, {"dilations": [4]}),
    ],
)
def test_the_same_integers(taps: int, attributes: dict[str, Any]) -> None:
    model = convolution(taps, **attributes)
    expected = computed(model)
    as_products(model)
    assert "ConvInteger" not in {node.op_type for node in model.graph.node}
    assert not {tensor.name for tensor in model.graph.initializer} & {"w", "w_zero"}, "not used any more"
    found = computed(model)
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("attributes", [{"strides": [2]}, {"group": 3}])
def test_others_stay(attributes: dict[str, Any]) -> None:
    model = convolution(3, **attributes)
    as_products(model)
    assert [node.op_type for node in model.graph.node] == ["ConvInteger"]
