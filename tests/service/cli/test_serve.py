"""`ancestral serve` and `ancestral keys` as an operator sees them: a terminal, a banner, probes, a file of keys."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shlex
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result
from starlette.datastructures import Headers

from ancestral.catalog.catalog import Catalog
from ancestral.command_line import address_of
from ancestral_service.api.http.auth import Keys, digest
from ancestral_service.cli.main import ancestral
from ancestral_service.cli.serve import banner
from ancestral_service.jobs.state import Caller
from tests.service.servers import ServeProcess, Server, command
from tests.service.toys import SPEECH
from tests.waiting import eventually

# `ancestral serve` as its operator sees it: lines and a banner on a terminal, quiet probes, Ctrl-C twice.


SECONDS = 480.0
"""Kernels may have to be compiled first, on a busy machine."""


@contextmanager
def on_a_terminal(environment: dict[str, str], data: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[str]]]:
    """`ancestral serve` on a free port, until the block ends; and what it shows on its terminal."""
    ours, theirs = pty.openpty()
    shown: list[str] = []

    def read() -> None:
        with suppress(OSError):  # EIO: nobody has the other end open any more
            while True:
                shown.append(os.read(ours, 65536).decode(errors="replace").replace("\r\n", "\n"))

    own = {"ANCESTRAL_DATA_DIR": str(data), "TERM": "xterm"}
    process = subprocess.Popen(command("serve", "--port", "0"), env=environment | own, stderr=theirs)
    os.close(theirs)
    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield process, shown
    finally:
        process.terminate()
        process.wait(SECONDS)
        reader.join(SECONDS)
        os.close(ours)


def test_a_terminal_shows_lines_and_a_banner(environment: dict[str, str], tmp_path: Path) -> None:
    with on_a_terminal(environment, tmp_path) as (process, shown):
        for words in ("Ctrl-C stops the server.", "worker ready"):  # of two processes, in any order
            eventually(lambda words=words: words in "".join(shown) or process.poll() is not None, SECONDS)
            assert words in "".join(shown)
        plain = re.sub(r"\x1b\[\d+m", "", "".join(shown))
        assert re.search(r"\d\d  info     worker ready ", plain)  # the worker logs text, too
        address = re.search(r"Ancestral is ready: (http://127\.0\.0\.1:\d+)\n", plain)
        example = re.search(r"  curl (.*?) \\\n(.*)\n", plain)
        url, _, output, _, header, _, body = shlex.split(f"{example[1]} {example[2]}")
        assert (url, output) == (f"{address[1]}/v1/audio/speech", "hello.wav")
        made = httpx.post(url, content=body, headers=[tuple(header.split(": "))], timeout=60.0)
        assert made.status_code == 200
        assert made.content.startswith(b"RIFF")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert "Traceback" not in "".join(shown)


def test_a_second_ctrl_c_cancels_requests(serve_process: ServeProcess) -> None:
    endless = SPEECH | {"input": "The birch canoe slid on. " * 160, "speed": 0.25, "sample_rate": 48000}
    with serve_process(shutdown_seconds=600) as server, server.client() as client:
        with client.stream("POST", "/v1/audio/speech", json=endless) as response:
            assert response.status_code == 200
            body = response.iter_raw()
            next(body)
            server.process.send_signal(signal.SIGINT)
            eventually(lambda: any(line["message"] == "stopping" for line in server.log))
            assert server.process.poll() is None
            assert server.stop(signal.SIGINT) == 0
            with pytest.raises(httpx.TransportError):
                for _ in body:
                    pass
        eventually(lambda: any(line["message"] == "worker stopping" for line in server.log))
    assert not [line for line in server.log if "traceback" in line or "Traceback" in line["message"]]


def test_a_busy_port_names_its_setting(ancestral: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = ancestral("serve", ANCESTRAL_PORT=port)
    assert done.returncode == 1
    assert f"port {port}: Address already in use; ANCESTRAL_PORT takes another" in done.stderr.decode()


def test_the_address_of_a_server_is_that_of_its_own_machine() -> None:
    assert [address_of(host, 80) for host in ("::", "0.0.0.0")] == ["http://[::1]:80", "http://127.0.0.1:80"]


@pytest.mark.parametrize("name", ["free", "subclasses", "grey"])
def test_the_example_of_a_banner_works(catalog: Catalog, server: Server, name: str) -> None:
    text = banner(Catalog({name: catalog.models[name]}), server.url, page=True, keys=False, colours=False)
    example = re.search(r"  curl (.*?) \\\n(.*)\n", text)
    url, *_, body = shlex.split(f"{example[1]} {example[2]}")
    answer = httpx.post(url, content=body, headers={"content-type": "application/json"}, timeout=60.0)
    assert answer.status_code == 200, answer.text


# `ancestral keys`: what it prints, what it writes, and what it leaves alone.


Run = Callable[..., Result]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "etc" / "keys"


@pytest.fixture
def run(file: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `ancestral keys` on the file, in a directory that is there."""
    monkeypatch.delenv("ANCESTRAL_API_KEYS_FILE", raising=False)
    file.parent.mkdir()
    return lambda *arguments: CliRunner().invoke(ancestral, ["keys", *arguments, "--file", str(file)])


