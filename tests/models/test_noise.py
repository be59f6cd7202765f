"""Philox4x32-10 against the published vectors, and the numbers made of it."""

import numpy as np
import pytest
from numba import njit

from ancestral.models.kernels.noise import uniform
from ancestral.models.noise import philox, uniforms

# From Random123's known-answer tests (kat_vectors): counter, key, result.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@njit
def compiled(seed, start, count):
    out = np.empty(count)
    for i in range(count):
        out[i] = uniform(seed, start + i)
    return out


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_published_vectors(counter, key, expected):
    assert tuple(int(word) for word in philox(*map(np.uint64, counter + key))) == expected


def test_the_number_is_the_top_52_bits_of_the_first_two_words():
    low, high = KNOWN[0][2][:2]
    assert uniforms(0, 0, 1)[0] == ((high << 32 | low) >> 12) * 2.0**-52 + 2.0**-53


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 + 5, 2**63 - 1])
@pytest.mark.parametrize("start", [0, 2**32 - 50, 2**40])
def test_compiled_and_numpy_agree_bit_for_bit(seed, start):
    assert np.array_equal(compiled(seed, start, 100), uniforms(seed, start, 100))
    assert uniform.py_func(seed, start) == uniforms(seed, start, 1)[0]


def test_a_number_depends_on_its_seed_and_position_alone():
    whole = uniforms(7, 0, 1000)
    assert np.array_equal(whole[300:500], uniforms(7, 300, 200))
    assert not np.intersect1d(whole, uniforms(8, 0, 1000)).size
    # Seeds that share their low word, positions that share theirs.
    assert not np.intersect1d(whole, uniforms(7 + 2**32, 0, 1000)).size
    assert not np.intersect1d(whole, uniforms(7, 2**32, 1000)).size


def test_the_numbers_are_uniform_and_strictly_inside():
    numbers = uniforms(3, 0, 200_000)
    assert numbers.dtype == np.float64
    assert numbers.min() > 0.0
    assert numbers.max() < 1.0
    counts = np.bincount((numbers * 100).astype(int), minlength=100)
    assert ((counts - 2000) ** 2 / 2000).sum() < 160  # chi-squared of 99 degrees of freedom: p < 1e-4 beyond
    assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.01
