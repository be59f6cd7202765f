"""The logic of the benchmarks: queue waits and capacity, quantiles of metrics, and the rows of every engine."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.capacity import UTTERANCE_SECONDS, Costs, highest_load, plan, waits
from bench.report import quantile, total

COSTS = Costs(0.2, 0.02, 0.001, 40, 20_000, 17_000, 18_000, 0.001, 2e-6)
PAGE = """\
# TYPE wait_seconds histogram
wait_seconds_bucket{priority="a",le="0.1"} 1.0
wait_seconds_bucket{priority="a",le="0.2"} 3.0
wait_seconds_bucket{priority="a",le="+Inf"} 3.0
wait_seconds_bucket{priority="b",le="0.1"} 0.0
wait_seconds_bucket{priority="b",le="0.2"} 0.0
wait_seconds_bucket{priority="b",le="+Inf"} 1.0
wait_seconds_count{priority="a"} 3.0
wait_seconds_count{priority="b"} 1.0
plain 7.0
"""


@pytest.mark.parametrize("sigma", [0.0, 0.5])
def test_queue_wait_of_one_slot_follows_pollaczek_and_khinchine(sigma: float) -> None:
    load = 0.6
    waited = waits(1, load, 400_000, np.random.default_rng(1), sigma)
    square = UTTERANCE_SECONDS**2 * math.exp(sigma**2)
    expected = load / UTTERANCE_SECONDS * square / (2 * (1 - load))
    assert np.mean(waited) == pytest.approx(expected, rel=0.05)
    assert np.mean(waited > 0) == pytest.approx(load, rel=0.02)  # the share of time in which the slot is taken


def test_more_slots_allow_a_higher_load() -> None:
    few, many = (highest_load(slots, np.random.default_rng(2)) for slots in (10, 300))
    assert 0.2 < few < 0.6 < many < 1.0


def test_the_sums_are_right() -> None:
    row = plan(100, COSTS, np.random.default_rng(5))
    assert row.slots == 1000
    assert row.listeners == pytest.approx(row.slots * row.slot_usage, rel=0.01)
    assert row.redis_calls_per_second == pytest.approx(40 * row.listeners)
    capacity = row.api_processes * 2 * 32 * 2e-6
    assert row.redis_cores == pytest.approx(row.listeners * 0.001 + 100 * 0.001 + capacity, rel=0.01)


def test_quantiles_are_those_of_prometheus() -> None:
    assert quantile(PAGE, "wait_seconds", 0.25) == pytest.approx(0.1)
    assert quantile(PAGE, "wait_seconds", 0.5) == pytest.approx(0.15)
    assert quantile(PAGE, "wait_seconds", 1.0) == 0.2
    assert math.isnan(quantile(PAGE, "nothing", 0.5))


def test_totals_are_summed_over_labels() -> None:
    assert (total(PAGE, "wait_seconds_count"), total(PAGE, "plain"), total(PAGE, "nothing")) == (4, 7, 0)
