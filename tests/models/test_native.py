"""The library of compiled kernels: how it is made and loaded, and that every kernel computes what its network does."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from ancestral_models import native, native_build
from ancestral_models.architectures.wavenet import WaveNetSpec
from ancestral_models.arithmetic import exp, product, sigmoid, silu
from ancestral_models.categorical import uniforms
from ancestral_models.engines.speech.native import NativeEngine
from ancestral_models.kernels.shared import ByteMatrix, packed
from ancestral_models.native import INTEGER, Function, array
from tests.models.engines.support import exact_scores
from tests.models.instructions import EVERY_VARIANT, each_variant, force
from tests.models.random_models import SMALL_SPEC, random_checkpoint, requests

# Parts of the kernels by themselves: products of floats and of rounded rows, functions, sizes with remainders.

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


@pytest.mark.parametrize("spec", [ODD_SPEC, SMALL_SPEC], ids=["odd sizes", "S"])
def test_rounded_scores_are_near_the_oracle(spec):
    checkpoint = random_checkpoint(spec)
    engine = NativeEngine(checkpoint)
    for request in requests(spec, 5, 60):
        (symbols,) = engine.step([engine.open(request)], 60)
        rounded = engine.score(symbols, request.frames, request.speaker)
        assert 0.0 < np.abs(rounded - exact_scores(checkpoint, request, symbols)).mean() < 0.1


@pytest.mark.parametrize("count", [1, 4, 9])
def test_a_byte_matrix_rounds_each_row_for_itself(count):
    rng = np.random.default_rng(count)
    x, weights = (rng.normal(size=shape).astype(np.float32) for shape in ((count, 20), (20, 48)))
    x *= 10.0 ** (4.5 * np.arange(count, dtype=np.float32)[:, None]) / 1e4
    x[0] = 0.0 if count == 9 else x[0]
    matrix = ByteMatrix(weights)
    found = matrix.product(x)
    error, size = np.abs(found - x @ weights), np.abs(x @ weights).max(axis=1)
    assert (error.max(axis=1) <= 0.03 * size).all(), "small rows have as many levels as large ones"
    np.testing.assert_array_equal(np.concatenate([matrix.product(row[None]) for row in x]), found)
    assert np.isnan(matrix.product(np.full((2, 20), [[np.inf], [np.nan]]))).all(), "what is no number stays none"
    assert [ByteMatrix.takes(np.zeros(shape)) for shape in ((20, 48), (18, 48), (20, 40))] == [True, False, False]


# The compiled C: every set of instructions gives the integers that numpy gives; what is wrong is refused.

BYTE_PRODUCTS = Function("byte_products", array("i1"), array("i4"), INTEGER, INTEGER, array("i1"), INTEGER, array("i4"))
DRAW = Function("draw_symbols", array("i4"), INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, array("u1"))


@pytest.fixture
def _forced(variant, monkeypatch):
    force(monkeypatch, variant)


@EVERY_VARIANT
@pytest.mark.usefixtures("_forced")
@pytest.mark.parametrize(("inputs", "outputs"), [(32, 32), (64, 96), (32, 160), (96, 224), (256, 512), (2048, 32)])
@pytest.mark.parametrize("extreme", [False, True])
def test_products_of_bytes_are_exact(inputs, outputs, extreme):
    rng, rows = np.random.default_rng(inputs + outputs), 7
    levels, x = rng.integers(-127, 128, (inputs, outputs)), rng.integers(-128, 128, (rows, inputs))
    if extreme:
        levels, x = np.where(levels < 0, -127, 127), np.where(x < 0, -128, 127)
        levels[:, 0], x[0] = 127, -128
    sums = rng.integers(-(2**20), 2**20, (rows, outputs)).astype(np.int32)
    expected = sums + x @ levels
    offset, quads = packed(levels)
    BYTE_PRODUCTS(quads, offset, inputs, outputs, x.astype(np.int8), rows, sums)
    np.testing.assert_array_equal(sums, expected)


def shares_of(logits, inverse, least):
    """The shares of draw.h in numpy's integers."""
    scaled = np.minimum((logits.max(axis=1, keepdims=True) - logits).astype(np.int64), (23 << 24) // inverse + 1)
    scaled = np.minimum(scaled * inverse >> 12, 23 << 12)
    fraction, power = scaled & 4095, np.int64(-10385)
    for coefficient in (60597, -181296, 262144):
        power = (power * fraction >> 12) + coefficient
    shares = power << 4 >> (scaled >> 12)
    return np.where(shares >= least, shares, 0)


@EVERY_VARIANT
@pytest.mark.usefixtures("_forced")
@pytest.mark.parametrize("count", [16, 256])
@pytest.mark.parametrize(
    ("inverse", "least"), [(4096, 0), (5851, 419430), (1, 0), (1 << 30, 0), (4096, 1 << 22)],
    ids=["1", "0.7, min-p 0.1", "hottest", "coldest", "min-p 1"],
)  # fmt: skip
def test_draws_are_those_of_the_shares_and_the_noise(count, inverse, least):
    rng, rows, seed, position = np.random.default_rng(count), 500, 2**62 + 12345, 2**33 - 7
    logits = (rng.standard_normal((rows, count)) * 3 * 4096).astype(np.int32)
    logits[0], logits[1, 3:] = 5, -(2**28)
    found = np.empty(rows, np.uint8)
    DRAW(logits, rows, count, inverse, least, seed, position, found)
    cumulative = shares_of(logits, inverse, least).cumsum(axis=1)
    words = (uniforms(seed, position, rows) * 2**32).astype(np.uint64).astype(np.int64)
    targets = cumulative[:, -1] * words >> 32
    np.testing.assert_array_equal(found, (cumulative <= targets[:, None]).sum(axis=1))


@EVERY_VARIANT
@pytest.mark.usefixtures("_forced")
def test_without_noise_the_first_of_the_most_likely_symbols_is_drawn():
    logits = np.full((3, 256), -9, np.int32)
    logits[0, [7, 200]], logits[1, 255] = 5, 0
    found = np.empty(3, np.uint8)
    DRAW(logits, 3, 256, 0, 0, 1, 0, found)
    assert found.tolist() == [7, 255, 0]


def test_shares_are_probabilities_within_a_thousandth():
    logits = np.arange(-70000, 1).astype(np.int32)[None]
    exact = 2.0 ** (logits / 4096)
    np.testing.assert_allclose(shares_of(logits, 4096, 0) / 2**22, exact, rtol=1e-3, atol=2**-22)


def test_arrays_of_another_kind_are_refused():
    good = np.zeros(64, np.int32)
    for wrong in (good.astype(np.int64), good[::2], good.tolist()):
        with pytest.raises((TypeError, native.ctypes.ArgumentError)):
            DRAW(wrong, 2, 16, 4096, 0, 0, 0, np.empty(2, np.uint8))


def test_the_variants_of_a_processor_end_with_the_portable_one_and_others_are_refused(monkeypatch):
    assert native_build.variants()[-1] == "portable"
    find = native.instructions.__wrapped__
    monkeypatch.delenv("NATIVE_INSTRUCTIONS", raising=False)
    assert find() == native_build.variants()[0]
    monkeypatch.setenv("NATIVE_INSTRUCTIONS", "altivec")
    with pytest.raises(ValueError, match=r"^NATIVE_INSTRUCTIONS: 'altivec' is none of .*portable$"):
        find()


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """The sources in a folder without libraries."""
    for file in [*native_build.SOURCES.glob("*.c"), *native_build.SOURCES.glob("*.h")]:
        shutil.copy(file, tmp_path)
    monkeypatch.setattr(native_build, "SOURCES", tmp_path)
    monkeypatch.delenv("NATIVE_LIBRARIES", raising=False)
    native_build.digest.cache_clear()
    yield tmp_path
    native_build.digest.cache_clear()


def test_a_library_is_compiled_once_for_its_sources(copied, monkeypatch):
    for file in copied.glob("*.c"):
        if file.name != "common.c":
            file.unlink()
    native_build.build(["portable"])
    first = native_build.path("portable")
    assert [*copied.glob("lib/*.so")] == [first]
    monkeypatch.setenv("CC", "false")
    native_build.build(["portable"])
    monkeypatch.delenv("CC")
    source = (copied / "common.c").read_text()
    for text, failure in (("#error not C\n", "not C"), (source + "\n", "")):
        (copied / "common.c").write_text(text)
        native_build.digest.cache_clear()
        with pytest.raises(RuntimeError, match=failure) if failure else nullcontext():
            native_build.build(["portable"])
        assert first.exists() == bool(failure), "what is there stays until there is a new one"
    assert [*copied.glob("lib/*.so")] == [native_build.path("portable")]
