"""Parts of the kernels by themselves: products of floats and of rounded rows, functions, sizes with remainders."""

from dataclasses import replace

import numpy as np
import pytest

from ancestral.models.architectures.wavenet import WaveNetSpec
from ancestral.models.arithmetic import exp, product, sigmoid, silu
from ancestral.models.engines.speech.native import NativeEngine
from ancestral.models.engines.speech.torch_engine import TorchEngine
from ancestral.models.kernels.shared import ByteMatrix
from ancestral.models.kernels.wavenet_layout import aligned
from tests.models.instructions import each_variant
from tests.models.random_models import SMALL_SPEC, random_checkpoint, requests

# None of these is a multiple of four or eight: all products have remainders.
ODD_SPEC = WaveNetSpec(
    layers=4, stacks=2, residual_channels=6, gate_channels=10, skip_channels=7, head_channels=9,
    conditioner_channels=11, conditioner_layers=1, speakers=("ann",), local_channels=3, local_hop=10,
)  # fmt: skip


@pytest.mark.parametrize(("inputs", "outputs"), [(8, 16), (13, 33), (3, 1), (1, 20), (40, 200), (19, 1100)])
def test_products_have_the_same_bits_alone_and_among_others_by_all_instructions(inputs, outputs, monkeypatch):
    rng = np.random.default_rng(0)
    x, weights = (rng.standard_normal(shape, np.float32) for shape in ((10, inputs), (inputs, outputs)))
    found = []
    for _ in each_variant(monkeypatch):
        found.append(product(x, weights))
        np.testing.assert_array_equal(np.stack([product(row, weights) for row in x]), found[-1])
        np.testing.assert_array_equal(found[-1], found[0])
    chain = np.zeros((10, outputs), np.float32)
    for i in range(inputs):
        chain += x[:, i, None] * weights[i]
    np.testing.assert_array_equal(found[0], chain, "each product and sum is rounded by itself, in order")


def test_states_have_the_same_bits_alone_and_in_company():
    engine = NativeEngine(random_checkpoint(SMALL_SPEC))
    wanted = [replace(r, length=700 + 50 * i) for i, r in enumerate(requests(SMALL_SPEC, 6, 1000))]
    streams = [engine.open(request) for request in wanted]
    engine.step(streams, 900)
    for request, stream in zip(wanted, streams, strict=True):
        alone = engine.open(request)
        engine.step([alone], 900)
        assert engine.snapshot(stream) == engine.snapshot(alone)


def test_exp_is_exact_to_two_ulp_and_ends_at_700():
    x = np.linspace(-700.0, 700.0, 5001)
    assert (np.abs(exp(x) - np.exp(x)) <= 2 * np.spacing(np.exp(x))).all()
    np.testing.assert_array_equal(exp(np.array([-1e9, 1e9])), exp(np.array([-700.0, 700.0])))


def test_sigmoid_and_silu_keep_the_shape_and_their_argument():
    x = np.linspace(-30, 30, 60, dtype=np.float32).reshape(6, 10)
    exact = 1 / (1 + np.exp(-x.astype(np.float64)))
    np.testing.assert_allclose(sigmoid(x), exact, atol=1e-6)
    np.testing.assert_allclose(silu(x), x * exact, atol=3e-5)
    assert x[0, 0] == -30


def test_sizes_that_divide_by_nothing_are_near_the_oracle():
    checkpoint, wanted = random_checkpoint(ODD_SPEC), requests(ODD_SPEC, 5, 60)
    engines = NativeEngine(checkpoint), TorchEngine(checkpoint, cached=False, precision="fp64")
    for request in wanted:
        symbols = engines[1].step([engines[1].open(request)], 60)[0]
        rounded, exact = (engine.score(symbols, request.frames, request.speaker) for engine in engines)
        assert 0.0 < np.abs(rounded - exact).mean() < 0.1


@pytest.mark.parametrize(("size", "bytes_of_a_page"), [(16_480, 64), (400_000, 2 << 20), (2_000_000, 2 << 20)])
def test_arrays_begin_on_a_line_and_large_ones_on_a_huge_page(size, bytes_of_a_page):
    weights = np.random.default_rng(0).standard_normal(size, np.float32)
    copy = aligned(weights)
    assert copy.ctypes.data % bytes_of_a_page == 0
    assert np.array_equal(copy, weights)


@pytest.mark.parametrize("count", [1, 4, 9])
def test_a_byte_matrix_rounds_each_row_for_itself(count):
    rng = np.random.default_rng(count)
    x, weights = (rng.normal(size=shape).astype(np.float32) for shape in ((count, 20), (20, 48)))
    x *= 10.0 ** np.arange(count, dtype=np.float32)[:, None] / 1e4
    x[0] = 0.0 if count == 9 else x[0]
    matrix = ByteMatrix(weights)
    found = matrix.product(x)
    error, size = np.abs(found - x @ weights), np.abs(x @ weights).max(axis=1)
    assert (error.max(axis=1) <= 0.03 * size).all(), "small rows have as many levels as large ones"
    np.testing.assert_array_equal(np.concatenate([matrix.product(row[None]) for row in x]), found)
    taken = {shape: ByteMatrix.takes(np.zeros(shape, np.float32)) for shape in ((20, 48), (18, 48), (20, 40))}
    assert [*taken.values()] == [True, False, False]
