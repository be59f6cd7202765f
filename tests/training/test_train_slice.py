"""The script that trains in slices: two of them, each on what the other left, are one run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from ancestral.models.checkpoint import load
from tests.paths import ROOT

SCRIPT = ROOT / "deploy" / "gpu" / "train_slice.sh"


def train_slice(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    command = [str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


@pytest.fixture
def network(tmp_path: Path) -> list[object]:
    """A kind, and options of ``ancestral train``."""
    data = tmp_path / "pictures.npz"
    pictures = np.random.default_rng(0).integers(0, 256, (12, 8, 8), dtype=np.uint8)
    labels = np.zeros(12, np.int64)
    np.savez(data, x_train=pictures, y_train=labels, x_test=pictures, y_test=labels)
    size = ["--data", data, "--levels", "2", "--layers", "2", "--features", "4", "--output-features", "4"]
    return ["pixelcnn", *size, "--conditioning", "none", "--batch", "4", "--warmup", "1"]


def step_of(folder: Path) -> int:
    assert [file.name for file in folder.glob("state.*")] == ["state.00"]
    with safe_open(folder / "state.00", "pt") as state:
        return int(state.metadata()["step"])


def in_two_slices(folder: Path, *options: object) -> list[int]:
    """The steps after each slice: the time is over after the first step, then there is enough for the rest."""
    steps = []
    for before, after, minutes in (("none", "one", 1e-9), ("one", "two", 9)):
        done = train_slice(folder / before, folder / after, minutes, *options)
        assert done.returncode == 0, done.stderr
        steps.append(step_of(folder / after))
    return steps


@pytest.mark.slow
def test_slices_are_one_run_of_a_trunk_and_of_a_branch(network: list[object], tmp_path: Path) -> None:
    trunk = tmp_path / "two"
    assert in_two_slices(tmp_path, *network, "--steps", "3", "--decay", "0") == [1, 3]
    steps = [json.loads(line)["step"] for line in (trunk / "log.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (1, 3)
    assert "| step | 3 |" in load(trunk).card
    (trunk / "state.00").rename(trunk / "state.safetensors")
    assert in_two_slices(tmp_path / "branch", *network, "--anneal-from", trunk, "--steps", "2") == [4, 5]


@pytest.mark.parametrize("arguments", [(), ("a", "b", "9")])
def test_what_is_missing_is_said(arguments: tuple[str, ...]) -> None:
    done = train_slice(*arguments)
    assert done.returncode == 2
    assert "train_slice.sh FROM TO MINUTES KIND" in done.stderr


def test_a_failed_slice_leaves_no_state(tmp_path: Path) -> None:
    done = train_slice(tmp_path / "nothing", tmp_path / "out", 1, "pixelcnn", "--data", tmp_path, "--steps", "0")
    assert done.returncode != 0
    assert "steps" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []
