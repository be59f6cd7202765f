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

from models.checkpoint import load
from tests.deploy.support import ROOT

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


def test_slices_are_one_run(network: list[object], tmp_path: Path) -> None:
    # The time is over after the first step, the second slice is given enough for the rest.
    first = train_slice(tmp_path / "nothing", tmp_path / "one", 1e-9, *network, "--steps", "3")
    assert first.returncode == 0, first.stderr
    second = train_slice(tmp_path / "one", tmp_path / "two", 9, *network, "--steps", "3")
    assert second.returncode == 0, second.stderr
    pieces = sorted(file.name for file in (tmp_path / "two").glob("state.*"))
    assert pieces == ["state.00"]
    with safe_open(tmp_path / "two" / "state.00", "pt") as state:
        assert state.metadata()["step"] == "3"
    steps = [json.loads(line)["step"] for line in (tmp_path / "two" / "log.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (1, 3)
    assert "| step | 3 |" in load(tmp_path / "two").card


def test_slices_of_a_branch(network: list[object], tmp_path: Path) -> None:
    trunk = train_slice(tmp_path / "nothing", tmp_path / "trunk", 9, *network, "--steps", "2", "--decay", "0")
    assert trunk.returncode == 0, trunk.stderr
    (tmp_path / "trunk" / "state.00").rename(tmp_path / "trunk" / "state.safetensors")
    annealed = [*network, "--anneal-from", tmp_path / "trunk", "--steps", "2"]
    for before, after, minutes, step in (("none", "one", 1e-9, 3), ("one", "two", 9, 4)):
        done = train_slice(tmp_path / before, tmp_path / after, minutes, *annealed)
        assert done.returncode == 0, done.stderr
        with safe_open(tmp_path / after / "state.00", "pt") as state:
            assert state.metadata()["step"] == str(step)


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
