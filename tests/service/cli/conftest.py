"""What several test files share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ancestral.service.cli.main import ancestral
from ancestral.service.settings import PREFIX

Run = Callable[..., Result]


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
    return lambda *arguments: CliRunner().invoke(ancestral, [str(a) for a in arguments])
