"""Servers under test, on real sockets: an API and a worker in a thread of this process; or `ancestral serve`, a process
of its own, for what needs a signal, a kill or a descriptor."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from redis import Redis
from redis.cluster import ClusterNode, RedisCluster

from ancestral.catalog.catalog import load_catalog
from ancestral.loader import load_models
from ancestral.settings import PREFIX
from ancestral_service.api.app import create_app
from ancestral_service.api.http.auth import Keys
from ancestral_service.api.server import server_of
from ancestral_service.cli.local.supervisor import listen
from ancestral_service.settings import Settings, load_settings
from ancestral_service.telemetry.logging import json_handler
from ancestral_service.worker import run_worker
from tests.service.redis_servers import Node, cluster
from tests.service.toys import GENERATION, SPEECH
from tests.waiting import awaited, eventually

Log = list[dict[str, Any]]
_log: ContextVar[Log] = ContextVar("log")


@dataclass
class Server:
    """A running server."""

    url: str
    port: int
    log: Log
    redis_url: str | None

    def terminate(self) -> None:
        """Tell it to stop, as SIGTERM does."""
        raise NotImplementedError

    def wait(self, seconds: float = 30) -> int:
        """Wait until it has stopped; its exit code."""
        raise NotImplementedError

    def stop(self) -> int:
        """Stop it; its exit code."""
        self.terminate()
        return self.wait()

    @contextmanager
    def unharmed(self) -> Iterator[None]:
        """Nothing in this block may fail within the server; what tests before it have had fail does not count."""
        before = len(self.log)
        yield
        assert not [line for line in self.log[before:] if "traceback" in line]

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60.0, **options)

    def speak(self, headers: dict[str, str] | None = None, /, **changes: Any) -> httpx.Response:
        """POST the standard request, changed; a change to None takes the field out."""
        body = {key: value for key, value in (SPEECH | changes).items() if value is not None}
        return httpx.post(f"{self.url}/v1/audio/speech", json=body, headers=headers, timeout=240.0)

    def generate(self, headers: dict[str, str] | None = None, **changes: Any) -> httpx.Response:
        """The same for sound without text."""
        body = {key: value for key, value in (GENERATION | changes).items() if value is not None}
        return httpx.post(f"{self.url}/v1/audio/generations", json=body, headers=headers, timeout=60.0)

    def ended(self, job: str, **options: Any) -> dict[str, Any]:
        """A job, once it has ended."""

        def found() -> dict[str, Any] | None:
            response = httpx.get(f"{self.url}/v1/jobs/{job}", **options)
            job_now: dict[str, Any] = response.json()
            running = response.status_code == 503 or job_now["status"] in ("queued", "in_progress")
            return None if running else job_now

        return awaited(found, 480) or {}

    def newest(self, other_than: str | None = None) -> str | None:
        """The id of the newest job; of one that is yet to come, if the present one is given."""

        def found() -> list[str | None]:
            job = httpx.get(f"{self.url}/v1/jobs?limit=1").json()["first_id"]
            return [job] if other_than is None or job != other_than else []

        return awaited(found, 60)[0]

    def redis(self) -> Any:
        """A connection to its Redis: one server, or a cluster."""
        url = self.redis_url
        assert url is not None
        if "+cluster://" not in url:
            return Redis.from_url(url)
        nodes = [host.rpartition(":") for host in url.partition("//")[2].split(",")]
        return RedisCluster(startup_nodes=[ClusterNode(host, int(port)) for host, _, port in nodes])

    def wait_until_ready(self, alive: Callable[[], bool]) -> None:
        """Wait until `/readyz` answers 200."""
        eventually(lambda: not alive() or httpx.get(f"{self.url}/readyz", timeout=60.0).status_code == 200)
        assert alive(), self.log


# In threads


class _Logs(logging.Handler):
    """Gives each server in this process the lines that its threads log. A line of a sampling thread, which inherits no
    context, goes to all servers; the lines of the tests themselves to none."""

    def __init__(self) -> None:
        super().__init__()
        self._json = json_handler()
        self.open = list[Log]()

    def emit(self, record: logging.LogRecord) -> None:
        """Append a line to the log of whose it is."""
        own = _log.get(None)
        if self._json.filter(record) and (own is not None or threading.current_thread() is not threading.main_thread()):
            line = json.loads(self._json.format(record))
            for log in self.open if own is None else [own]:
                log.append(line)


_logs = _Logs()


class _Thread:
    """An API, and perhaps a worker beside it, in the event loop of a thread.

    Args:
        settings: of both.
        listener: the socket of the API.
        log: gets what they log.
        worker: whether there is one.
    """

    def __init__(self, settings: Settings, listener: socket.socket, log: Log, *, worker: bool) -> None:
        self._settings, self._listener, self._log, self._has_worker = settings, listener, log, worker
        self._error: BaseException | None = None
        self._stop: Callable[[], object] | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"server {listener.getsockname()[1]}")
        self._thread.start()
        assert self._started.wait(120)

    def alive(self) -> bool:
        """Whether it runs."""
        return self._thread.is_alive()

    def terminate(self) -> None:
        """Tell it to stop, as SIGTERM does."""
        if self._stop is not None and self.alive():
            self._stop()

    def wait(self, seconds: float = 60) -> int:
        """Wait until it has stopped. Raises what has ended it before."""
        self._thread.join(seconds)
        assert not self.alive(), f"it does not stop: {self._log[-10:]}"
        if (error := self._error) is not None:
            self._error = None
            raise error
        return 0

    def _run(self) -> None:
        _log.set(self._log)
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - the thread that stops it raises it
            self._error = error
        finally:
            self._started.set()
            self._listener.close()

    async def _serve(self) -> None:
        settings, stopping = self._settings, asyncio.Event()
        assert settings.redis_url is not None
        keys, catalog = Keys(settings.api_keys_file), load_catalog(settings.catalog_config)
        app = create_app(settings, catalog, keys, settings.redis_url, settings.load_signer())
        server = server_of(app, settings, lambda: None)
        self._stop = partial(asyncio.get_running_loop().call_soon_threadsafe, server.stop)
        worker = asyncio.create_task(self._sample(stopping)) if self._has_worker else None
        self._started.set()
        await server.serve(sockets=[self._listener])
        stopping.set()
        if worker is not None:
            await worker

    async def _sample(self, stopping: asyncio.Event) -> None:
        settings, probes = self._settings, None
        if settings.metrics_port is not None:
            probes = listen(settings.host, settings.metrics_port, "ANCESTRAL_METRICS_PORT")
        models = await asyncio.to_thread(load_models, settings.catalog_config, settings.engine)
        await run_worker(settings, models, stopping, probes)


@dataclass
class ServerThread(Server):
    """A server in a thread of this process."""

    thread: _Thread

    def terminate(self) -> None:
        self.thread.terminate()

    def wait(self, seconds: float = 30) -> int:
        return self.thread.wait(seconds)


class Servers:
    """Starts servers in threads of this process, on one Valkey: each has a database of its own, as if it were its."""

    def __init__(self, folder: Path) -> None:
        self._databases = list(range(1, 64))
        self._of_directory: dict[str | None, int] = {}
        options = {"databases": 64, "appendonly": "no"}
        self._valkey = Node(folder, options)
        eventually(self._valkey.client.ping)
        root = logging.getLogger()
        root.addHandler(_logs)

    def close(self) -> None:
        """Stop the Valkey."""
        logging.getLogger().removeHandler(_logs)
        self._valkey.close()

    @contextmanager
    def _redis(self, data_dir: str | None) -> Iterator[str]:
        """The URL of an empty database; servers with the same ``data_dir`` find what the one before has left."""
        if os.environ["TEST_REDIS"] == "cluster" and data_dir is None:
            with tempfile.TemporaryDirectory(prefix="anc-") as folder, cluster(Path(folder)) as redis:
                yield redis.url
            return
        database = self._of_directory.pop(data_dir, None) or self._databases.pop(0)
        url = f"redis://127.0.0.1:{self._valkey.port}/{database}"
        try:
            yield url
        finally:
            if data_dir is not None:
                self._of_directory[data_dir] = database
            else:
                with Redis.from_url(url) as client:
                    client.flushdb()
                self._databases.append(database)

    @contextmanager
    def start(
        self, environment: dict[str, str], *, worker: bool = True, until: str | None = None, **settings: str | int
    ) -> Iterator[Server]:
        """Serve on a free port with these settings besides, until the block ends.

        The block is entered when `/readyz` says yes or, if `until` is given, when that is logged. Unless told otherwise
        the server has a data directory, a Redis and a worker of its own.
        """
        given: dict[str, Any] = {
            name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)
        }
        with ExitStack() as stack:
            given |= {"data_dir": stack.enter_context(tempfile.TemporaryDirectory(prefix="anc-"))} | settings
            if "redis_url" not in given:
                given["redis_url"] = stack.enter_context(self._redis(settings.get("data_dir")))
            listener = listen("127.0.0.1", given.pop("port", 0), "ANCESTRAL_PORT")
            port = listener.getsockname()[1]
            logging.getLogger().setLevel(logging.INFO)  # a command in this process may have raised it
            log: Log = []
            _logs.open.append(log)
            stack.callback(_logs.open.remove, log)
            thread = _Thread(load_settings({}, **given), listener, log, worker=worker)
            stack.callback(thread.wait)
            stack.callback(thread.terminate)
            server = ServerThread(f"http://127.0.0.1:{port}", port, log, given["redis_url"], thread)
            if until is None:
                server.wait_until_ready(thread.alive)
            else:
                eventually(lambda: any(line["message"] == until for line in log))
            yield server


# As a process


def command(*arguments: str) -> list[str]:
    """The command line of `ancestral`, as it was installed beside this Python."""
    return [str(Path(sys.executable).with_name("ancestral")), *arguments]


@dataclass
class ServerProcess(Server):
    """`ancestral serve`."""

    process: subprocess.Popen[str]

    def terminate(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = 30) -> int:
        return self.process.wait(seconds)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; its exit code."""
        self.terminate(number)
        return self.wait()


