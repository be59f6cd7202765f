"""Pictures in int8: near those of single precision, and the same bits in every company and with all instructions."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numba import njit

from ancestral.models.architectures import architecture
from ancestral.models.engines import load_image_engine
from ancestral.models.engines.images.native import NativeImageEngine
from ancestral.models.kernels.byte_products import (
    ZERO,
    ByteMatrix,
    add_bytes,
    best_instructions,
    gate,
    products,
    round_to_bytes,
)
from ancestral.models.kernels.gemm import LEVELS, Instructions, Precision, pack, unpack
from tests.models.engines.image_oracles import guided, requests
from tests.models.random_models import CLASS, INDEXED, STYLE, checkpoint_of, each_of, tiny

_CONDITIONED = {"attributes": (CLASS, STYLE), "conditioning": "location"}
_SPECS = {
    "grey": tiny(True, 1, features=8, kernel_size=5, **_CONDITIONED),
    "RGB": tiny(True, 3, features=24, **_CONDITIONED),
    "indexed, two scales": tiny(
        True, 1, features=16, height=8, width=12, coarse_layers=2, coarse_features=8, **_CONDITIONED, **INDEXED
    ),
}
_INSTRUCTIONS = [i for i in Instructions if i <= best_instructions()]


@cache
def _engine(spec, precision):
    return NativeImageEngine(checkpoint_of(spec), precision)


@each_of(_SPECS)
def test_a_picture_is_the_same_alone_in_company_by_rows_and_resumed(spec):
    engine = _engine(spec, Precision.INT8)
    assert engine.name == "native-int8"
    for wanted in (requests(engine, 6), guided(engine, 6)):
        whole = engine.draw(wanted)
        assert np.array_equal(engine.draw(wanted[1:2])[0], whole[1]), "alone"
        half = engine.open(replace(wanted[1], given=whole[1][:3]))
        assert np.array_equal(engine.step([half], spec.height)[0], whole[1][3:]), "resumed"
        pictures = [engine.open(request) for request in wanted]
        engine.sample_until(pictures, [1, 4, 2, 3, 0, 1])
        engine.step(pictures, spec.height)
        assert np.array_equal([picture.symbols for picture in pictures], whole), "by rows, at rows of their own"


@each_of(_SPECS)
def test_scores_are_near_those_of_single_precision(spec):
    images = np.random.default_rng(0).integers(0, spec.levels, (5, spec.height, spec.width, spec.channels), np.uint8)
    exact, rounded = (
        engine.score(images, np.stack([engine.embed_labels([n % 3, n % 2]) for n in range(5)]))
        for engine in (_engine(spec, precision) for precision in Precision)
    )
    assert not np.array_equal(exact, rounded)
    assert np.abs(exact - rounded).mean() < 0.02
    assert rounded.mean() == pytest.approx(exact.mean(), abs=0.005)


def test_only_gated_networks_of_whole_vectors_have_int8():
    assert all(load_image_engine("auto", checkpoint_of(spec)).name == "native-int8" for spec in _SPECS.values())
    for spec in (tiny(True, 1, features=6), tiny(False, 1, features=8)):
        assert not architecture(spec.kind).has_int8(spec)
        assert load_image_engine("native", checkpoint_of(spec), "int8").name == "native"


@pytest.mark.parametrize("instructions", _INSTRUCTIONS)
@pytest.mark.parametrize(("inputs", "outputs", "count"), [(4, 16, 1), (20, 48, 3), (64, 112, 9), (960, 128, 32)])
def test_all_instructions_give_the_exact_sums_of_bytes(instructions, inputs, outputs, count):
    rng, stride, chosen = np.random.default_rng(inputs), 4, int(instructions)
    x = rng.integers(0, 256, stride * count + inputs, np.uint8)
    packed = pack(Precision.INT8, rng.normal(size=(inputs, outputs)).astype(np.float32), np.ones(inputs, np.float32))
    begun, units = rng.normal(size=(count, outputs)).astype(np.float32), rng.random(count, np.float32)

    @njit
    def add(sums):
        add_bytes(x, stride, packed, inputs, outputs, sums, count, units, 1, chosen)

    sums = begun.copy()
    add(sums)
    levels, scales, _ = unpack(Precision.INT8, packed, inputs, outputs)
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
    assert unit == np.float32(2 / LEVELS)
    np.testing.assert_allclose((out.astype(np.float32) - ZERO) * unit, x, atol=unit / 2)
    assert round_to_bytes(np.zeros(3, np.float32), 3, out) == 0
    assert out[:3].tolist() == [ZERO] * 3


def test_what_is_compiled_means_the_same_as_what_is_not():
    """Of products of bytes and of numbers that are rounded to bytes, and of gates."""
    rng = np.random.default_rng(1)
    numbers, matrix = rng.normal(size=24).astype(np.float32), rng.normal(size=(8, 32)).astype(np.float32)
    packed = pack(Precision.INT8, matrix, np.ones(8, np.float32))

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
