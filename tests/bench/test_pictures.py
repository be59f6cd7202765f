"""The bench of pictures, with a network that takes no time: its rows, and what the targets make of them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bench.pictures import BATCHES, LARGE, Row, measure_model, random_checkpoint, targets
from bench.report import report
from models.architectures.pixelcnn import PixelCNNSpec

CLASS = (("class", ("a", "b")),)
TINY = PixelCNNSpec(6, 5, 3, layers=2, features=6, output_features=6, attributes=CLASS, conditioning="class")


@pytest.mark.parametrize("spec", [TINY, replace(TINY, gated=False, attributes=(), conditioning="none")])
def test_every_batch_is_a_row_beside_the_naive_one(spec: PixelCNNSpec, capsys: pytest.CaptureFixture[str]) -> None:
    rows = measure_model("tiny", random_checkpoint(spec))
    assert [(row.engine, row.batch) for row in rows] == [("naive", 1), *(("native", batch) for batch in BATCHES)]
    assert all(row.seconds_per_image > 0.0 for row in rows)
    for row in rows:
        assert row.times_naive == pytest.approx(rows[0].seconds_per_image / row.seconds_per_image, rel=0.02, abs=0.06)
    report("Pictures", rows, {"targets": []})
    table, _, line = capsys.readouterr().out.rstrip().rpartition("\n")
    assert "seconds per image" in table.replace("\n", " ")
    assert len(json.loads(line)["rows"]) == len(rows)


@pytest.mark.parametrize(
    ("naive", "one", "sixteen", "met"),
    [(150.0, 0.1, 0.07, [True, True, True]), (150.0, 0.16, 0.16, [False, False, False])],
)
def test_targets_are_those_of_the_large_network(naive: float, one: float, sixteen: float, met: list[bool]) -> None:
    rows = [Row(LARGE, "naive", 1, naive, 1.0), Row("other", "native", 1, 9.0, 1.0)]
    rows += [Row(LARGE, "native", 1, one, naive / one), Row(LARGE, "native", 16, sixteen, naive / sixteen)]
    assert [target.met for target in targets(rows)] == met
