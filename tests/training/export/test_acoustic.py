"""The acoustic model as graphs: both kinds compute what their networks do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ancestral.models.architectures import tensor_table
from ancestral.models.architectures.acoustic import AcousticSpec
from ancestral.models.checkpoint import load, save
from ancestral.models.engines.onnx.ort_session import open_session
from ancestral.models.tensors import random_tensors
from ancestral.training.export import export

SPEC = AcousticSpec(
    phonemes=("a", "b", "c"), speakers=("ann", "bob"), outputs=10, channels=12, encoder_layers=1, decoder_layers=2,
    duration_layers=1, speaker_channels=4, pitch_layers=3,
)  # fmt: skip


@pytest.mark.parametrize("spec", [SPEC, replace(SPEC, pitch_layers=0)], ids=["f0-first", "f0-beside"])
def test_graphs_are_written_if_they_compute_what_the_network_does(spec: AcousticSpec, tmp_path: Path) -> None:
    save(tmp_path / "checkpoint", spec, random_tensors(tensor_table(spec), seed=3), "Random.")
    names = {file.stem for file in export(tmp_path / "checkpoint")}
    assert names == ({"encode", "pitch", "decode"} if spec.pitch_layers else {"encode", "decode"})


def test_f0_of_the_graph_spans_the_dilated_layers(tmp_path: Path) -> None:
    """A change of one frame reaches as far as kernels and dilations say, and no further."""
    save(tmp_path / "checkpoint", SPEC, random_tensors(tensor_table(SPEC), seed=3), "Random.")
    export(tmp_path / "checkpoint")
    graph = open_session(load(tmp_path / "checkpoint"), "pitch", "onnx-cpu")
    rng = np.random.default_rng(0)
    inputs = {
        "repeated": rng.standard_normal((1, 61, SPEC.channels)).astype(np.float32),
        "positions": rng.random((1, 61, 3)).astype(np.float32), "speaker": np.zeros(1, np.int64),
        "mask": np.ones((1, 61, 1), np.float32),
    }  # fmt: skip
    (before,) = graph.run(None, inputs)
    inputs["repeated"][0, 30] += 1.0
    (after,) = graph.run(None, inputs)
    reach = SPEC.kernel_size // 2 * sum(SPEC.pitch_dilations)
    changed = np.flatnonzero(np.abs(after - before)[0].max(axis=1))
    assert (changed.min(), changed.max()) == (30 - reach, 30 + reach)
