"""The engine on onnxruntime: it draws what torch draws, and says what is wrong with graphs and installations."""

import dataclasses
import shutil
from dataclasses import dataclass

import numpy as np
import pytest

from ancestral.models.architectures.wavenet import WaveNetSpec
from ancestral.models.checkpoint import CheckpointError, load
from ancestral.models.engines import load_engine
from ancestral.models.engines.base import EngineError
from ancestral.models.engines.onnx.ort_session import open_session
from ancestral.models.engines.speech.engine import StreamRequest
from ancestral.models.engines.speech.onnx import OnnxEngine
from ancestral.models.engines.speech.torch_engine import TorchEngine
from tests.models.engines.exact import apart, double_network, exact_logits, speaking
from tests.models.random_models import (
    MEDIUM_SPEC,
    SMALL_SPEC,
    SPECS,
    TINY_SPECS,
    ZOO,
    checkpoint_of,
    exported,
    random_checkpoint,
    requests,
)

KINDS = pytest.mark.parametrize("spec", TINY_SPECS.values(), ids=TINY_SPECS.keys())


def trained():
    return exported(load(ZOO / "wavenet"))


@pytest.mark.slow
def test_free_running_symbols_of_the_trained_model_are_the_references(full):
    """16 streams, against single and double precision; with --full 4 000 steps of each."""
    steps = 4000 if full else 400
    checkpoint, wanted = trained(), speaking(16, steps)
    engine = OnnxEngine(checkpoint)
    mine = engine.step([engine.open(request) for request in wanted], steps)
    references = {
        "fp64": TorchEngine(checkpoint, cached=True, precision="fp64"),
        **({"fp32": TorchEngine(checkpoint, cached=True)} if full else {}),
    }
    for precision, reference in references.items():
        theirs = reference.step([reference.open(request) for request in wanted], steps)
        parted = apart(checkpoint, wanted, mine, theirs)
        assert parted <= max(1, steps // 1000)  # one symbol in 25 000 is at a tie, which `apart` asserts of every one
        print(f"{precision}: {16 - parted} of 16 streams equal over {steps} steps")


@pytest.mark.parametrize(("spec", "steps"), [(SMALL_SPEC, 480), (MEDIUM_SPEC, 160)], ids=["S", "M"])
def test_random_models_of_both_sizes(spec, steps):
    checkpoint = exported(random_checkpoint(spec, seed=3))
    wanted = requests(spec, 8, steps, seed=3)
    engines = OnnxEngine(checkpoint), TorchEngine(checkpoint, cached=True, precision="fp64")
    assert apart(checkpoint, wanted, *(e.step([e.open(r) for r in wanted], steps) for e in engines)) <= 1


@KINDS
def test_logits_are_the_networks(spec):
    checkpoint = exported(random_checkpoint(spec))
    engine, model = OnnxEngine(checkpoint), double_network(checkpoint)
    symbols = np.random.default_rng(0).integers(0, 256, 160).astype(np.uint8)
    for request in requests(spec, 2, 160):
        _, logits = engine._run([engine.open(request)], 160, symbols)
        np.testing.assert_allclose(logits[:, 0], exact_logits(model, request, symbols).numpy(), rtol=0, atol=1e-4)


def test_logits_of_the_trained_model_are_the_networks():
    checkpoint = trained()
    engine, model = OnnxEngine(checkpoint), double_network(checkpoint)
    (request,) = speaking(1, 480)
    (symbols,) = engine.step([engine.open(request)], 480)
    _, logits = engine._run([engine.open(request)], 480, symbols)
    np.testing.assert_allclose(logits[:, 0], exact_logits(model, request, symbols).numpy(), rtol=0, atol=1e-4)


@pytest.fixture
def copy(tmp_path):
    """A tiny model with its graphs, to be damaged."""
    shutil.copytree(exported(random_checkpoint(TINY_SPECS["speaker only"])).path, tmp_path / "copy")
    return tmp_path / "copy"


def stale(path):
    other = exported(random_checkpoint(TINY_SPECS["speaker only"], seed=1)).path
    shutil.copyfile(other / "chunk.onnx", path / "chunk.onnx")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: (path / "chunk.onnx").unlink(), r"^chunk\.onnx: the checkpoint has no such graph; run: ances"),
        (stale, r"^chunk\.onnx: was exported from other weights, or by another version; run: ancestral export /"),
        (lambda path: (path / "chunk.onnx").write_bytes(b"no graph"), r"^chunk\.onnx: cannot be loaded by onnxruntime"),
    ],
)
def test_graphs_that_cannot_be_used_are_refused(copy, damage, message):
    OnnxEngine(load(copy))
    damage(copy)
    with pytest.raises(EngineError, match=message):
        OnnxEngine(load(copy))


@dataclass(frozen=True)
class _LaterSpec(WaveNetSpec):
    more: int = 0


def test_graphs_stay_valid_when_a_later_version_of_a_spec_has_another_field(copy):
    checkpoint = load(copy)
    fields = {f.name: getattr(checkpoint.spec, f.name) for f in dataclasses.fields(checkpoint.spec)}
    OnnxEngine(dataclasses.replace(checkpoint, spec=_LaterSpec(**fields)))
    with pytest.raises(EngineError, match="was exported from other weights, or by another version"):
        OnnxEngine(dataclasses.replace(checkpoint, spec=_LaterSpec(**fields, more=1)))


def test_a_model_that_draws_is_refused():
    with pytest.raises(CheckpointError, match=r"^kind: expected 'wavenet', found 'pixelcnn'"):
        OnnxEngine(checkpoint_of(SPECS["gated, grey, none"]))


def test_cuda_that_is_not_there_is_an_error(copy):
    if cuda_runs(copy):
        pytest.skip("CUDA runs here")
    with pytest.raises(EngineError, match=r"^onnx-cuda: "):
        load_engine("onnx-cuda", load(copy))


def test_two_wheels_in_one_environment_are_explained(copy, tmp_path, monkeypatch):
    if cuda_runs(copy):
        pytest.skip("CUDA runs here")
    for name in ("onnxruntime", "onnxruntime_gpu"):
        (tmp_path / f"{name}-1.20.0.dist-info").mkdir()
        (tmp_path / f"{name}-1.20.0.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EngineError, match="both onnxruntime and onnxruntime-gpu are installed"):
        load_engine("onnx-cuda", load(copy))


def cuda_runs(path):
    try:
        open_session(load(path), "chunk", "onnx-cuda")
    except EngineError:
        return False
    return True


def test_the_lowest_of_temperatures_is_no_other_than_zero():
    """Logits divided by it would overflow."""
    engine = OnnxEngine(exported(random_checkpoint(TINY_SPECS["speaker only"])))
    cold = [StreamRequest(100, seed, heat, speaker=0) for seed, heat in ((1, 0.0), (2, 1e-310))]
    np.testing.assert_array_equal(*engine.step([engine.open(request) for request in cold], 100))
