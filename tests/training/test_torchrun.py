"""Runs that torchrun starts: the same losses and weights as those of processes that the command starts itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.paths import ROOT

_TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
_NETWORK = ("--levels", "2", "--layers", "2", "--features", "8", "--output-features", "8", "--batch", "2")


def _train(launch: tuple[str, ...], out: Path, data: Path, *options: str) -> None:
    command = [*launch, "ancestral", "train", "pixelcnn", "--data", str(data), *_NETWORK, *options, "-o", str(out)]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr


def _log(out: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [
        {name: value for name, value in line.items() if name not in ("hours", "items_per_second")} for line in lines
    ]


@pytest.mark.slow
def test_torchrun_trains_as_the_processes_of_the_command_do(tmp_path: Path) -> None:
    data = tmp_path / "pictures.npz"
    rng = np.random.default_rng(0)
    arrays = {"attributes": np.array(["class"]), "values_class": np.array(["snow", "ash"])}
    for part in ("train", "test"):
        arrays[f"x_{part}"] = rng.integers(0, 256, (16, 6, 6, 1), np.uint8)
        arrays[f"labels_{part}"] = rng.integers(0, 2, (16, 1))
    np.savez(data, **arrays)
    for launch, name in ((("-m",), "spawned"), (_TORCHRUN, "launched")):
        processes = ("--processes", "2") if name == "spawned" else ()
        trunk, branch = tmp_path / name, tmp_path / f"{name}-branch"
        _train(launch, trunk, data, *processes, "--decay", "0", "--warmup", "1", "--steps", "50")
        _train(launch, branch, data, *processes, "--anneal-from", str(trunk), "--steps", "50")
    for kind in ("", "-branch"):
        spawned, launched = tmp_path / f"spawned{kind}", tmp_path / f"launched{kind}"
        assert _log(spawned) == _log(launched)
        assert len(_log(spawned)) >= 2
        weights = [(out / "checkpoint/weights.safetensors").read_bytes() for out in (spawned, launched)]
        assert weights[0] == weights[1]
    wrong = [
        sys.executable,
        *_TORCHRUN,
        "ancestral",
        "train",
        "pixelcnn",
        "--data",
        str(data),
        *_NETWORK,
        "--steps",
        "1",
    ]
    done = subprocess.run(
        [*wrong, "--processes", "3", "-o", str(tmp_path / "x")], cwd=ROOT, capture_output=True, text=True
    )
    assert "processes: torchrun has started 2, not 3" in done.stderr


_STEP_IN_A_GROUP = """
from pathlib import Path
import torch
import torch.distributed as dist
from ancestral.training.torchrun import process_group

weight = torch.nn.Parameter(torch.ones(3))
with process_group():
    weight.grad = torch.ones(3)
    dist.all_reduce(weight.grad)
    torch.optim.AdamW([weight]).step()
print(*(task.joinpath("comm").read_text().strip() for task in Path("/proc/self/task").iterdir()))
"""


def test_no_thread_of_a_group_outlives_it(tmp_path: Path) -> None:
    script = tmp_path / "step.py"
    script.write_text(_STEP_IN_A_GROUP)
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1")
    done = subprocess.run([sys.executable, *launch, str(script)], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()
    assert "gloo" not in done.stdout


def test_the_job_for_kubernetes_is_valid() -> None:
    validate = pytest.importorskip("kubernetes_validate").validate
    validate(yaml.safe_load((ROOT / "deploy/gpu/job.yaml").read_text()), "1.32", strict=True)
