"""The bundled Valkey and the supervisor of child processes: start, restarts, signals, output, what a kill leaves."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as NoConnection

from ancestral_service.cli.local import embedded, supervisor
from ancestral_service.cli.local.embedded import EmbeddedError, EmbeddedRedis, SupervisedProcess
from ancestral_service.settings import load_settings
from tests.waiting import eventually

CHILD = "import os, time; print(os.getpid(), os.getppid(), flush=True); time.sleep(600)"


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return sys.platform != "linux"
    except ProcessLookupError:
        return False


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def pids(output: Path) -> list[tuple[int, int]]:
    """Pid and supervisor's pid of every process that has run `CHILD` with this output.

    Python may print other lines there, when it is stopped while it exits.
    """
    text = output.read_text() if output.exists() else ""
    return [(int(child), int(parent)) for child, parent in re.findall(r"^(\d+) (\d+)\n", text, re.MULTILINE)]


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and PR_SET_PDEATHSIG")
PARENT = f"""
import signal, sys
from pathlib import Path
from ancestral_service.cli.local.embedded import EmbeddedRedis
from ancestral_service.cli.local.embedded import SupervisedProcess

signal.signal(signal.SIGINT, lambda *_: print("interrupted", flush=True))
data = Path(sys.argv[1])
worker = [sys.executable, "-c", {CHILD!r}]
with EmbeddedRedis(data) as redis, SupervisedProcess("worker", worker, grace_seconds=5, output=data / "worker"):
    print(redis.url, flush=True)
    sys.stdin.read()
"""


def connected(url: str) -> closing[Redis]:
    return closing(Redis.from_url(url, decode_responses=True))


def server_pid(url: str) -> int | None:
    """The pid of the Valkey that answers, and has loaded its data."""
    with connected(url) as client, suppress(NoConnection):
        client.ping()  # refused while it loads, unlike INFO
        return int(client.info("server")["process_id"])
    return None


def store(url: str, value: str) -> None:
    """Set `key`, and wait until it is on the disk."""
    with connected(url) as client:
        client.set("key", value)
        assert client.execute_command("WAITAOF", 1, 0, 10_000)[0] == 1


def stored(url: str) -> str | None:
    with connected(url) as client:
        return client.get("key")


def returns(url: str, before: int) -> bool:
    """Whether another Valkey answers."""
    return server_pid(url) not in (None, before)


@contextmanager
def parent(data: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process, in a group of its own, that has started both; and the URL."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    own = os.environ | {"PYTHONWARNINGS": "error"}
    with subprocess.Popen([*python(PARENT), str(data)], env=own, start_new_session=True, **pipes) as process:
        try:
            url = process.stdout.readline().strip()
            assert url.startswith("unix:///")
            eventually(lambda: pids(data / "worker"))
            yield process, url
        finally:
            process.kill()


def test_the_worker_of_serve_listens_where_serve_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --host, which its environment has not got."""
    told = tmp_path / "told"
    program = f"import os, pathlib; pathlib.Path({str(told)!r}).write_text(os.environ['ANCESTRAL_HOST'])"
    monkeypatch.setattr(embedded, "_WORKER", python(program))
    with embedded.start_worker(load_settings({}, host="::1"), "unix:///nowhere"):
        eventually(lambda: told.exists() and told.read_text() == "::1")


def test_data_survives_a_stop(tmp_path: Path) -> None:
    data = tmp_path / "da%ta dir"
    redis = EmbeddedRedis(data, 1 << 30)
    with redis, connected(redis.url) as client:
        memory = client.config_get("maxmemory*")
        assert (memory["maxmemory"], memory["maxmemory-policy"]) == (str(1 << 30), "noeviction")
        client.set("key", "before")
        first, url = server_pid(redis.url), redis.url
        modes = [path.stat().st_mode & 0o777 for path in (data / "redis", data / "redis" / "redis.sock")]
        assert modes == [0o700, 0o700]  # nobody else may read
    assert not alive(first)
    with redis:
        assert (stored(redis.url), redis.url) == ("before", url)
        redis.stop()


