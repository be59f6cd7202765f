"""What depends on what in a PixelRNN, proved by gradient for every mask, LSTM and depth; the recurrence."""

import re

import pytest
import torch

from ancestral.models.architectures.pixelrnn import PixelRNNSpec
from ancestral.models.networks.recurrence import diagonal_order, row_order, scan
from ancestral.models.spec import COARSE, SpecError
from tests.models.networks.support import reached
from tests.models.random_models import EVERY_RNN, given_of, network, tiny_rnn

POSITIONS = ((0, 0), (0, 8), (3, 0), (3, 4), (3, 8), (6, 1), (6, 5), (2, 2), (6, 6))


def field(spec, place):
    """All that a distribution depends on; in two scales, all coarse pixels, which depend on each other only."""
    if spec.coarse is None:
        return field_of_one_scale(spec, place)
    start, stride = COARSE.start, COARSE.step
    every = range(spec.channels)
    coarse = {(y, x, c) for y in range(spec.height)[COARSE] for x in range(spec.width)[COARSE] for c in every}
    if place not in coarse:
        return field_of_one_scale(spec, place) | coarse
    row, column, channel = place
    inner = field_of_one_scale(spec.coarse, ((row - start) // stride, (column - start) // stride, channel))
    return {(start + stride * y, start + stride * x, c) for y, x, c in inner}


def field_of_one_scale(spec, place):
    """The same without coarse pixels.

    Diagonal BiLSTM: all of left and above. Row LSTM: a triangle, whose sides are k // 2 wider in every row further up,
    and which each layer moves k // 2 further to the left; the first convolution adds half of its size.
    """
    row, column, _ = place
    found = set()
    first, half = spec.first_kernel_size // 2, spec.kernel_size // 2
    for y in range(row + 1):
        up = row - y
        left, right = 0, column if up == 0 else spec.width - 1
        if spec.lstm == "row":
            left = max(column - first - half * (spec.layers + up), 0)
            right = min(right, column + first + half * (up - 1)) if up else column
        found |= {(y, x, c) for x in range(left, right + 1) for c in range(spec.channels)}
    return {(y, x, c) for y, x, c in found if (y, x, c) < place}


@EVERY_RNN
def test_a_distribution_depends_on_its_whole_field_and_on_nothing_else(spec):
    for row, column in POSITIONS:
        for channel in range(spec.channels):
            place = (row, column, channel)
            assert reached(spec, place) == field(spec, place), place


@pytest.mark.parametrize("lstm", ["row", "diagonal"])
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_the_field_is_the_triangle_or_all_of_left_and_above_at_every_depth(lstm, layers):
    spec = tiny_rnn(lstm, 1, height=6, width=17, layers=layers, first_kernel_size=3)
    for place in ((0, 16, 0), (5, 0, 0), (5, 8, 0), (5, 16, 0)):
        assert reached(spec, place) == field(spec, place)
    assert (len(field(spec, (5, 8, 0))) == 5 * 17 + 8) == (lstm == "diagonal")


ORDERS = {
    "row of 3": (row_order(5, 6, 3), 1),
    "row of 5, narrow": (row_order(4, 2, 5), 1),
    "one row": (row_order(1, 6, 3), 1),
    "diagonal, wide": (diagonal_order(4, 6), 2),
    "diagonal, high": (diagonal_order(6, 3), 2),
    "one column": (diagonal_order(5, 1), 2),
}


@pytest.mark.parametrize(("order", "directions"), ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("features", [1, 5, 16])
def test_the_compiled_recurrence_and_its_gradient_are_those_of_autograd(order, directions, features):
    torch.manual_seed(0)
    positions, taps = order.before.shape
    z = torch.randn(positions, 3, directions * 4 * features, dtype=torch.float64)
    weights = torch.randn(directions, taps * features, 4 * features, dtype=torch.float64) / features**0.5
    into = torch.randn(positions, 3, features, dtype=torch.float64)
    found = []
    for dtype in (torch.float64, torch.float32):
        inputs = [tensor.to(dtype).requires_grad_() for tensor in (z, weights)]
        outputs = scan(*inputs, order)
        assert outputs.dtype == dtype
        found.append([outputs, *torch.autograd.grad(outputs, inputs, into.to(dtype))])
        for tensor, given in zip(inputs, (z, weights), strict=True):
            torch.testing.assert_close(tensor, given.to(dtype), rtol=0.0, atol=0.0, msg="an input was overwritten")
    for exact, fast in zip(*found, strict=True):
        torch.testing.assert_close(fast.double(), exact, rtol=1e-4, atol=1e-5)


def test_the_gradient_of_autograd_is_that_of_finite_differences():
    order = diagonal_order(3, 4)
    z = torch.randn(12, 2, 16, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, 4, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: scan(a, b, order), (z, weights))


@EVERY_RNN
def test_single_precision_gives_the_gradients_of_double_precision(spec):
    """The whole network: bits within 1e-5, gradients within a thousandth of the largest."""
    symbols, labels = torch.randint(0, spec.levels, (4, spec.height, spec.width, spec.channels)), given_of(spec, 4)
    found = []
    for dtype in (torch.float64, torch.float32):
        model = network(spec).to(dtype).requires_grad_(True)
        logits = model(symbols, labels).flatten(0, 3)
        loss = torch.nn.functional.cross_entropy(logits, symbols.flatten())
        found.append((loss, torch.autograd.grad(loss, [*model.parameters()])))
    torch.testing.assert_close(found[1][0].double(), found[0][0], rtol=1e-5, atol=1e-6)
    for exact, fast in zip(found[0][1], found[1][1], strict=True):
        assert (fast.double() - exact).abs().max() <= 1e-3 * exact.abs().max()


@pytest.mark.parametrize(
    ("changes", "field_name"),
    [
        ({"lstm": "column"}, "lstm"),
        ({"layers": 0}, "layers"),
        ({"features": 2}, "features"),
        ({"output_features": 2}, "output_features"),
        ({"kernel_size": 4}, "kernel_size"),
        ({"first_kernel_size": 1}, "first_kernel_size"),
        ({"skip_connections": 1}, "skip_connections"),
        ({"conditioning": "location"}, "conditioning"),
        ({"conditioning": "class"}, "conditioning"),
        ({"levels": 16}, "levels"),
        ({"coarse_layers": -1}, "coarse_layers"),
        ({"coarse_layers": 2, "height": 30}, "coarse_layers"),
        ({"coarse_layers": 2, "coarse_features": 2}, "coarse_features"),
        ({"coarse_layers": 2, "coarse_channels": 0}, "coarse_channels"),
    ],
)
def test_an_impossible_spec_is_refused_by_its_field(changes, field_name):
    with pytest.raises(SpecError, match=rf"^{re.escape(field_name)}:"):
        PixelRNNSpec.from_json(PixelRNNSpec().to_json() | changes)
