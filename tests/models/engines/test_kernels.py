"""The compiled parts by themselves: products with remainders, the draw, the cache on disk, the same loop uncompiled."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from numba import njit

from ancestral.models import categorical
from ancestral.models.architectures.wavenet import WaveNetSpec
from ancestral.models.checkpoint import save
from ancestral.models.engines.speech.native import NativeEngine
from ancestral.models.engines.speech.torch_engine import TorchEngine
from ancestral.models.kernels import gemm
from ancestral.models.kernels.block_draw import block_draw
from ancestral.models.kernels.byte_products import ZERO, ByteMatrix, add_bytes, gate, products, round_to_bytes
from ancestral.models.kernels.categorical import draw, exp, log_likelihood, most_likely
from ancestral.models.kernels.gemm import interpreted
from ancestral.models.kernels.wavenet_layout import Layout, aligned
from ancestral.models.noise import uniforms
from ancestral.models.portable import add_to_each, add_to_one
from tests.models.random_models import SMALL_SPEC, random_checkpoint, requests

# None of these is a multiple of four or eight: all products have remainders.
ODD_SPEC = WaveNetSpec(
    layers=4, stacks=2, residual_channels=6, gate_channels=10, skip_channels=7, head_channels=9,
    conditioner_channels=11, conditioner_layers=1, speakers=("ann",), local_channels=3, local_hop=10,
)  # fmt: skip


def run(program, **environment):
    """The lines that a fresh Python process prints."""
    line, environment = [sys.executable, "-c", program], os.environ | environment
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def multiplied(x, packed, sums, precision, ways):
    """Add the products of every row of ``x`` with a packed matrix that begins at word 3."""
    inputs, outputs, lanes, kept, way = x.shape[1], sums.shape[1], len(x), int(precision), int(ways)

    @njit(error_model="numpy")
    def multiply(x, weights, sums):
        gemm.add_products(x, weights, 3, inputs, outputs, sums, lanes, kept, way)

    multiply(x, np.concatenate([np.full(3, np.nan, np.float32), packed]), sums)


@pytest.mark.parametrize("precision", gemm.Precision)
@pytest.mark.parametrize(("inputs", "outputs"), [pytest.param(32, 160, marks=pytest.mark.slow), (16, 16)])
def test_a_product_has_the_same_bits_in_any_company_by_any_instructions(inputs, outputs, precision):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, inputs), np.float32)
    x[2] = 0.0
    x[3] *= 1e4
    matrix = rng.standard_normal((inputs, outputs), np.float32)
    matrix[:, 5] = 0.0
    packed = gemm.pack(precision, matrix, rng.uniform(0.01, 0.03, inputs).astype(np.float32))
    assert len(packed) == gemm.words(precision, inputs, outputs)
    start = rng.standard_normal((4, outputs), np.float32)
    together, expected = start.copy(), start.copy()
    multiplied(x, packed, together, precision, gemm.best_instructions())
    int8, best = precision is gemm.Precision.INT8, gemm.best_instructions()
    for way, company in product([way for way in gemm.Instructions if way <= best] if int8 else [best], (1, 2, 4)):
        again = start.copy()
        for first in range(0, 4, company):
            rows = slice(first, first + company)
            multiplied(x[rows], packed, again[rows], precision, way)
        np.testing.assert_array_equal(again, together)
    interpreted(x, packed, 0, inputs, outputs, expected, 4, precision, 0)
    np.testing.assert_allclose(together, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(("precision", "error"), [(gemm.Precision.FP32, 0.0), (gemm.Precision.INT8, 0.5 / 127)])
def test_packed_weights_are_within_half_a_step(precision, error):
    matrix = np.random.default_rng(0).standard_normal((64, 32), np.float32)
    matrix[:, 3] = 0.0
    units = np.random.default_rng(1).uniform(0.01, 0.03, 64).astype(np.float32)
    levels, scales, inverse = gemm.unpack(precision, gemm.pack(precision, matrix, units), 64, 32)
    int8 = precision is gemm.Precision.INT8
    exact = matrix * units[:, None] if int8 else matrix
    scale = np.abs(exact).max(axis=0)
    assert (np.abs(levels * scales - exact) <= error * scale * (1 + 1e-5)).all()
    np.testing.assert_allclose(inverse, 1 / units if int8 else 1.0)


@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(8, 16, 8), (13, 33, 5), (3, 1, 7), (1, 20, 1)])
def test_windows_have_the_same_bits_alone_and_among_four(inputs, outputs, stride):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(9 * stride + inputs, np.float32)
    weights = rng.standard_normal(inputs * outputs, np.float32)
    together = rng.standard_normal((10, outputs), np.float32)
    single, exact = together.copy(), together.astype(np.float64)
    add_to_each(x, stride, weights, inputs, outputs, together, 10)
    for n in range(10):
        window = x[n * stride :][:inputs]
        exact[n] += window.astype(np.float64) @ weights.reshape(inputs, outputs)
        add_to_one(window, weights, inputs, outputs, single[n])
    assert np.array_equal(single, together)
    np.testing.assert_allclose(together, exact, rtol=1e-5, atol=1e-5)


def test_states_have_the_same_bits_alone_and_in_company():
    engine = NativeEngine(random_checkpoint(SMALL_SPEC))
    wanted = [replace(r, length=700 + 50 * i) for i, r in enumerate(requests(SMALL_SPEC, 6, 1000))]
    streams = [engine.open(request) for request in wanted]
    engine.step(streams, 900)
    for request, stream in zip(wanted, streams, strict=True):
        alone = engine.open(request)
        engine.step([alone], 900)
        assert engine.snapshot(stream) == engine.snapshot(alone)


def test_exp_is_exact_to_two_ulp():
    x = np.linspace(-700.0, 0.0, 5001)
    ours = np.array([exp.py_func(np.float64(value)) for value in x])
    assert (np.abs(ours - np.exp(x)) <= 2 * np.spacing(np.exp(x))).all()


@njit
def drawn(logits, temperature, noise, min_p=0.0):
    cumulative = np.empty(256)
    return [draw(logits, temperature, min_p, u, cumulative) for u in noise]


@pytest.mark.parametrize("temperature", [0.01, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0, 3000.0])
@pytest.mark.parametrize("min_p", [0.0, 0.03, 0.7])
def test_the_compiled_draw_is_that_of_numpy(temperature, scale, min_p):
    logits = (np.random.default_rng(1).standard_normal(256) * scale).astype(np.float32)
    noise = np.concatenate([uniforms(9, 0, 500), [2.0**-53, 1.0 - 2.0**-53]])
    rows = np.tile(logits, (len(noise), 1))
    assert drawn(logits, temperature, noise, min_p) == categorical.draw(rows, temperature, noise, min_p).tolist()


@njit
def _drawn_by_blocks(rows, factor, min_p, noise, out):
    for i in range(len(noise)):
        out[i] = block_draw(rows, i % len(rows), factor, min_p, np.float32(noise[i]))


@pytest.mark.parametrize("temperature", [0.2, 0.7, 1.0, 3.0])
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0])
@pytest.mark.parametrize("min_p", [0.0, 0.03, 0.7])
def test_a_draw_by_blocks_is_the_first_symbol_above_the_noise(temperature, scale, min_p):
    rows = (np.random.default_rng(2).standard_normal((3, 256)) * scale).astype(np.float32)
    noise = np.concatenate([uniforms(9, 0, 1200), [0.0, 2.0**-60, 1.0 - 2.0**-30, 1.0]])
    symbols = np.empty(len(noise), np.int64)
    _drawn_by_blocks(rows, np.float32(np.log2(np.e) / temperature), np.float32(min_p), noise, symbols)
    shares = np.exp((rows.astype(np.float64) - rows.max(axis=1, keepdims=True)) / temperature)
    kept = np.where(shares >= min_p, shares, 0.0)
    cumulative = np.cumsum(kept, axis=1) / kept.sum(axis=1, keepdims=True)
    row = np.arange(len(noise)) % len(rows)
    before = np.where(symbols > 0, cumulative[row, symbols - 1], 0.0)
    assert (shares[row, symbols] >= min_p * (1 - 1e-5)).all()
    assert (before - 3e-6 <= noise).all()
    assert (noise <= cumulative[row, symbols] + 3e-6).all()


def test_the_draw_follows_the_distribution():
    logits = np.full(256, -np.inf, np.float32)
    logits[[3, 200]] = np.log([0.25, 0.75])
    symbols = np.array(drawn(logits, 1.0, uniforms(0, 0, 20_000)))
    assert set(symbols) == {3, 200}
    assert abs((symbols == 3).mean() - 0.25) < 0.01


def test_of_equal_logits_the_lowest_is_the_most_likely_and_likelihoods_sum_to_one():
    logits = np.zeros(256, np.float32)
    logits[[7, 90]] = 1.0
    assert most_likely.py_func(logits) == 7
    assert drawn(logits, 0.0, np.array([0.5])) == [7] == categorical.draw(logits[None], 0.0, np.array([0.5])).tolist()
    logits = np.random.default_rng(2).standard_normal(256).astype(np.float32) * 5
    nats = [log_likelihood.py_func(logits, symbol, np.empty(256)) for symbol in range(256)]
    assert np.exp(nats).sum() == pytest.approx(1.0, abs=1e-12)


def test_sizes_that_divide_by_nothing_equal_the_oracle():
    checkpoint, wanted = random_checkpoint(ODD_SPEC), requests(ODD_SPEC, 5, 60)
    engines = NativeEngine(checkpoint), TorchEngine(checkpoint, cached=False, precision="fp64")
    assert np.array_equal(*(engine.step([engine.open(r) for r in wanted], 60) for engine in engines))
    layout = Layout.of(ODD_SPEC)
    end = layout.condition_at + layout.layers * layout.gate * (1 + layout.condition)
    assert len(layout.pack(checkpoint.tensors)) == end, "the packed weights end where the layout says"


@pytest.mark.parametrize(("size", "bytes_of_a_page"), [(16_480, 64), (400_000, 2 << 20), (2_000_000, 2 << 20)])
def test_arrays_begin_on_a_line_and_large_ones_on_a_huge_page(size, bytes_of_a_page):
    weights = np.random.default_rng(0).standard_normal(size, np.float32)
    copy = aligned(weights)
    assert copy.ctypes.data % bytes_of_a_page == 0
    assert np.array_equal(copy, weights)


@pytest.mark.parametrize(
    "precision", [pytest.param(p, marks=() if p is gemm.Precision.FP32 else pytest.mark.slow) for p in gemm.Precision]
)
def test_a_fresh_process_loads_the_kernels_and_not_torch(precision, tmp_path):
    checkpoint = random_checkpoint(ODD_SPEC)
    NativeEngine(checkpoint, precision)  # compiles, unless a run before this one did
    save(tmp_path / "model", ODD_SPEC, checkpoint.tensors, "")
    (line,) = run(f"""