def refused(result: Result, code: int, message: str) -> None:
    assert (result.exit_code, message in result.stderr, result.stdout) == (code, True, ""), result.output
    assert isinstance(result.exception, SystemExit)


def caller(file: Path, key: str) -> Caller:
    return Keys(file).identify(Headers({"xi-api-key": key}))


def test_a_key_is_shown_once_and_kept_as_a_hash(run: Run, file: Path) -> None:
    made = run("create", "laptop")
    key = made.stdout.removesuffix("\n")
    assert file.read_text() == f"laptop {digest(key).hex()}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert ("laptop added" in made.stderr, key in made.stderr) == (True, False)
    assert caller(file, key) == Caller("laptop")


def test_limits_are_kept_with_the_key(run: Run, file: Path) -> None:
    run("create", "one", "--requests-per-minute", "60")
    key = run("create", "two", "--concurrent-streams", "2", "--requests-per-minute", "99999").stdout.strip()
    assert caller(file, key) == Caller("two", 99999, 2)
    listed = run("list")
    assert listed.stdout == "one requests_per_minute=60\ntwo requests_per_minute=99999 concurrent_streams=2\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *((("one", option, value), option) for option in ("--requests-per-minute", "--concurrent-streams")
          for value in ("0", "-1", "100000", "many")),
        *(((name,), "must be 1 to 64 letters") for name in ("", "a b", "a#b", "a\nb", ".a", "älice", "a" * 65)),
    ],
)  # fmt: skip
def test_wrong_limits_and_names(run: Run, file: Path, arguments: tuple[str, ...], message: str) -> None:
    refused(run("create", *arguments), 2, message)
    assert not file.exists()


def test_a_name_is_given_once(run: Run, file: Path) -> None:
    run("create", "laptop")
    before = file.read_bytes()
    refused(run("create", "laptop"), 1, "laptop has a key already")
    assert file.read_bytes() == before


def test_what_people_wrote_stays(run: Run, file: Path) -> None:
    file.write_text(f"# ours\nold {digest('a').hex()} # 2019\n\n  # theirs\nkept {digest('b').hex()}")
    file.chmod(0o640)
    key = run("create", "new").stdout.strip()
    assert run("revoke", "old").exit_code == 0
    kept = f"# ours\n\n  # theirs\nkept {digest('b').hex()}\nnew {digest(key).hex()}\n"
    assert file.read_text() == kept
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    for name in ("old", "ours"):
        refused(run("revoke", name), 1, f"{name} has no key")
    assert file.read_text() == kept
    assert [path.name for path in file.parent.iterdir()] == ["keys"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_stays(run: Run, file: Path) -> None:
    run("create", "a")
    os.chown(file, 12345, 54321)
    assert (run("create", "b").exit_code, run("revoke", "a").exit_code) == (0, 0)
    assert (file.stat().st_uid, file.stat().st_gid) == (12345, 54321)


def test_a_link_stays_a_link(run: Run, file: Path, tmp_path: Path) -> None:
    file.symlink_to(tmp_path / "real")
    run("create", "a")
    assert run("create", "b").exit_code == 0
    assert file.is_symlink()
    assert (tmp_path / "real").read_text().count("\n") == 2


@pytest.mark.parametrize("arguments", [("create", "b"), ("revoke", "a"), ("list",)])
def test_a_wrong_file_is_left_alone(run: Run, file: Path, arguments: tuple[str, ...]) -> None:
    file.write_text("a anc_not-a-hash\n")
    refused(run(*arguments), 1, f"{file}: line 1: sha256: ")
    assert file.read_text() == "a anc_not-a-hash\n"
    assert "not-a-hash" not in run(*arguments).output


def test_both_agree_where_the_file_is(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(CliRunner().invoke(ancestral, ["keys", "list"]), 2, "--file")
    run("create", "a")
    monkeypatch.setenv("ANCESTRAL_API_KEYS_FILE", str(file))
    assert CliRunner().invoke(ancestral, ["keys", "list"]).stdout == "a\n"


def test_commands_take_turns(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run("create", "first").stdout.strip()
    asked, held, lock = threading.Event(), list[tuple[int, int]](), fcntl.flock
    directory = os.open(file.parent, os.O_RDONLY)
    lock(directory, fcntl.LOCK_EX)

    def flock(descriptor: int, how: int) -> None:
        held.append((os.fstat(descriptor).st_ino, how))
        asked.set()
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with ThreadPoolExecutor() as pool:
        try:
            second = pool.submit(run, "create", "second")
            assert asked.wait(60)
            file.write_text(file.read_text().replace("first", "renamed"))
        finally:
            os.close(directory)
        assert [caller(file, key).name for key in (first, second.result().stdout.strip())] == ["renamed", "second"]
    assert held == [(file.parent.stat().st_ino, fcntl.LOCK_EX)]