def test_a_killed_valkey_comes_back_with_its_data(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with EmbeddedRedis(tmp_path) as redis:
        store(redis.url, "kept")
        for _ in range(2):
            killed = server_pid(redis.url)
            os.kill(killed, signal.SIGKILL)
            eventually(partial(returns, redis.url, killed))
            assert stored(redis.url) == "kept"
    out, err = capfd.readouterr()
    lines = [(line["message"], line["exit_code"]) for line in map(json.loads, err.splitlines())]
    assert (out, lines) == ("", 2 * [("valkey ended, restarting it", -9)])


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
    def unanswered(redis: EmbeddedRedis) -> bytes:
        eventually(lambda: "Bad file format" in redis._log_end())
        return b""

    with EmbeddedRedis(tmp_path) as redis:
        store(redis.url, "lost")
    (log,) = (tmp_path / "redis" / "appendonlydir").glob("*.incr.aof")
    log.write_bytes(b"nonsense\r\n" * 100)
    with monkeypatch.context() as patch:
        patch.setattr(embedded, "ANSWER_SECONDS", 0.0)
        patch.setattr(EmbeddedRedis, "_ping", unanswered)
        with pytest.raises(EmbeddedError, match=r"valkey\.log ends with:\n(.*\n)*.*Bad file format"):
            EmbeddedRedis(tmp_path).start()
    monkeypatch.setattr(embedded, "LOCK_SECONDS", 0.0)
    log.write_bytes(b"")
    with EmbeddedRedis(tmp_path) as redis:  # the failed one holds no lock
        assert stored(redis.url) is None
    assert not list(temporary.iterdir())


def test_a_second_server_of_a_directory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "OWNER_SECONDS", 0.0)
    with EmbeddedRedis(tmp_path) as redis:
        store(redis.url, "mine")
        with pytest.raises(EmbeddedError) as refused:
            EmbeddedRedis(tmp_path).start()
        assert f"{tmp_path / 'redis'} is in use by another ancestral, process {os.getpid()}: " in str(refused.value)
        assert "ANCESTRAL_DATA_DIR" in str(refused.value)
        assert stored(redis.url) == "mine"


@pytest.mark.parametrize("name", ["data", "long" * 30])
def test_a_killed_parent_leaves_nothing(tmp_path: Path, temporary: Path, name: str) -> None:
    data = tmp_path / name
    with parent(data) as (process, url):
        valkey = server_pid(url)
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
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
        assert server_pid(url) == first
        os.kill(first, signal.SIGKILL)  # a supervisor that was asked to stop would not restart it
        eventually(partial(returns, url, first))
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
        store(redis.url, "kept")
        os.kill(parent_of(valkey), number)
        eventually(lambda: not alive(valkey))
        eventually(partial(returns, redis.url, valkey))
        assert stored(redis.url) == "kept"
    assert not list(temporary.iterdir())


# The supervisor of child processes: restarts, signals, output.


def test_it_loads_little() -> None:
    program = "import sys, ancestral_service.cli.local.supervisor; print(*sys.modules)"
    loaded = subprocess.run(python(program), capture_output=True, text=True, check=True).stdout.split()
    assert not {"click", "numpy", "pydantic", "redis"} & set(loaded)


def test_it_is_restarted_again_and_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "output"
    with SupervisedProcess("child", python(CHILD.replace("600", "0")), grace_seconds=5, output=output):
        eventually(lambda: len(pids(output)) >= 4)
    restarts = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["pause_seconds"] for line in restarts[:3]] == [0.1, 0.2, 0.4]
    assert {line["exit_code"] for line in restarts} == {0}
    assert len({supervisor for _, supervisor in pids(output)}) == 1


def test_one_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    stubborn = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {CHILD}"
    process = SupervisedProcess("child", python(stubborn), grace_seconds=0.2, output=tmp_path / "output")
    eventually(lambda: pids(tmp_path / "output"))
    process.stop()
    assert not any(alive(pid) for pid in pids(tmp_path / "output")[0])


def test_children_of_the_child_go_with_it(tmp_path: Path) -> None:
    program = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {CHILD!r}]); {CHILD}"
    with SupervisedProcess("child", python(program), grace_seconds=5, output=tmp_path / "output"):
        eventually(lambda: len(pids(tmp_path / "output")) == 2)
    eventually(lambda: not any(alive(pid) for pid, _ in pids(tmp_path / "output")))


def test_the_child_holds_what_it_is_given() -> None:
    reads, writes = os.pipe()
    holder = python(f"import os, time; os.write({writes}, b'held\\n'); time.sleep(600)")
    with open(reads, "rb") as pipe:
        with SupervisedProcess("child", holder, grace_seconds=5, descriptors=(writes,)):
            os.close(writes)
            assert select.select([pipe], [], [], 60)[0]
            assert pipe.readline() == b"held\n"
        assert pipe.read() == b""  # end of file: no process holds it any more


def test_output_does_not_grow_for_ever(tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.write_bytes(b"x" * supervisor.OUTPUT_BYTES + b"\n")
    with SupervisedProcess("child", python(CHILD), grace_seconds=5, output=output):
        eventually(lambda: output.stat().st_size < 100 and pids(output))


def test_a_package_of_the_same_name_nearby(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ancestral_service").mkdir()
    (tmp_path / "ancestral_service" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(tmp_path)
    with SupervisedProcess("child", python(CHILD), grace_seconds=5, output=tmp_path / "output"):
        eventually(lambda: pids(tmp_path / "output"))
