"""The simulated autoscaler: nobody waits in quiet, and the sooner workers are ready the fewer people wait in a rush."""

from __future__ import annotations

import numpy as np

from bench.autoscaling import DECIDE_SECONDS, SLOTS, Autoscaler, simulate


def test_hardly_anybody_waits_when_nothing_happens() -> None:
    row = simulate("quiet", 100, 1.0, 5.0, np.random.default_rng(1))
    assert row.waited < 0.01
    assert row.refused == 0


def test_a_rush_is_over_sooner_with_workers_that_are_ready_sooner() -> None:
    soon, late = (simulate("rush", 100, 10.0, seconds, np.random.default_rng(2)) for seconds in (5.0, 120.0))
    assert soon.workers_most >= 1000 / SLOTS
    assert soon.settled_after < late.settled_after
    assert soon.waited + soon.refused < late.waited + late.refused


def test_who_comes_while_a_master_is_lost_waits_for_its_replica() -> None:
    row = simulate("lost", 100, 1.0, 5.0, np.random.default_rng(3), lost=1.0)
    assert 3.5 < row.settled_after < 10
    assert 0.002 < row.waited < 0.02


def test_workers_at_most_double_and_are_kept_for_five_minutes() -> None:
    scaler = Autoscaler(10, 5.0)
    scaler.decide(DECIDE_SECONDS, 10_000)
    scaler.advance(DECIDE_SECONDS + 5.0)
    assert scaler.workers == 20
    for minute in range(1, 5):
        scaler.decide(60.0 * minute, 0)
        assert scaler.workers == 20
    scaler.decide(400.0, 0)
    assert 10 <= scaler.workers < 20