import json, sys
from pathlib import Path
from ancestral.models.checkpoint import load
from ancestral.models.engines import load_engine
from ancestral.models.kernels.wavenet_layout import Layout
from ancestral.models.kernels.gemm import Precision, best_instructions
from ancestral.models.kernels.wavenet import sampler
from ancestral.models.engines.speech.native import NativeEngine
checkpoint, precision = load(Path({str(tmp_path / "model")!r})), Precision({int(precision)})
load_engine("auto", checkpoint, precision.name.lower())
layout = Layout.of(checkpoint.spec, precision)
stats = [sampler(layout, lanes, best_instructions()).stats for lanes in NativeEngine.widths]
print(json.dumps([sum(s.cache_misses.values()) for s in stats] + ["torch" in sys.modules]))
""")
    assert json.loads(line) == [0] * 3 + [False]


@pytest.mark.slow
def test_the_loop_means_the_same_without_a_compiler():
    """The Python that numba compiles, interpreted: nothing in it leans on what only the compiler does."""
    program = """
import json
import numpy as np
from ancestral.models.engines.speech.native import NativeEngine
from tests.models.engines.test_kernels import ODD_SPEC
from tests.models.random_models import random_checkpoint, requests
engine = NativeEngine(random_checkpoint(ODD_SPEC))
wanted = requests(ODD_SPEC, 2, 25)
symbols = [engine.step([engine.open(r)], 25)[0].tolist() for r in wanted]
together = [made.tolist() for made in engine.step([engine.open(r) for r in wanted], 5)]
scores = engine.score(np.arange(20, dtype=np.uint8), wanted[0].frames, 0).tolist()
print(json.dumps([symbols, together, scores]))
"""
    compiled, interpreted = (json.loads(run(program, NUMBA_DISABLE_JIT=flag)[-1]) for flag in ("0", "1"))
    assert compiled[:2] == interpreted[:2]
    np.testing.assert_allclose(compiled[2], interpreted[2], rtol=1e-5)


@pytest.mark.parametrize("instructions", [i for i in gemm.Instructions if i <= gemm.best_instructions()])
@pytest.mark.parametrize(("inputs", "outputs", "count"), [(4, 16, 1), (20, 48, 3), (64, 112, 9), (960, 128, 32)])
def test_all_instructions_give_the_exact_sums_of_bytes(instructions, inputs, outputs, count):
    rng, stride, chosen = np.random.default_rng(inputs), 4, int(instructions)
    x = rng.integers(0, 256, stride * count + inputs, np.uint8)
    matrix = rng.normal(size=(inputs, outputs)).astype(np.float32)
    packed = gemm.pack(gemm.Precision.INT8, matrix, np.ones(inputs, np.float32))
    begun, units = rng.normal(size=(count, outputs)).astype(np.float32), rng.random(count, np.float32)

    @njit
    def add(sums):
        add_bytes(x, stride, packed, inputs, outputs, sums, count, units, 1, chosen)

    sums = begun.copy()
    add(sums)
    levels, scales, _ = gemm.unpack(gemm.Precision.INT8, packed, inputs, outputs)
    windows = np.stack([x[n * stride : n * stride + inputs] for n in range(count)]).astype(np.float64) - ZERO
    # One rounding of a scale, one of the fused product and sum.
    exact = begun + (windows @ levels.astype(np.float64)) * (scales * units[:, None]).astype(np.float64)
    np.testing.assert_array_equal(sums, exact.astype(np.float32))


@pytest.mark.parametrize("count", [1, 4, 9])
def test_a_byte_matrix_rounds_each_row_for_itself(count):
    rng = np.random.default_rng(count)
    x, weights = (rng.normal(size=shape).astype(np.float32) for shape in ((count, 20), (20, 48)))
    x *= 10.0 ** np.arange(count, dtype=np.float32)[:, None] / 1e4
    matrix = ByteMatrix(weights)
    found = matrix.product(x)
    error, size = np.abs(found - x @ weights), np.abs(x @ weights).max(axis=1)
    assert (error.max(axis=1) < 0.03 * size).all(), "small rows have as many levels as large ones"
    np.testing.assert_array_equal(np.concatenate([matrix.product(row[None]) for row in x]), found)
    taken = {shape: ByteMatrix.takes(np.zeros(shape, np.float32)) for shape in ((20, 48), (18, 48), (20, 40))}
    assert [*taken.values()] == [True, False, False]


def test_numbers_are_rounded_to_bytes_of_the_largest():
    x, out = np.array([-2.0, -1.0, 0.0, 0.3, 1.999], np.float32), np.empty(5, np.uint8)
    unit = round_to_bytes(x, 5, out)
    assert unit == np.float32(2 / gemm.LEVELS)
    np.testing.assert_allclose((out.astype(np.float32) - ZERO) * unit, x, atol=unit / 2)
    assert round_to_bytes(np.zeros(3, np.float32), 3, out) == 0
    assert out[:3].tolist() == [ZERO] * 3


def test_what_is_compiled_means_the_same_as_what_is_not():
    """Of products of bytes and of numbers that are rounded to bytes, and of gates."""
    rng = np.random.default_rng(1)
    numbers, matrix = rng.normal(size=24).astype(np.float32), rng.normal(size=(8, 32)).astype(np.float32)
    packed = gemm.pack(gemm.Precision.INT8, matrix, np.ones(8, np.float32))

    def use(x, like, sums):
        return products(x, 8, packed, 8, 32, sums, 3, like)

    for x in (numbers, rng.integers(0, 256, 24, np.uint8)):
        sums = [np.ones((3, 32), np.float32) for _ in range(2)]
        read = [call(x, np.empty(0, np.uint8), own) for call, own in zip((use, njit(use)), sums, strict=True)]
        assert read == [len(packed)] * 2
        np.testing.assert_allclose(*sums, rtol=1e-5, atol=1e-5)

    def through(out):
        gate(numbers, numbers[12:], out, 12)

    gated = [np.empty(12, np.uint8) for _ in range(2)]
    through(gated[0])
    njit(through)(gated[1])
    assert np.abs(gated[0].astype(int) - gated[1]).max() <= 1
