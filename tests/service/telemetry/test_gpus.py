"""The GPUs of a worker's machine; where there is none, the rest is no worse for it."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from ancestral.service.telemetry import gpus

with_gpu = pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no NVIDIA GPU")


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there is a GPU")
def test_none() -> None:
    assert gpus.read() == []


@pytest.mark.gpu
@with_gpu
def test_they_are_those_of_nvidia_smi() -> None:
    pytest.importorskip("pynvml")
    asked = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    lines = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    found = gpus.read()
    assert [card.name for card in found] == [line.split(", ")[0] for line in lines]
    for card, line in zip(found, lines, strict=True):
        assert card.memory_total_bytes == pytest.approx(float(line.split(", ")[1]) * 2**20, rel=0.05)
        assert 0 < card.memory_used_bytes <= card.memory_total_bytes
        assert 0 <= card.busy_ratio <= 1
        assert card.power_watts > 0