class LoggedProcess:
    """A process of `ancestral`, and what it logs."""

    def __init__(self, environment: Mapping[str, str], *words: str) -> None:
        self.log: Log = []
        self.process = subprocess.Popen(
            command(*words), env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self.log.append(json.loads(line) if line.startswith("{") else {"message": line})

    def said(self, message: str) -> Log:
        """Lines of its log."""
        return [line for line in self.log if line["message"] == message]

    def end(self) -> int:
        """Stop it, if it runs; its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(60)
        self._reader.join(60)
        return code


@contextmanager
def running(
    environment: dict[str, str], *arguments: str, until: str | None = None, **settings: str | int
) -> Iterator[ServerProcess]:
    """Run `ancestral serve` on a free port with these settings besides, until the block ends; entered as
    :meth:`Servers.start` is."""
    with tempfile.TemporaryDirectory(prefix="anc-") as data, ExitStack() as stack:
        own = environment | {"ANCESTRAL_DATA_DIR": data}
        own |= {f"ANCESTRAL_{name.upper()}": str(value) for name, value in settings.items()}
        if os.environ["TEST_REDIS"] == "cluster" and "ANCESTRAL_REDIS_URL" not in own and "data_dir" not in settings:
            own["ANCESTRAL_REDIS_URL"] = stack.enter_context(cluster(Path(data))).url
        started = LoggedProcess(own, "serve", "--port", "0", *arguments)
        stack.callback(started.end)
        process = started.process
        eventually(lambda: started.said("listening") or process.poll() is not None)
        assert process.poll() is None, started.log
        port = started.said("listening")[0]["port"]
        url = own.get("ANCESTRAL_REDIS_URL")
        server = ServerProcess(f"http://127.0.0.1:{port}", port, started.log, url, process)
        if until is None:
            server.wait_until_ready(lambda: process.poll() is None)
        else:
            eventually(lambda: started.said(until) or process.poll() is not None)
        yield server


Serve = Callable[..., AbstractContextManager[Server]]
"""Type of the fixture `serve`."""
ServeProcess = Callable[..., AbstractContextManager[ServerProcess]]
"""Type of the fixture `serve_process`."""


def descendants(pid: int) -> list[int]:
    """The children of a process, and theirs."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [grandchild for child in children for grandchild in descendants(child)]


def command_line(pid: int) -> list[str]:
    """What a process was started with."""
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


def process_of(server: ServerProcess, word: str) -> int:
    """The pid of what `serve` started: `worker`, or `valkey`."""
    for pid in descendants(server.process.pid):
        words = command_line(pid)
        if "ancestral_service.cli.local.supervisor" not in words and any(word in part for part in words):
            return pid
    raise AssertionError(f"no {word}")


def redis_of(server: ServerProcess) -> Any:
    """A connection to the Redis of a server: the one that it brought along, or a cluster."""
    if server.redis_url is not None:
        return server.redis()
    for pid in descendants(server.process.pid):
        words = command_line(pid)
        if "--unixsocket" in words:  # its supervisor; Valkey itself writes over its own
            return Redis(unix_socket_path=words[words.index("--unixsocket") + 1])
    raise AssertionError("no Redis of its own")


@dataclass(frozen=True)
class Holdings:
    """What a process holds."""

    memory_kb: int
    files: int


def holdings(server: ServerProcess) -> dict[str, Holdings]:
    """Memory and files of the process that answers and of the one that samples."""
    found = {}
    for name, pid in (("api", server.process.pid), ("worker", process_of(server, "worker"))):
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        found[name] = Holdings(int(lines["VmRSS"].split()[0]), files)
    return found
