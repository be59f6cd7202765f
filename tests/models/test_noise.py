"""Noise: Philox and its published vectors, guidance, and the evidence that it leaves for seeds."""

import math

import numpy as np
import pytest

from ancestral.catalog.seeds import keyed_seeds, part_seed, part_seeds
from ancestral_models.audio.shaping import WHITENED_LIMIT, whitened
from ancestral_models.categorical import GUIDED_MIN_P, guide, philox, uniforms
from ancestral_models.detection import Intervals, Waves, log10_p
from ancestral_models.kernels.seed_search import standard_noise

# From Random123's known-answer tests (kat_vectors): counter, key, result.
KNOWN = [
    ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
     (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
]  # fmt: skip


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_published_vectors(counter, key, expected):
    assert tuple(int(word) for word in philox(*map(np.uint64, counter + key))) == expected


def test_a_number_is_the_top_52_bits_of_the_first_two_words_and_depends_on_seed_and_position_alone():
    low, high = KNOWN[0][2][:2]
    assert uniforms(0, 0, 1)[0] == ((high << 32 | low) >> 12) * 2.0**-52 + 2.0**-53
    whole = uniforms(7, 0, 1000)
    assert np.array_equal(whole[300:500], uniforms(7, 300, 200))
    assert not np.intersect1d(whole, uniforms(8, 0, 1000)).size
    # Seeds that share their low word, positions that share theirs.
    assert not np.intersect1d(whole, uniforms(7 + 2**32, 0, 1000)).size
    assert not np.intersect1d(whole, uniforms(7, 2**32, 1000)).size


def test_the_numbers_are_uniform_and_strictly_inside():
    numbers = uniforms(3, 0, 200_000)
    assert numbers.dtype == np.float64
    assert 0.0 < numbers.min() < numbers.max() < 1.0
    counts = np.bincount((numbers * 100).astype(int), minlength=100)
    assert ((counts - 2000) ** 2 / 2000).sum() < 160  # chi-squared of 99 degrees of freedom: p < 1e-4 beyond
    assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.01


RNG = np.random.default_rng(0)
CONDITIONAL, UNCONDITIONAL = 3 * RNG.normal(size=(50, 16)), 3 * RNG.normal(size=(50, 16))


@pytest.mark.parametrize(("guidance", "expected"), [(0.0, UNCONDITIONAL), (1.0, CONDITIONAL)])
def test_guidance_of_0_and_1_gives_the_logits_of_a_pass(guidance, expected):
    np.testing.assert_allclose(guide(CONDITIONAL, UNCONDITIONAL, guidance), expected)


def test_guidance_above_1_leaves_out_what_is_unlikely_under_the_conditions():
    guided = guide(CONDITIONAL, UNCONDITIONAL, 3.0)
    shares = np.exp(CONDITIONAL - CONDITIONAL.max(axis=1, keepdims=True))
    assert np.array_equal(np.isneginf(guided), shares < GUIDED_MIN_P)
    kept = shares >= GUIDED_MIN_P
    np.testing.assert_allclose(guided[kept], (3 * CONDITIONAL - 2 * UNCONDITIONAL)[kept])


def test_guidance_is_that_of_each_row():
    strengths = np.linspace(0.0, 4.0, len(CONDITIONAL))
    guided = guide(CONDITIONAL, UNCONDITIONAL, strengths)
    for row, strength in enumerate(strengths):
        assert np.array_equal(guided[row], guide(CONDITIONAL[row : row + 1], UNCONDITIONAL[row : row + 1], strength)[0])


WRONG = 20_000
RIGHT = 4_711


def sampled(count=60, damaged=0.0, *, neighbours=False):
    """Symbols of random distributions, drawn with the noise of :data:`RIGHT`, some of them replaced."""
    rng = np.random.default_rng(1)
    ends = np.cumsum(rng.dirichlet(np.full(6, 0.3), count), axis=1)
    ends[:, -1] = 1.0
    starts = np.concatenate([np.zeros((count, 1)), ends[:, :-1]], axis=1)
    symbols = (ends <= uniforms(RIGHT, 0, count)[:, None]).sum(axis=1)
    changed = rng.random(count) < damaged
    symbols[changed] = rng.integers(0, 6, changed.sum())
    row = np.arange(count)
    bounds = [np.stack([starts[row, symbols], ends[row, symbols]], axis=1)]
    if neighbours:
        low, high = np.maximum(symbols - 1, 0), np.minimum(symbols + 1, 5)
        bounds.append(np.stack([starts[row, low], ends[row, high]], axis=1))
    return Intervals(row, np.stack(bounds, axis=1))


def wrong_seeds():
    return np.random.default_rng(2).integers(0, 2**53, WRONG).astype(np.uint64)


def check_p_values(bits):
    """Of wrong seeds no more reach a p-value than it says."""
    for p in (0.1, 0.01, 0.001):
        expected = p * WRONG
        assert (bits >= -math.log2(p)).sum() <= expected + 4.0 * math.sqrt(expected)


@pytest.mark.parametrize("damaged", [0.0, 0.3])
@pytest.mark.parametrize("neighbours", [False, True])
def test_wrong_seeds_reach_a_p_value_no_more_often_than_it_says(damaged, neighbours):
    intervals = sampled(12, damaged, neighbours=neighbours)
    bits = np.array([intervals.evidence(int(seed)) for seed in wrong_seeds()])
    assert np.exp2(bits).mean() < 1.2, "an e-value"
    check_p_values(bits)
    assert bits.max() > 3.0, "some come near, or the test says nothing"


def test_the_right_seed_has_all_bits_and_after_damage_most():
    whole, damaged = sampled(), sampled(damaged=0.2)
    bits = float(-np.log2(whole.sizes[:, 0]).sum())
    assert bits - 4.0 < whole.evidence(RIGHT) <= bits
    assert (whole.inside(RIGHT).all(), damaged.inside(RIGHT).all()) == (True, False)
    assert 25.0 < damaged.evidence(RIGHT) < bits
    assert whole.evidence(RIGHT + 1) < 8.0


def test_positions_that_may_not_have_been_used_cost_two_bits_and_bring_many():
    whole = sampled()
    u = uniforms(RIGHT, 60, 1)[0]
    for low, high, gained in ((u, u + 2.0**-10, 9.6), (u + 0.1, u + 0.2, -2.0)):
        more = Intervals(np.arange(61), np.concatenate([whole.bounds, [[[low, min(high, 1.0)]]]]), optional=1)
        assert more.evidence(RIGHT) - whole.evidence(RIGHT) == pytest.approx(gained, abs=0.1)


@pytest.mark.parametrize("damaged", [0.0, 0.2])
def test_a_search_finds_the_right_one_among_many(damaged):
    seeds = np.append(wrong_seeds(), np.uint64(RIGHT))
    assert sampled(damaged=damaged).search(seeds, 3)[0] == WRONG


def excited(noise):
    """Sound whose residual grows with the noise of :data:`RIGHT`, behind a filter, and other noise on it."""
    rng, z = np.random.default_rng(3), standard_noise(RIGHT, 0, 8000)
    sound = np.zeros(8000)
    for t in range(8000):
        sound[t] = 0.02 * z[t] + 1.6 * sound[t - 1] - 0.8 * sound[t - 2] if t > 1 else 0.0
    return sound + noise * sound.std() * rng.normal(size=8000)


def test_noise_in_standard_form_is_that_of_the_positions():
    assert np.allclose(standard_noise(RIGHT, 3, 9), (uniforms(RIGHT, 3, 9) - 0.5) * math.sqrt(12.0), atol=1e-12)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_sound_keeps_its_seed_through_filters_and_noise(noise):
    waves = Waves(whitened(excited(noise), 16000))
    assert np.abs(waves.residual).max() <= WHITENED_LIMIT
    assert waves.evidence(RIGHT, 0, 8000) > 100.0
    seeds = np.append(wrong_seeds(), np.uint64(RIGHT))
    assert waves.search(seeds, 0, 8000, 0.4, 3)[0] == WRONG
    cut = Waves(whitened(excited(noise)[1234:], 16000))
    offset, bits = cut.offsets(RIGHT, 8000)
    assert (offset, bits > 100.0) == (-1234, True)


def test_of_sound_wrong_seeds_reach_a_p_value_no_more_often_than_it_says():
    waves = Waves(whitened(excited(0.0), 16000)[:500])
    bits = np.array([waves.evidence(int(seed), 0, 500) for seed in wrong_seeds()])
    check_p_values(bits)
    assert bits.max() > 8.0


def test_p_values_count_every_trial_and_end_at_1():
    assert log10_p(30.0, 1.0) == pytest.approx(-9.03, abs=0.01)
    assert log10_p(30.0, 2.0**20) == pytest.approx(-3.01, abs=0.01)
    assert log10_p(3.0, 2.0**20) == 0.0


def test_keyed_seeds_are_functions_of_key_and_counter_and_look_random():
    whole = keyed_seeds(b"k" * 32, 0, 10_000)
    assert np.array_equal(whole[37:41], keyed_seeds(b"k" * 32, 37, 4))
    assert not np.isin(whole, keyed_seeds(b"l" * 32, 0, 10_000)).any()
    assert len(np.unique(whole)) == 10_000
    assert int(whole.max()) < 2**53
    assert (whole / 2.0**53).mean() == pytest.approx(0.5, abs=0.02)
    assert [int(seed) for seed in part_seeds(whole[:9], 3)] == [part_seed(int(seed), 3) for seed in whole[:9]]
