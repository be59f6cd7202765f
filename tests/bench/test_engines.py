"""The bench of sampling engines, with a network that takes no time: its rows, its roofline, and its targets."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ancestral.models.architectures.wavenet import MEDIUM, WaveNetSpec
from ancestral.models.kernels.gemm import Precision
from bench.engines import BATCHES, Row, measure_model, targets
from bench.report import report
from bench.roofline import multiply_adds, roofline
from tests.models.random_models import TINY_SPECS
from tests.random_weights import lively_checkpoint

JSON = {
    "model", "engine", "precision", "batch", "samples_per_cpu_second", "samples_per_second", "real_time_factor",
    "roofline",
}  # fmt: skip


@pytest.mark.slow
def test_every_precision_and_batch_is_a_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.engines.REPETITIONS", 1)
    rows = measure_model("tiny", lively_checkpoint(TINY_SPECS["conditional"]), 100)
    native = [("native", precision.name.lower(), batch) for precision in Precision for batch in BATCHES]
    torch = [("torch", "fp32", 1), ("wavenet_vocoder", "fp32", 1)]
    onnx = [("onnx-cpu", "fp32", batch) for batch in BATCHES]
    assert [(row.engine, row.precision, row.batch) for row in rows] == [*torch, *native, *onnx]
    assert all(row.samples_per_cpu_second > 0 and row.roofline >= 0.0 for row in rows)
    report("Engines", rows)
    line = json.loads(capsys.readouterr().out.rstrip().rpartition("\n")[2])
    assert line["machine"]
    assert all(row.keys() >= JSON for row in line["rows"])


def test_a_roofline_is_what_the_weights_and_the_multiply_adds_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.roofline._SECONDS", 0.003)  # their order shows in shorter measurements, too
    small, medium = WaveNetSpec(), WaveNetSpec(**MEDIUM)
    assert multiply_adds(small) == 319_488
    assert multiply_adds(medium) == 1_236_992
    for precision in Precision:
        alone, together = (roofline(small, precision, batch) for batch in (1, 16))
        assert 0.0 < alone <= together <= 16 * alone
        assert roofline(medium, precision, 16) < together


def test_targets_are_those_of_the_issue() -> None:
    row = Row("wavenet-S", "native", "fp32", 1, 50_000, 50_000, 3.1, 0.66, 60.0, 5.0)
    rows = [row, replace(row, batch=16, samples_per_cpu_second=111_000)]
    rows += [replace(row, engine="wavenet_vocoder", samples_per_cpu_second=490)]
    rows += [replace(row, precision="int8", samples_per_cpu_second=170_000)]
    medium = replace(row, model="wavenet-M", samples_per_cpu_second=5_000)
    rows += [replace(medium, precision=p.name.lower()) for p in Precision if p is not Precision.INT8]
    rows += [replace(medium, precision="int8", samples_per_cpu_second=50_000)]
    assert [target.met for target in targets(rows)] == [True, True, False, True, True, True, False]
