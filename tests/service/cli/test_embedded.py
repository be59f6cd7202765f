"""The bundled Valkey and the supervisor: start, restart after a kill, and no process left when the parent is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as NoConnection

from ancestral.service.cli.local import embedded
from ancestral.service.cli.local.embedded import EmbeddedError, EmbeddedRedis
from tests.service.cli.child_processes import CHILD, alive, eventually, parent_of, pids, python

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and PR_SET_PDEATHSIG")
PARENT = f"""
import signal, sys
from pathlib import Path
from ancestral.service.cli.local.embedded import EmbeddedRedis
from ancestral.service.cli.local.supervised_process import SupervisedProcess

signal.signal(signal.SIGINT, lambda *_: print("interrupted", flush=True))
data = Path(sys.argv[1])
worker = [sys.executable, "-c", {CHILD!r}]
with EmbeddedRedis(data) as redis, SupervisedProcess("worker", worker, grace_seconds=5, output=data / "worker"):
    print(redis.url, flush=True)
    sys.stdin.read()
"""


@contextmanager
def connected(url: str) -> Iterator[Redis]:
    with closing(Redis.from_url(url, decode_responses=True)) as client:
        yield client


def server_pid(url: str) -> int | None:
    """The pid of the Valkey that answers, and has loaded its data."""
    with connected(url) as client:
        try:
            client.ping()  # refused while it loads, unlike INFO
            return int(client.info("server")["process_id"])
        except NoConnection:
            return None


def store(url: str, value: str) -> None:
    """Set `key`, and wait until it is on the disk."""
    with connected(url) as client:
        client.set("key", value)
        assert client.execute_command("WAITAOF", 1, 0, 10_000)[0] == 1


def stored(url: str) -> str | None:
    with connected(url) as client:
        return client.get("key")


@contextmanager
def parent(data: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process, in a group of its own, that has started both; and the URL."""
    with subprocess.Popen(
        [*python(PARENT), str(data)],
        env=os.environ | {"PYTHONWARNINGS": "error"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url.startswith("unix:///")
            eventually(lambda: pids(data / "worker"))
            yield process, url
        finally:
            process.kill()


def test_data_survives_a_stop(tmp_path: Path) -> None:
    redis = EmbeddedRedis(tmp_path / "da%ta dir", 1 << 30)
    redis.start()
    with connected(redis.url) as client:
        assert client.ping() is True
        memory = client.config_get("maxmemory*")
        assert (memory["maxmemory"], memory["maxmemory-policy"]) == (str(1 << 30), "noeviction")
        client.set("key", "before")
    first, url = server_pid(redis.url), redis.url
    redis.stop()
    assert first is not None
    assert not alive(first)
    redis.start()
    try:
        assert (stored(redis.url), redis.url) == ("before", url)
    finally:
        redis.stop()
        redis.stop()


def test_nobody_else_may_read(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path):
        assert (tmp_path / "redis").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "redis" / "redis.sock").stat().st_mode & 0o777 == 0o700


def test_a_killed_valkey_comes_back_with_its_data(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with EmbeddedRedis(tmp_path) as redis:
        store(redis.url, "kept")
        for _ in range(2):
            killed = server_pid(redis.url)
            assert killed is not None
            os.kill(killed, signal.SIGKILL)
            eventually(lambda killed=killed: server_pid(redis.url) not in (None, killed))
            assert stored(redis.url) == "kept"
    out, err = capfd.readouterr()
    assert out == ""
    lines = [json.loads(line) for line in err.splitlines()]
    assert [(line["message"], line["exit_code"]) for line in lines] == 2 * [("valkey ended, restarting it", -9)]


@pytest.mark.parametrize(
    "end", [b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$100\r\ntor", bytes(200_000), b"*3\r\n$3\r\nSE" + bytes(4096)]
)
def test_a_torn_end_of_the_file_is_dropped(tmp_path: Path, end: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with EmbeddedRedis(tmp_path) as redis:
        store(redis.url, "whole")
    (log,) = (tmp_path / "redis" / "appendonlydir").glob("*.incr.aof")
    with log.open("ab") as file:
        file.write(end)
    damaged = log.read_bytes()
    with EmbeddedRedis(tmp_path) as redis:
        assert stored(redis.url) == "whole"
        if end.endswith(b"\0"):
            assert log.with_name(f"{log.name}.damaged").read_bytes() == damaged
            assert "zeros cut off the append-only file" in caplog.messages


def test_a_file_that_cannot_be_read(tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "ANSWER_SECONDS", 4.0)
    with EmbeddedRedis(tmp_path) as redis:
        store(redis.url, "lost")
    (log,) = (tmp_path / "redis" / "appendonlydir").glob("*.incr.aof")
    log.write_bytes(b"nonsense\r\n" * 100)
    with pytest.raises(EmbeddedError, match=r"valkey\.log ends with:\n(.*\n)*.*Bad file format"):
        EmbeddedRedis(tmp_path).start()
    monkeypatch.setattr(embedded, "LOCK_SECONDS", 0.0)
    log.write_bytes(b"")
    with EmbeddedRedis(tmp_path) as redis:  # the failed one holds no lock
        assert stored(redis.url) is None
    assert not list(temporary.iterdir())


def test_a_second_server_of_a_directory_is_refused_at_once(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as redis:
        store(redis.url, "mine")
        begun = time.monotonic()
        with pytest.raises(EmbeddedError) as refused:
            EmbeddedRedis(tmp_path).start()
        assert time.monotonic() - begun < 3
        assert f"{tmp_path / 'redis'} is in use by another ancestral, process {os.getpid()}: " in str(refused.value)
        assert "ANCESTRAL_DATA_DIR" in str(refused.value)
        assert stored(redis.url) == "mine"


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedError, match="cannot write to"):
        EmbeddedRedis(tmp_path / "file").start()


def test_a_long_path(tmp_path: Path, temporary: Path) -> None:
    data = tmp_path / ("long" * 30)
    redis = EmbeddedRedis(data)
    for value in (None, "far"):
        redis.start()
        assert redis.url.startswith(f"unix://{temporary}/")
        assert (data / "redis" / "appendonlydir").is_dir()
        assert stored(redis.url) == value
        store(redis.url, "far")
        redis.stop()
        assert not list(temporary.iterdir())


def test_no_room_for_a_socket_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    far = tmp_path / ("long" * 30)
    far.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(far))
    with pytest.raises(EmbeddedError, match="TMPDIR"):
        EmbeddedRedis(far).start()
    assert [entry.name for entry in far.iterdir()] == ["redis"]


@pytest.mark.parametrize("name", ["data", "long" * 30])
def test_a_killed_parent_leaves_nothing(tmp_path: Path, temporary: Path, name: str) -> None:
    data = tmp_path / name
    with parent(data) as (process, url):
        valkey = server_pid(url)
        assert valkey is not None
        left = {valkey, *pids(data / "worker")[0]}
        if sys.platform == "linux":
            left.add(parent_of(valkey))
        assert all(alive(pid) for pid in left)
        store(url, "orphan")
        process.kill()
        with EmbeddedRedis(data) as redis:  # waits for the Valkey that is still exiting
            assert stored(redis.url) == "orphan"
        eventually(lambda: not any(alive(pid) for pid in left))
    assert not list(temporary.iterdir())


def test_ctrl_c_does_not_reach_them(tmp_path: Path) -> None:
    with parent(tmp_path) as (process, url):
        first = server_pid(url)
        assert first is not None
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.readline() == "interrupted\n"
        assert server_pid(url) == first
        os.kill(first, signal.SIGKILL)  # a supervisor that was asked to stop would not restart it
        eventually(lambda: server_pid(url) not in (None, first))
        left = [server_pid(url), *(pid for pid, _ in pids(tmp_path / "worker"))]
        assert [alive(pid) for pid in left] == [True, True]
        process.communicate("")  # end of input, on which it exits
        assert process.returncode == 0
        assert [alive(pid) for pid in left] == [False, False]


@linux_only
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_supervisor_comes_back(tmp_path: Path, temporary: Path, number: int) -> None:
    with EmbeddedRedis(tmp_path / ("long" * 30)) as redis:
        valkey = server_pid(redis.url)
        assert valkey is not None
        store(redis.url, "kept")
        os.kill(parent_of(valkey), number)
        eventually(lambda: not alive(valkey))
        eventually(lambda: server_pid(redis.url) not in (None, valkey))
        assert stored(redis.url) == "kept"
    assert not list(temporary.iterdir())
