"""Commands that run in the process of the tests."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ancestral.settings import PREFIX
from ancestral_service.cli.main import ancestral as group
from tests.service.servers import Server, command
from tests.waiting import eventually

Run = Callable[..., Any]
"""Runs a command to its end."""


@contextmanager
def listening(environment: dict[str, str], port: int, *line: str) -> Iterator[None]:
    """Run a command until the block ends, which begins when the port is open; it ends with exit code 0."""

    def is_open() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    with subprocess.Popen(command(*line), env=environment) as process:
        try:
            eventually(lambda: is_open() or process.poll() is not None)
            yield
        finally:
            process.terminate()
        assert process.wait(60) == 0


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read_aloud(ok: Run, text: Path, output: Path, *options: object) -> bytes:
    """What ``ancestral read`` makes of a book."""
    assert ok("read", text, "-o", output, "--model", "tiny", "--seed", 7, *options).stdout == b""
    return output.read_bytes()


def killed(line: list[str], environment: dict[str, str], parts: Path, count: int, number: int) -> int:
    """The exit code of a reader that gets a signal as soon as so many parts are finished."""
    process = subprocess.Popen(line, env=environment, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(list(parts.glob("*.flac"))) < count:
        time.sleep(0.005)
    process.send_signal(number)
    return process.wait(60)


@pytest.fixture(scope="module", params=["here", "by a server"])
def where(request: pytest.FixtureRequest, server: Server) -> list[str]:
    """The options that say who samples."""
    return [] if request.param == "here" else ["--url", server.url]


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory for temporary files, which a test must leave empty.

    Not below tmp_path, which grows with the name of the test and the number of runs: sockets need short paths.
    """
    with tempfile.TemporaryDirectory() as directory:
        monkeypatch.setenv("TMPDIR", directory)
        monkeypatch.setattr(tempfile, "tempdir", directory)
        yield Path(directory)


@pytest.fixture
def run(zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process, with the tiny models."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ANCESTRAL_MODELS_DIR", str(zoo))
    monkeypatch.setenv("ANCESTRAL_DATA_DIR", str(tmp_path / "data"))
    return lambda *arguments: CliRunner().invoke(group, [str(a) for a in arguments])


@pytest.fixture(scope="session")
def ok(ancestral: Run) -> Run:
    """Run a command in this process that must succeed."""

    def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess[bytes]:
        done = ancestral(*map(str, arguments), **variables)
        assert done.returncode == 0, done.stderr
        return done

    return run
