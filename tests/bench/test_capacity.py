"""The capacity model: simulated queue waits agree with queueing theory, and the sums are right."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from bench.capacity import MAY_WAIT, UTTERANCE_SECONDS, WAIT_SECONDS, Costs, breaking_point, highest_load, plan, waits

COSTS = Costs(0.2, 0.02, 0.001, 40, 20_000, 17_000, 18_000, 0.001, 2e-6)


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


def test_at_the_highest_load_few_requests_wait() -> None:
    load = highest_load(30, np.random.default_rng(3))
    again = waits(30, load, 100_000, np.random.default_rng(4))
    assert np.mean(again > WAIT_SECONDS) < 2 * MAY_WAIT
    fuller = waits(30, min(0.99, load + 0.15), 100_000, np.random.default_rng(4))
    assert np.mean(fuller > WAIT_SECONDS) > 2 * MAY_WAIT


def test_the_sums_are_right() -> None:
    row = plan(100, COSTS, np.random.default_rng(5))
    assert row.slots == 1000
    assert row.listeners == pytest.approx(row.slots * row.slot_usage, rel=0.01)
    assert row.redis_calls_per_second == pytest.approx(40 * row.listeners)
    capacity = row.api_processes * 2 * 32 * 2e-6
    assert row.redis_cores == pytest.approx(row.listeners * 0.001 + 100 * 0.001 + capacity, rel=0.01)


@pytest.mark.slow
def test_a_very_large_deployment_has_more_shards() -> None:
    row = plan(10_000, dataclasses.replace(COSTS, worker_core=2.0), np.random.default_rng(7))
    assert row.redis_cores > 32 * 0.7 * 0.5
    assert row.shards >= row.masters > 8
    large = plan(10_000, COSTS, np.random.default_rng(7))
    assert large.shards == 256
    assert 128 < large.masters <= 256


def test_breaking_point_is_the_last_row_that_fits() -> None:
    rows = [plan(workers, COSTS, np.random.default_rng(6)) for workers in (10, 30, 300)]
    assert [row.redis_cores <= 0.7 for row in rows] == [True, True, False]
    assert [(row.shards, row.masters) for row in rows[:2]] == [(1, 1), (1, 1)]
    busiest = math.ceil(32 / rows[2].masters) / 32  # the share of the shards that one master has at most
    assert rows[2].redis_cores * busiest <= 0.7 < rows[2].redis_cores * math.ceil(32 / (rows[2].masters - 1)) / 32
    assert "carries 30 workers" in breaking_point(COSTS, rows)
    assert "700 listeners" in breaking_point(COSTS, rows)
