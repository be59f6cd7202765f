"""Runs that begin with the weights of a checkpoint, and branches of a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from ancestral.models.architectures.wavenet import WaveNetSpec
from ancestral.models.checkpoint import load
from ancestral.models.engines.speech.engine import StreamRequest
from ancestral.models.engines.speech.native import NativeEngine
from ancestral.models.kernels.gemm import Precision
from ancestral.training.loop import LoopConfig, Trainer, train
from ancestral.training.start import STATE, branch, fit_speakers, read_start
from ancestral.training.tasks.wavenet import WaveNetTask
from tests.training.sounds import SPEAKERS, WAVENET

EVEN = dict.fromkeys(SPEAKERS, 1.0)
TRUNK = LoopConfig(30, 5e-3, warmup=2, decay=0.0, log_every=10, evaluate_every=100)


@pytest.fixture(scope="module")
def task(prepared: Path) -> WaveNetTask:
    return WaveNetTask(WAVENET, (prepared,), EVEN, batch=1, crop_frames=4)


@pytest.fixture(scope="module")
def trunk(task: WaveNetTask, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trunk") / "run"
    train(task, TRUNK, out, 1)
    return out


def test_without_decay_the_rate_stays(trunk: Path) -> None:
    assert [TRUNK.rate(step) for step in (2, 15, 29)] == [5e-3] * 3


def test_a_run_begins_with_a_checkpoint(trunk: Path, excited: Path) -> None:
    begun = load(trunk / "checkpoint")
    # Shaped otherwise, with one speaker less and one that is new.
    spec = replace(WAVENET, shaping="linear_prediction", speakers=("bob", "eve"))
    task = WaveNetTask(spec, (excited,), dict.fromkeys(spec.speakers, 1.0), start=trunk / "checkpoint")
    weights = task.network().state_dict()
    assert set(weights) == set(begun.tensors)
    for name, tensor in begun.tensors.items():
        if name != "conditioner.speaker":
            assert np.array_equal(weights[name].numpy(), tensor)
    ann, bob = begun.tensors["conditioner.speaker"]
    assert np.array_equal(weights["conditioner.speaker"].numpy(), np.stack([bob, (ann + bob) / 2]))


def test_the_card_tells_what_was_begun_with(task: WaveNetTask, trunk: Path, tmp_path: Path) -> None:
    again = replace(task, start=trunk / "checkpoint")
    again.export(again.network(), tmp_path / "checkpoint", {"steps": 0}, {})
    made = load(tmp_path / "checkpoint")
    assert made.sha256 == load(trunk / "checkpoint").sha256
    assert made.sha256 in made.card


def test_a_trained_network_can_be_sampled_in_int8(trunk: Path) -> None:
    made = load(trunk / "checkpoint")
    spec = made.spec_as(WaveNetSpec)
    assert len(spec.int8_ranges) == spec.layers * spec.residual_channels + 2
    request = StreamRequest(1600, 3, speaker=0, frames=np.zeros((10, spec.local_channels), np.float32))
    symbols = {}
    for precision in Precision:
        engine = NativeEngine(made, precision)
        stream = engine.open(request)
        (symbols[precision],) = engine.step([stream], 1600)
    exact = NativeEngine(made).score(symbols[Precision.FP32], request.frames, 0)
    rounded = NativeEngine(made, Precision.INT8).score(symbols[Precision.FP32], request.frames, 0)
    assert 0.0 < np.abs(exact - rounded).mean() < 0.05


def test_other_networks_are_no_beginning(trunk: Path, task: WaveNetTask) -> None:
    wider = replace(task, spec=replace(WAVENET, skip_channels=24), start=trunk / "checkpoint")
    with pytest.raises(ValueError, match="its spec is not that of the network"):
        wider.network()
    assert read_start(None, WAVENET) is None
    begun = load(trunk / "checkpoint")
    assert isinstance(begun.spec, WaveNetSpec)
    assert fit_speakers(begun, ()) is begun.tensors


def test_a_branch_goes_on_from_the_trunk_and_leaves_it_alone(task: WaveNetTask, trunk: Path, tmp_path: Path) -> None:
    out, before = tmp_path / "branch", (trunk / STATE).read_bytes()
    assert branch(trunk, out) == (30, 5e-3)
    assert (out / STATE).read_bytes() == before
    config = LoopConfig(40, 5e-3, warmup=2, decay=10 / 40)
    trainer = Trainer(task, config, out)
    assert trainer.step == 30
    assert [config.rate(step) for step in range(30, 40)] == pytest.approx([5e-4 * (10 - i) for i in range(10)])
    with safe_open(trunk / STATE, "pt") as file:
        assert all(torch.equal(p, file.get_tensor(f"model.{n}")) for n, p in trainer.model.named_parameters())
    train(task, config, out, 1)
    # Begun already: it is left as it is.
    assert branch(trunk, out) == (30, 5e-3)
    assert Trainer(task, config, out).step == 40
    assert (trunk / STATE).read_bytes() == before
    assert json.loads((out / "branch.json").read_text())["step"] == 30


def test_a_branch_that_was_killed_while_it_began(trunk: Path, tmp_path: Path) -> None:
    whole, out = (trunk / STATE).read_bytes(), tmp_path / "branch"
    out.mkdir()
    (out / f"{STATE}.trunk").write_bytes(whole[:100])
    assert branch(trunk, out) == (30, 5e-3)
    assert (out / STATE).read_bytes() == whole
    # Killed between the note and the state's last renaming.
    (out / STATE).rename(out / f"{STATE}.trunk")
    assert branch(trunk, out) == (30, 5e-3)
    assert (out / STATE).read_bytes() == whole


def test_what_is_no_branch(trunk: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a branch of another"):
        branch(tmp_path, trunk)
    with pytest.raises(ValueError, match="no state"):
        branch(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
