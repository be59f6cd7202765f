"""What the tests of containers share: what an environment of theirs would mean to the program, and tools."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

import pytest

from ancestral.service.settings import PREFIX, Settings, load_settings
from tests.paths import ROOT

UID = 10001
"""Id of the user in the image."""


def settings(environment: Mapping[str, str]) -> Settings:
    """What the program reads from an environment; fails as the program does."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    with mock.patch.dict(os.environ, clean | dict(environment), clear=True):
        return load_settings()


def run_tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command line tool, from this environment or the system; the test is skipped where there is none."""
    beside = Path(sys.executable).with_name(name)
    tool = str(beside) if beside.exists() else shutil.which(name)
    if tool is None:
        pytest.skip(f"{name} is not installed")
    return subprocess.run([tool, *arguments], cwd=ROOT, capture_output=True, text=True)
