"""The training loop: a run that is killed goes on as if it had not been."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError, safe_open

from ancestral.models.architectures.wavenet import WaveNetSpec
from ancestral.models.checkpoint import load
from ancestral.training.loop import LoopConfig, Trainer, train
from ancestral.training.tasks.acoustic import AcousticTask
from ancestral.training.tasks.wavenet import WaveNetTask
from tests.paths import ROOT
from tests.training.sounds import FRAMES, SPEAKERS, WAVENET

STEPS = 24
EVEN = dict.fromkeys(SPEAKERS, 1.0)
_RUN = """
import sys
from pathlib import Path
from ancestral.training.loop import LoopConfig, train
from ancestral.training.tasks.wavenet import WaveNetTask
from tests.training.sounds import SPEAKERS, WAVENET

if __name__ == "__main__":
    data, out, steps, processes, save_seconds = sys.argv[1:]
    task = WaveNetTask(WAVENET, (Path(data),), dict.fromkeys(SPEAKERS, 1.0), batch=2, crop_frames=8)
    config = LoopConfig(
        int(steps), warmup=4, evaluate_every=10, log_every=5, save_seconds=float(save_seconds), seed=3
    )
    train(task, config, Path(out), int(processes))
"""


def start(data: Path, out: Path, processes: int, *, steps: int = STEPS, save: float = 0.0) -> subprocess.Popen[bytes]:
    """A run in a process of its own, at the head of a pipe that all its children hold, too."""
    arguments = [str(data), str(out), str(steps), str(processes), str(save)]
    return subprocess.Popen(
        [sys.executable, "-c", _RUN, *arguments],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait until the run and all its children are gone."""
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output.decode()


