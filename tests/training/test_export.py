"""Export: graphs beside weights, written only if they do what the network does; the bundled ones are current."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from ancestral import models
from ancestral.models.architectures import tensor_table
from ancestral.models.architectures.acoustic import AcousticSpec
from ancestral.models.checkpoint import WEIGHTS, CheckpointError, load, save
from ancestral.models.engines.onnx.ort_session import open_session
from ancestral.models.engines.speech.onnx import OnnxEngine
from ancestral.models.tensors import random_tensors
from ancestral.training.export import export, graphs
from ancestral.training.export.graph import Graph
from ancestral.training.export.parity import ParityError
from tests.models.random_models import TINY_SPECS, random_checkpoint

SHIPPED = sorted(path.parent for path in Path(models.__file__).with_name("zoo").glob(f"*/*/{WEIGHTS}"))
ACOUSTIC = AcousticSpec(
    phonemes=("a", "b", "c"), speakers=("ann", "bob"), outputs=10, channels=12, encoder_layers=1, decoder_layers=2,
    duration_layers=1, speaker_channels=4, pitch_layers=3,
)  # fmt: skip


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    made = random_checkpoint(TINY_SPECS["conditional"])
    save(tmp_path / "checkpoint", made.spec, made.tensors, "A card.")
    return tmp_path / "checkpoint"


@pytest.mark.parametrize("path", SHIPPED, ids=["/".join(path.parts[-2:]) for path in SHIPPED])
def test_the_bundled_graphs_are_current(path: Path) -> None:
    """If not: ancestral export PATH."""
    current = graphs(load(path))
    found = {file.name: file.read_bytes() == current[file.name] for file in path.glob("*.onnx")}
    assert found == dict.fromkeys(current, True)


def test_graphs_lie_beside_the_weights_and_hold_none(checkpoint: Path) -> None:
    before = {file.name: file.read_bytes() for file in checkpoint.iterdir()}
    written = export(checkpoint)
    assert {file.name for file in written} == {"step.onnx", "steps.onnx", "chunk.onnx"}
    assert {file.name: file.read_bytes() for file in checkpoint.iterdir() if file not in written} == before
    assert [entry.name for entry in checkpoint.parent.iterdir()] == ["checkpoint"], "nothing is left behind"
    for file in written:
        proto = onnx.load(file, load_external_data=False)
        external = [tensor for tensor in proto.graph.initializer if tensor.external_data]
        assert {entry.value for t in external for entry in t.external_data if entry.key == "location"} == {WEIGHTS}
        assert max(len(t.raw_data) for t in proto.graph.initializer) < 1000
        assert {p.key: p.value for p in proto.metadata_props}["ancestral.weights_sha256"] == load(checkpoint).sha256
    assert OnnxEngine(load(checkpoint)).name == "onnx-cpu"


def test_weights_stored_in_half_are_widened_once_by_the_graph(checkpoint: Path, tmp_path: Path) -> None:
    """``export`` compares the graphs with the network before it writes them."""
    made = load(checkpoint)
    save(tmp_path / "half", made.spec, made.tensors, "", half=True)
    for file in export(tmp_path / "half"):
        graph = onnx.load(file, load_external_data=False).graph
        stored = {tensor.name for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT16}
        widened = [node.input[0] for node in graph.node if node.op_type == "Cast" and node.input[0] in stored]
        assert stored
        assert sorted(widened) == sorted(stored)


def test_a_copy_elsewhere(checkpoint: Path) -> None:
    output = checkpoint.parent / "new" / "exported"
    written = export(checkpoint, output)
    assert {file.parent for file in written} == {output}
    assert not list(checkpoint.glob("*.onnx"))
    assert (load(output).sha256, load(output).card) == (load(checkpoint).sha256, "A card.")
    OnnxEngine(load(output))
    with pytest.raises(CheckpointError, match="exists already"):
        export(checkpoint, output)


def test_the_same_checkpoint_gives_the_same_bytes(checkpoint: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoint, tmp_path / "elsewhere")
    assert graphs(load(checkpoint)) == graphs(load(tmp_path / "elsewhere"))


@pytest.mark.parametrize(("operator", "instead"), [("Tanh", "Softsign"), ("Relu", "Identity"), ("CumSum", "Identity")])
def test_graphs_that_do_something_else_are_not_written(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, operator: str, instead: str
) -> None:
    right = Graph.op

    def wrong(self: Graph, name: str, *inputs: str, **attributes: Any) -> str:
        if name == operator == "CumSum":  # over the residual biases as well as over the probabilities
            return right(self, instead, inputs[0])
        return right(self, instead if name == operator else name, *inputs, **attributes)

    monkeypatch.setattr(Graph, "op", wrong)
    with pytest.raises(ParityError):
        export(checkpoint)
    assert not list(checkpoint.glob("*.onnx"))


def test_a_checkpoint_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"^manifest\.json: cannot be read"):
        export(tmp_path)


def test_f0_of_an_acoustic_graph_spans_the_dilated_layers(tmp_path: Path) -> None:
    """A change of one frame reaches as far as kernels and dilations say, and no further."""
    for spec, graphs_of in ((replace(ACOUSTIC, pitch_layers=0), set()), (ACOUSTIC, {"pitch"})):
        save(tmp_path / "checkpoint", spec, random_tensors(tensor_table(spec), seed=3), "Random.")
        assert {file.stem for file in export(tmp_path / "checkpoint")} == {"encode", "decode"} | graphs_of
    graph = open_session(load(tmp_path / "checkpoint"), "pitch", "onnx-cpu")
    rng = np.random.default_rng(0)
    inputs = {
        "repeated": rng.standard_normal((1, 61, ACOUSTIC.channels)).astype(np.float32),
        "positions": rng.random((1, 61, 3)).astype(np.float32), "speaker": np.zeros(1, np.int64),
        "mask": np.ones((1, 61, 1), np.float32),
    }  # fmt: skip
    (before,) = graph.run(None, inputs)
    inputs["repeated"][0, 30] += 1.0
    (after,) = graph.run(None, inputs)
    reach = ACOUSTIC.kernel_size // 2 * sum(ACOUSTIC.pitch_dilations)
    changed = np.flatnonzero(np.abs(after - before)[0].max(axis=1))
    assert (changed.min(), changed.max()) == (30 - reach, 30 + reach)
