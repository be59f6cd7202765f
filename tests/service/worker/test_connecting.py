"""A worker whose Redis cannot be reached waits for it and says so, without tracebacks."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ancestral.service.cli.local.embedded import EmbeddedRedis
from tests.service.servers import command

SECONDS = 480.0
"""Kernels may have to be compiled first, on a busy machine."""


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]


def eventually(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_worker_waits_for_redis(environment: dict[str, str], tmp_path: Path) -> None:
    socket, log = tmp_path / "redis" / "redis.sock", tmp_path / "log"
    models = len(list(Path(environment["ANCESTRAL_MODELS_DIR"]).glob("*/model.json")))
    settings = environment | {"ANCESTRAL_REDIS_URL": f"unix://default:secret@{socket}"}

    def logged(message: str) -> list[dict[str, Any]]:
        return [line for line in lines(log) if line["message"] == message]

    with log.open("w") as output, subprocess.Popen(command("worker"), env=settings, stderr=output) as worker:
        try:
            eventually(lambda: len(logged("model warm")) == models)
            eventually(lambda: logged("Redis is unavailable, retrying"))
            time.sleep(2.0)  # several attempts
            (line,) = logged("Redis is unavailable, retrying")
            assert line["redis"] == f"unix://default:***@{socket}"
            assert not logged("worker ready")
            with EmbeddedRedis(tmp_path):
                eventually(lambda: logged("worker ready"))
                worker.terminate()
                assert worker.wait(SECONDS) == 0
        finally:
            worker.kill()
    assert len(logged("connected to Redis")) == 1
    assert not [line for line in lines(log) if "traceback" in line]
    assert "secret" not in log.read_text()


def test_a_worker_that_waits_can_be_stopped(environment: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "log"
    settings = environment | {"ANCESTRAL_REDIS_URL": f"unix://{tmp_path}/nowhere"}
    with log.open("w") as output, subprocess.Popen(command("worker"), env=settings, stderr=output) as worker:
        try:
            eventually(lambda: "Redis is unavailable" in log.read_text())
            worker.terminate()
            assert worker.wait(SECONDS) == 0
        finally:
            worker.kill()