def state(out: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    with safe_open(out / "state.safetensors", "pt") as file:
        return file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def kill_in_the_middle(process: subprocess.Popen[bytes], out: Path, after: int = 3) -> int:
    """Kill a run once some steps of it are saved; returns how many, when nothing of it is left running."""
    while process.poll() is None:
        try:
            if int(state(out)[0]["step"]) >= after:
                break
        except (FileNotFoundError, SafetensorError):
            pass
        time.sleep(0.002)
    process.kill()
    output, _ = process.communicate(timeout=120)  # ends when the last child has let go of the pipe
    assert process.returncode == -9, output.decode()
    return int(state(out)[0]["step"])


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_run_ends_where_it_would_have(prepared: Path, tmp_path: Path, processes: int) -> None:
    undisturbed = start(prepared, tmp_path / "whole", processes, save=1e9)
    finish(undisturbed)
    reached = kill_in_the_middle(start(prepared, tmp_path / "killed", processes), tmp_path / "killed")
    assert 3 <= reached < STEPS
    finish(start(prepared, tmp_path / "killed", processes))
    (expected, whole), (meta, resumed) = state(tmp_path / "whole"), state(tmp_path / "killed")
    assert [meta[key] for key in ("step", "items", "world", "seed")] == [
        expected[key] for key in ("step", "items", "world", "seed")
    ]
    assert meta["step"] == str(STEPS)
    assert meta["items"] == str(STEPS * processes * 2 * 8 * WAVENET.local_hop)
    assert whole.keys() == resumed.keys()
    assert {name.partition(".")[0] for name in whole} == {"model", "average", "first", "second"}
    assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []
    # Not because nothing happened.
    torch.manual_seed(3)
    fresh = WaveNetTask(WAVENET, (prepared,), EVEN).network()
    assert all(not torch.equal(p, whole[f"model.{n}"]) for n, p in fresh.named_parameters())
    one, other = (load(tmp_path / name / "checkpoint") for name in ("whole", "killed"))
    assert one.sha256 == other.sha256


def test_a_run_of_limited_time_is_saved_and_goes_on(prepared: Path, tmp_path: Path) -> None:
    task = WaveNetTask(WAVENET, (prepared,), EVEN, batch=2, crop_frames=8)
    config = LoopConfig(6, 1e-2, warmup=1, save_seconds=1e9)
    for step in range(1, 7):
        train(task, config, tmp_path / "slices", 1, minutes=1e-9)  # a step takes longer
        assert state(tmp_path / "slices")[0]["step"] == str(step)
    train(task, config, tmp_path / "whole", 1)
    one, other = (load(tmp_path / name / "checkpoint") for name in ("slices", "whole"))
    assert one.sha256 == other.sha256
    with pytest.raises(ValueError, match="minutes: only with one process"):
        train(task, config, tmp_path / "several", 2, minutes=1.0)


def test_children_end_with_their_parent(prepared: Path, tmp_path: Path) -> None:
    process = start(prepared, tmp_path / "run", 2, steps=1_000_000)
    # It only returns when the pipe, which the children hold, is closed.
    assert kill_in_the_middle(process, tmp_path / "run", after=1) < 1_000_000


@pytest.fixture(scope="module")
def finished(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A longer run, in this process."""
    out = tmp_path_factory.mktemp("finished") / "run"
    task = WaveNetTask(WAVENET, (prepared,), EVEN, batch=4, crop_frames=10)
    train(task, LoopConfig(80, 1e-2, warmup=5, evaluate_every=40, log_every=10), out, 1)
    return out


def test_the_loss_falls(finished: Path) -> None:
    lines = [json.loads(line) for line in (finished / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == 8
    assert losses[-1] < losses[0] - 0.5
    assert all(line["items_per_second"] > 0 and line["norm"] > 0 for line in lines if "loss" in line)
    held_out = [line for line in lines if "bits_ann" in line]
    assert [line["step"] for line in held_out] == [40, 80]
    assert held_out[1]["bits_bob"] < 8.0
    assert held_out[1]["samples"] == 80 * 4 * 10 * WAVENET.local_hop


def test_what_a_run_exports(finished: Path) -> None:
    checkpoint = load(finished / "checkpoint")
    assert replace(checkpoint.spec_as(WaveNetSpec), int8_ranges=()) == WAVENET
    _, tensors = state(finished)
    assert all(torch.equal(torch.from_numpy(x), tensors[f"average.{n}"]) for n, x in checkpoint.tensors.items())
    assert any(not torch.equal(torch.from_numpy(x), tensors[f"model.{n}"]) for n, x in checkpoint.tensors.items())
    for words in ("a corpus of the person who trained", "| steps | 80 |", "| bits_bob |", "| seed | 0 |"):
        assert words in checkpoint.card


@pytest.mark.parametrize(
    ("seed", "processes", "message"), [(1, 1, "seed: this run was started with 0, not 1"), (0, 2, "processes: ")]
)
def test_another_run_is_refused(finished: Path, prepared: Path, seed: int, processes: int, message: str) -> None:
    task = WaveNetTask(WAVENET, (prepared,), EVEN, batch=4, crop_frames=10)
    before = (finished / "state.safetensors").read_bytes()
    with pytest.raises(ValueError, match=message):
        train(task, LoopConfig(200, seed=seed), finished, processes)
    assert (finished / "state.safetensors").read_bytes() == before


def test_the_learning_rate(prepared: Path, tmp_path: Path) -> None:
    config = LoopConfig(100, 1.0, warmup=10, decay=0.3)
    rates = [config.rate(step) for step in range(101)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10:71] == [1.0] * 61
    assert rates[70:] == pytest.approx([(30 - i) / 30 for i in range(31)])
    task = WaveNetTask(WAVENET, (prepared,), EVEN, batch=1, crop_frames=4)
    trainer = Trainer(task, config, tmp_path)
    trainer.run_step()
    trainer.run_step()
    assert [group["lr"] for group in trainer.optimizer.param_groups] == [pytest.approx(0.2)]


def test_the_average_follows_the_weights(prepared: Path, tmp_path: Path) -> None:
    task = AcousticTask(FRAMES, (prepared,), EVEN, batch=2)
    trainer = Trainer(task, LoopConfig(100, 1e-2, warmup=1, ema=0.25), tmp_path)
    expected = {n: p.detach().clone() for n, p in trainer.model.named_parameters()}
    for step in (1, 2, 3):
        trainer.run_step()
        keep = min(0.25, (1 + step) / (10 + step))
        for name, parameter in trainer.model.named_parameters():
            expected[name] = keep * expected[name] + (1 - keep) * parameter.detach()
    assert keep == 0.25
    averaged = dict(trainer.averaged().named_parameters())
    assert not trainer.averaged().training
    for name, tensor in expected.items():
        torch.testing.assert_close(averaged[name].detach(), tensor)


def test_dropout_too_is_resumed(prepared: Path, tmp_path: Path) -> None:
    """The acoustic model draws random numbers inside its network; a resumed run draws the same."""
    task, config = AcousticTask(FRAMES, (prepared,), EVEN, batch=2), LoopConfig(6, 1e-2, warmup=1)
    whole = Trainer(task, config, tmp_path)
    for _ in range(3):
        whole.run_step()
    whole.save()
    losses = [whole.run_step() for _ in range(3)]
    torch.rand(7)
    resumed = Trainer(task, config, tmp_path)
    assert resumed.step == 3
    assert [resumed.run_step() for _ in range(3)] == losses
