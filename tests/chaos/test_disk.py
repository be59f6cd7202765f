"""The disk of Redis is full: nothing is taken that could be lost, and what was taken is done once there is room."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from redis.exceptions import ResponseError

from tests.chaos.servers import Servers
from tests.chaos.support import LISTENED, SECONDS, House, check_that_nothing_is_taken, work
from tests.waiting import eventually

pytestmark = pytest.mark.slow

FULL_SECONDS = 8.0
"""Longer than a worker may show no sign of life."""
NUMBERS = [0, 1, 2, LISTENED, LISTENED + 1]


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of 64 MiB."""
    at = tmp_path_factory.mktemp("disk")
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", at], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    try:
        yield at
    finally:
        subprocess.run(["umount", at], check=True)


@pytest.fixture(scope="module")
def cramped(environment: dict[str, str], kind: str, small_disk: Path) -> Iterator[House]:
    """A deployment whose Redis keeps its data there."""
    with House(environment, small_disk / "data", kind) as house:
        yield house


def fill(path: Path, servers: Servers) -> None:
    """Write to a file until the disk is full, and to each server until it has used up the last page of its own file."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    assert shutil.disk_usage(path.parent).free == 0
    for name in servers.names("workers"):
        with suppress(ResponseError):
            while True:
                servers.client.set(f"{name} ballast", bytes(4096), px=1000)


def test_the_disk_of_redis_is_full(cramped: House, small_disk: Path, expected: list[bytes]) -> None:
    ballast = small_disk / "ballast"
    with cramped.workers(2), work(cramped, NUMBERS) as under_way:
        fill(ballast, cramped.servers)
        try:
            start = time.monotonic()
            under_way.may.set()
            took = eventually(lambda: cramped.all_are(503))
            check_that_nothing_is_taken(cramped)
            time.sleep(max(0.0, start + FULL_SECONDS - time.monotonic()))
            assert cramped.all_are(503)
        finally:
            ballast.unlink()
        cramped.servers.start_ended()  # a server of a cluster ends when it cannot write what it knows of the others
        back = eventually(lambda: cramped.all_are(200))
        print(f"disk full: not ready after {took:.1f} s, ready {back:.1f} s after there was room")
        assert under_way.finish() == [expected[number] for number in NUMBERS]
        # A replica whose append-only file could not be written may have spoilt it until it has copied its master's.
        eventually(cramped.servers.answer)
        with cramped.servers.outage(signal.SIGKILL):  # what it said that it had, it has
            pass
        eventually(lambda: cramped.all_are(200))
        for job, number in zip(under_way.jobs, NUMBERS[-2:], strict=True):
            content = httpx.get(f"{cramped.apis[0].url}/v1/jobs/{job}/content", timeout=SECONDS)
            assert (content.status_code, content.content) == (200, expected[number])
    cramped.check_that_nothing_is_left()
