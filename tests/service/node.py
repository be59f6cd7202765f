"""Programs that Node runs, and packages of npm that they need."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

UNREACHABLE = ("EAI_AGAIN", "ENOTFOUND", "ECONNREFUSED", "ECONNRESET", "ENETUNREACH", "ETIMEDOUT")


def run_node(*words: object, cwd: Path | None = None, **environment: str) -> str:
    """What a program prints in this environment, or in that of the tests; the test is skipped without Node."""
    if (node := shutil.which("node")) is None:
        pytest.skip("Node is not installed")
    line = [node, *map(str, words)]
    done = subprocess.run(
        line, cwd=cwd, env=environment or None, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def with_packages(source: Path, folder: Path, *names: str) -> Path:
    """A folder with these files and the packages that are pinned beside them, from npm's cache or the registry."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    for name in ("package.json", "package-lock.json", *names):
        shutil.copy(source / name, folder)
    words = ["npm", "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if any(f"code {reason}" in done.stderr for reason in UNREACHABLE):
        pytest.skip("npm's registry cannot be reached")
    assert done.returncode == 0, done.stderr
    return folder
