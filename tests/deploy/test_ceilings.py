"""The ceilings of lines of code: what counts, what `make lint` refuses, and that they only go down."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.paths import ROOT

PYTHON = '''"""A module: no line of this
counts."""

# nor this
LIMIT = 2
"""What it is for."""


def total(  # two lines
    number: int,
) -> str:
    """None of these.

    But for the text that follows.
    """
    return """three
lines
"""
'''
C = "/* a file\n * in C */\n\n#include <stdint.h>\n// nothing\nint two;\n"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    for name, text in {"models/text/a.py": PYTHON, "models/text/b.c": C, "models/c.py": "X = 1\n"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "again").symlink_to("models")
    (tmp_path / "models/link.py").symlink_to("c.py")
    (tmp_path / ".ci").mkdir()
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    (tmp_path / "models/untracked.py").write_text("Y = 1\n")

    def run(*arguments: str, ceilings: str = "") -> subprocess.CompletedProcess[str]:
        if ceilings:
            (tmp_path / ".ci/ceilings").write_text(ceilings)
        line = [sys.executable, ROOT / ".ci/lines.py", *arguments]
        return subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)

    return run


def test_only_code_of_tracked_files_is_counted(run: Run) -> None:
    rows = [line.split()[:3] for line in run().stdout.splitlines()]
    assert rows == [["models", "1", "1"], ["models/text", "9", "2"], ["source", "10", "3"], ["tests", "0", "0"]]


@pytest.mark.parametrize(
    ("ceilings", "status", "said"),
    [
        ("models 1\nmodels/text 9\n", 0, "No package is above its ceiling.\n"),
        ("models 1\nmodels/text 8  # tables\n", 1, "models/text: 9 lines of code, its ceiling is 8\n"),
        ("models/text 9\n", 1, "models: no ceiling\n"),
        ("models 21\nmodels/text 9\n", 0, "No package is above its ceiling.\n"),
    ],
)
def test_a_package_may_not_be_above_its_ceiling(run: Run, ceilings: str, status: int, said: str) -> None:
    done = run("--check", ceilings=ceilings)
    assert (done.returncode, done.stdout) == (status, said)


def test_ceilings_only_go_down(run: Run, tmp_path: Path) -> None:
    done = run("--check", ceilings="gone 5\nmodels 40  # tables\nmodels/text 8\n")
    assert "hint: models has 1 lines, its ceiling is 40" in done.stdout
    run("--lower")
    assert (tmp_path / ".ci/ceilings").read_text() == "models 1  # tables\nmodels/text 8\n"
