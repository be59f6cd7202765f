"""The bench of pictures, with a network that takes no time: its rows, and what the targets make of them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ancestral.models.architectures.pixelcnn import PixelCNNSpec
from ancestral.models.architectures.pixelrnn import PixelRNNSpec
from ancestral.models.spec import ImageSpec
from bench.pictures import BATCHES, LARGE, LSTMS, Row, measure_model, random_checkpoint, targets
from bench.report import report

CLASS = (("class", ("a", "b")),)
TINY = PixelCNNSpec(6, 5, 3, layers=2, features=6, output_features=6, attributes=CLASS, conditioning="class")

TINY_RNN = PixelRNNSpec(6, 5, 3, layers=2, features=4)


@pytest.mark.parametrize("spec", [TINY, replace(TINY, gated=False, attributes=(), conditioning="none"), TINY_RNN])
def test_every_batch_is_a_row_beside_the_naive_one(spec: ImageSpec, capsys: pytest.CaptureFixture[str]) -> None:
    rows = measure_model("tiny", random_checkpoint(spec))
    assert [(row.engine, row.batch) for row in rows] == [("naive", 1), *(("native", batch) for batch in BATCHES)]
    assert all(row.seconds_per_image > 0.0 for row in rows)
    for row in rows:
        assert row.times_naive == pytest.approx(rows[0].seconds_per_image / row.seconds_per_image, rel=0.02, abs=0.06)
    report("Pictures", rows, {"targets": []})
    table, _, line = capsys.readouterr().out.rstrip().rpartition("\n")
    assert "seconds per image" in table.replace("\n", " ")
    assert len(json.loads(line)["rows"]) == len(rows)


def test_a_network_with_int8_has_rows_of_it() -> None:
    rows = measure_model("tiny", random_checkpoint(replace(TINY, features=24)))
    assert [row.engine for row in rows] == ["naive", *["native"] * 3, *["native-int8"] * 3]


@pytest.mark.parametrize(
    ("naive", "one", "sixteen", "lstms", "met"),
    [(150.0, 0.1, 0.07, 100.0, [True, True, True, True]), (150.0, 0.16, 0.16, 99.9, [False, False, False, False])],
)
def test_targets_are_those_of_the_large_network_and_of_the_slowest_lstm(
    naive: float, one: float, sixteen: float, lstms: float, met: list[bool]
) -> None:
    rows = [Row(LARGE, "naive", 1, naive, 1.0), Row("other", "native", 1, 9.0, 1.0)]
    rows += [Row(LARGE, "native", 1, one, naive / one), Row(LARGE, "native", 16, sixteen, naive / sixteen)]
    row, diagonal = LSTMS
    rows += [
        Row(row, "naive", 1, 5.0, 1.0),
        Row(row, "native", 1, 0.01, lstms),
        Row(diagonal, "native", 1, 0.01, 500.0),
    ]
    assert [target.met for target in targets(rows)] == met
