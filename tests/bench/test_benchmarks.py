"""The logic of the benchmarks: queue waits and capacity, quantiles of metrics, and the rows of every engine."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from ancestral.models.architectures.pixelcnn import PixelCNNSpec
from bench import engines, pictures
from bench.capacity import MAY_WAIT, UTTERANCE_SECONDS, WAIT_SECONDS, Costs, breaking_point, highest_load, plan, waits
from bench.report import quantile, report, total
from tests.models.random_models import TINY_SPECS
from tests.random_weights import lively_checkpoint

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


def test_quantiles_are_those_of_prometheus() -> None:
    assert quantile(PAGE, "wait_seconds", 0.25) == pytest.approx(0.1)
    assert quantile(PAGE, "wait_seconds", 0.5) == pytest.approx(0.15)
    assert quantile(PAGE, "wait_seconds", 1.0) == 0.2
    assert math.isnan(quantile(PAGE, "nothing", 0.5))


def test_totals_are_summed_over_labels() -> None:
    assert (total(PAGE, "wait_seconds_count"), total(PAGE, "plain"), total(PAGE, "nothing")) == (4, 7, 0)


@pytest.mark.slow
def test_every_engine_and_batch_of_speech_is_a_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "REPETITIONS", 1)
    rows = engines.measure_model("tiny", lively_checkpoint(TINY_SPECS["conditional"]), 100)
    native = [("native-int8", batch) for batch in engines.BATCHES]
    onnx = [("onnx-cpu", batch) for batch in engines.BATCHES]
    assert [(row.engine, row.batch) for row in rows] == [("wavenet_vocoder", 1), *native, *onnx]
    report("Engines", rows)
    printed = json.loads(capsys.readouterr().out.rstrip().rpartition("\n")[2])
    assert printed["machine"]
    assert printed["rows"] == [dataclasses.asdict(row) for row in rows]


@pytest.mark.slow
def test_pictures_are_measured_beside_naive_sampling_and_in_int8() -> None:
    spec = PixelCNNSpec(6, 5, 3, layers=2, features=24, output_features=6)
    rows = pictures.measure_model("tiny", pictures.random_checkpoint(spec))
    assert [row.engine for row in rows] == ["naive", *["native"] * 3, *["native-int8"] * 3]
    for row in rows:
        assert row.times_naive == pytest.approx(rows[0].seconds_per_image / row.seconds_per_image, rel=0.02, abs=0.06)
