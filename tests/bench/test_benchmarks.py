"""The logic of the benchmarks: quantiles and totals of metrics."""

from __future__ import annotations

import math

import pytest

from bench.report import quantile, total

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


def test_quantiles_are_those_of_prometheus() -> None:
    assert quantile(PAGE, "wait_seconds", 0.25) == pytest.approx(0.1)
    assert quantile(PAGE, "wait_seconds", 0.5) == pytest.approx(0.15)
    assert quantile(PAGE, "wait_seconds", 1.0) == 0.2
    assert math.isnan(quantile(PAGE, "nothing", 0.5))


def test_totals_are_summed_over_labels() -> None:
    assert (total(PAGE, "wait_seconds_count"), total(PAGE, "plain"), total(PAGE, "nothing")) == (4, 7, 0)
