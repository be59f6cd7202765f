"""The compiled C: every set of instructions gives the integers that numpy gives; what is wrong is refused."""

import shutil
import sys
from contextlib import nullcontext

import numpy as np
import pytest

from ancestral.models import native, native_build
from ancestral.models.native import INTEGER, Function, array
from ancestral.models.noise import uniforms
from tests.models.instructions import EVERY_VARIANT, force

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
    quads = np.ascontiguousarray(levels.astype(np.int8).reshape(-1, 4, outputs).transpose(0, 2, 1))
    offset = (-128 * levels.sum(axis=0)).astype(np.int32)
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


def test_without_a_compiler_it_says_what_to_install(copied, monkeypatch):
    monkeypatch.setattr(native_build, "compiler", lambda: None)
    with pytest.raises(RuntimeError, match="install gcc or clang, or the Python package ziglang"):
        native_build.build(["portable"])


def test_the_compiler_is_that_of_the_environment_then_the_systems_then_zig(monkeypatch):
    monkeypatch.setenv("CC", "clang -m64")
    assert native_build.compiler() == ["clang", "-m64"]
    monkeypatch.delenv("CC")
    monkeypatch.setattr(shutil, "which", {"gcc": "/bin/gcc"}.get)
    assert native_build.compiler() == ["/bin/gcc"]
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(native_build.importlib.util, "find_spec", lambda name: name == "ziglang" or None)
    assert native_build.compiler() == [sys.executable, "-m", "ziglang", "cc"]
