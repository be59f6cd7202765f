"""A deployment of real processes, all of which can be killed, and work that is under way."""

from __future__ import annotations

import itertools
import json
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import httpx
import pytest

from ancestral_models.native_build import variants
from ancestral_service.broker.job import key
from tests.chaos.servers import KINDS, PRIORITIES
from tests.service.api.job_requests import accepted, check_envelope
from tests.service.servers import LoggedProcess, Server, ServerProcess, running
from tests.service.toys import ASYNC, SPEECH
from tests.waiting import eventually

# The clock of one process, which a test may put forward or back: a library that is loaded before the process's own.


_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static volatile long *ahead;
__attribute__((constructor)) static void begin(void) {
    int file = open(getenv("CLOCK_FILE"), O_RDONLY);
    ahead = mmap(0, sizeof *ahead, PROT_READ, MAP_SHARED, file, 0);
}
int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(id, now);
    if (id == CLOCK_REALTIME) now->tv_sec += *ahead;
    return failed;
}
int gettimeofday(struct timeval *now, void *zone) {
    struct timespec precise;
    int failed = clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return failed;
}
time_t time(time_t *to) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (to) *to = now.tv_sec;
    return now.tv_sec;
}
"""


class Clock:
    """A clock that processes have which are started with :attr:`environment`; the machine's, without a C compiler."""

    environment: Mapping[str, str] = MappingProxyType({})

    def __init__(self, folder: Path) -> None:
        if (compiler := shutil.which("cc")) is None:
            return
        source, library, self._file = (folder / name for name in ("clock.c", "clock.so", "ahead"))
        source.write_text(_SOURCE)
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        self._file.write_bytes(bytes(8))
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_FILE": str(self._file)}

    def set(self, ahead: int) -> None:
        """Let it be so many seconds ahead of the machine's."""
        if not self.environment:
            pytest.skip("no C compiler here")
        with self._file.open("r+b") as file:  # which they have mapped
            file.write(struct.pack("q", ahead))


# What several test files share.


SECONDS = 120.0
"""Generous: nothing that is waited for takes more than a few seconds on a quiet machine."""


class Process(LoggedProcess):
    """A worker."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__(environment, "worker")
        self.pid = self.process.pid

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """End the process with SIGKILL."""
        self.send(signal.SIGKILL)
        self.process.wait()


# What the chaos tests share: a deployment of real processes, all of which can be killed, and work that is under way.


LISTENED, FETCHED = 17, 3
"""Requests of the work: somebody listens, or somebody fetches the sound later."""
FOR_EVER = (
    ("counter",), ("durations", "interactive"), ("durations", "batch"), ("enrolled",),
    ("enrolled_until",),
)  # fmt: skip
"""Keys that may be there for ever, by their kind."""
_WORDS = ("birch canoe", "smooth planks", "sheet to the dark", "depth of a well", "rare dish", "lemons", "box", "hogs")


def order(number: int) -> dict[str, Any]:
    """Request number ``number`` of the work: no two have the same text, voice and seed."""
    words = f"The {_WORDS[number % 8]} slid {'very ' * (number % 3)}slowly past number {number}. "
    forms = ("wav", "pcm", "flac") if number < LISTENED else ("wav", "mp3", "flac", "opus")
    return SPEECH | {
        "input": (words * 100)[: 240 if number < LISTENED else 4096],
        "voice": ("ann", "bob")[number % 2],
        "seed": 1000 + number // 2,
        "speed": 0.25 if number < LISTENED else 0.6,
        "response_format": forms[number % len(forms)],
    }


class House:
    """A Redis, two API processes, and as many workers as a test likes.

    Args:
        environment: of every process.
        data: a folder for what Redis keeps.
        kind: of :data:`tests.chaos.servers.KINDS`.
    """

    def __init__(self, environment: Mapping[str, str], data: Path, kind: str = "one") -> None:
        self._data, self.kind = data, kind
        data.mkdir(exist_ok=True)
        self.clock = Clock(data)
        """Of Redis."""
        self._environment = dict(environment)
        self.worker_logs: list[list[dict[str, Any]]] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            with pytest.MonkeyPatch.context() as patch:
                for name, value in self.clock.environment.items():
                    patch.setenv(name, value)
                self.servers = stack.enter_context(KINDS[self.kind](self._data))
            self.environment = self._environment | {
                **self.servers.settings,
                "ANCESTRAL_REDIS_URL": self.servers.url,
                "ANCESTRAL_INTERACTIVE_SLOTS": "20",
                "ANCESTRAL_BATCH_SLOTS": "20",
                "ANCESTRAL_AHEAD_SECONDS": "1",
                "ANCESTRAL_CHUNK_MS": "200",
                "ANCESTRAL_MAX_UPLOAD_SECONDS": "600",
                "ANCESTRAL_STALL_SECONDS": "600",
                "ANCESTRAL_JOB_SECONDS": "600",
                "ANCESTRAL_STREAM_SECONDS": "600",
            }
            with self.workers(1):  # or none would ever be ready
                self.apis = [stack.enter_context(self.api()) for _ in range(2)]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *details: Any) -> None:
        self._stack.close()

    @contextmanager
    def api(self, **settings: Any) -> Iterator[ServerProcess]:
        """A further API process, while there is a worker."""
        with running(self.environment, "--no-worker", **settings) as server:
            yield server

    @contextmanager
    def workers(self, count: int, clock: Clock | None = None, **settings: Any) -> Iterator[list[Process]]:
        """Workers that are ready, one after the other with each set of instructions that this processor has. Those that
        live at the end are stopped, and must not have failed at anything."""
        own = self.environment | {f"ANCESTRAL_{name.upper()}": str(value) for name, value in settings.items()}
        own |= clock.environment if clock else {}
        sets = itertools.cycle(variants())
        started = [Process(own | {"NATIVE_INSTRUCTIONS": next(sets)}) for _ in range(count)]
        self.worker_logs += [worker.log for worker in started]
        try:
            for worker in started:
                eventually(partial(worker.said, "worker ready"))
            yield started
        except BaseException:
            print(*(line for worker in started for line in worker.log), sep="\n")  # pytest shows it: why it failed
            raise
        finally:
            codes = [worker.end() for worker in started]
        assert set(codes) <= {0, -signal.SIGKILL}, codes
        for worker in started:
            troubles = [line for line in worker.log if "traceback" in line or "level" not in line]
            assert not troubles, troubles

    def submit(self, number: int) -> str:
        """Ask for a request's sound to be fetched later; the job's id."""
        url = f"{self.apis[number % 2].url}/v1/audio/speech"
        return accepted(httpx.post(url, json=order(number), headers=ASYNC, timeout=SECONDS))

    # Redis

    @property
    def redis(self) -> Any:
        """A client, for commands on one key."""
        return self.servers.client

    def begins(self, job: str) -> list[tuple[int, int | None]]:
        """The attempts at a job: their numbers, and the position of the first symbol that each has published."""
        found: list[tuple[int, int | None]] = []
        for _, fields in self.redis.xrange(key("stream", job)):
            if fields[b"k"] == b"begin":
                found.append((int(fields[b"attempt"]), None))
            elif fields[b"k"] in (b"piece", b"pcm") and found[-1][1] is None:
                found[-1] = (found[-1][0], int(fields[b"p"]))
        return found

    def running(self) -> set[str]:
        """Jobs that a worker has leased."""
        return {job for priority in PRIORITIES for job in self.servers.members("running", priority)}

    def are_under_way(self, jobs: Sequence[str], fetched: Sequence[str]) -> bool:
        """Whether a worker runs each of them, and has stored a snapshot; a fast one may have ended one that is fetched
        before a slow one has begun another."""
        going_on = {job for job in jobs if not self.redis.hexists(key("job", job), "completed_at")}
        assert going_on & {*fetched}, "all that is fetched has ended before all was running: make it longer"
        return going_on <= self.running() and all(self.redis.exists(key("snapshot", job)) for job in going_on)

    def attempt(self, job: str) -> int:
        """How often it was begun."""
        return self._number(job, "attempt")

    def done(self, job: str) -> int:
        """How many of its symbols were handed on."""
        return self._number(job, "samples_done")

    def deaths(self, job: str) -> int:
        """How many workers in a row died while they ran it, without progress."""
        return self._number(job, "deaths")

    def _number(self, job: str, field: str) -> int:
        return int(self.redis.hget(key("job", job), field) or 0)

    def holder(self, job: str) -> int:
        """The pid of the worker that runs it; 0 if that is none."""
        worker: bytes | None = self.redis.hget(key("job", job), "worker") if job in self.running() else None
        return 0 if worker is None else int(worker.rsplit(b"-", 2)[1])

    def all_are(self, status: int) -> bool:
        """Whether every API process answers so to whoever asks if it is ready."""
        return all(httpx.get(f"{api.url}/readyz", timeout=SECONDS).status_code == status for api in self.apis)

    def check_that_nothing_is_taken(self) -> None:
        """What clients hear while Redis is unavailable, or keeps nothing."""
        for api in self.apis:
            assert httpx.get(f"{api.url}/healthz", timeout=SECONDS).status_code == 200
            check_envelope(httpx.get(f"{api.url}/readyz", timeout=SECONDS), 503, None)
            for headers in ({}, ASYNC, {"idempotency-key": "away"}):
                refused = httpx.post(f"{api.url}/v1/audio/speech", json=order(0), headers=headers, timeout=SECONDS)
                check_envelope(refused, 503, None)
                assert int(refused.headers["retry-after"]) >= 1

    def check_that_nothing_is_left(self) -> None:
        """No job holds a place, and no key stays for ever but the few that everybody shares."""
        with suppress(AssertionError):
            eventually(lambda: not self._places(), seconds=40)
        assert self._places() == []
        for_ever = {name for kind in FOR_EVER for name in self.servers.names(*kind)}
        assert {name for name in self._all_keys() if self.redis.ttl(name) == -1} <= for_ever
        assert [self.redis.hlen(name) for name in self.servers.names("worker_info")] == [
            self.redis.zcard(name) for name in self.servers.names("workers")
        ]

    def _places(self) -> list[str]:
        return [name for name in self._all_keys() if name.split(":")[2] in ("waiting", "running", "unfinished")]

    def _all_keys(self) -> list[str]:
        return [name.decode() for name in self.redis.scan_iter(count=1000)]


def connected(port: int) -> socket.socket:
    """A connection that holds little: else the kernel would take whole bodies for a client that does not read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000)
    connection.settimeout(SECONDS)
    connection.connect(("127.0.0.1", port))
    return connection


class Listener(threading.Thread):
    """A client that reads the beginning of a body and the rest only when it may."""

    def __init__(self, api: Server, body: Mapping[str, Any], may: threading.Event, **headers: str) -> None:
        super().__init__()
        self.body = b""
        self.error: Exception | None = None
        self.job = ""
        self.begun = threading.Event()
        self._request = json.dumps(body), headers | {"content-type": "application/json"}
        self._may = may
        self._connection = HTTPConnection("127.0.0.1", api.port)
        self._connection.sock = connected(api.port)
        self.start()

    def run(self) -> None:
        try:
            self._connection.request("POST", "/v1/audio/speech", *self._request)
            response = self._connection.getresponse()
            assert response.status == 200, response.read()
            self.job = response.headers["x-job-id"]
            read = [response.read(1024)]
            self.begun.set()
            assert self._may.wait(SECONDS)
            self._connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            while piece := response.read(4096):
                read.append(piece)
            self.body = b"".join(read)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error
        finally:
            self._connection.close()
            self.begun.set()


@dataclass
class Work:
    """The twenty requests, under way."""

    house: House
    listeners: list[Listener]
    jobs: list[str]
    may: threading.Event = field(default_factory=threading.Event)

    @property
    def ids(self) -> list[str]:
        """Ids of all jobs, in the order of the requests."""
        return [listener.job for listener in self.listeners] + self.jobs

    def done(self) -> list[int]:
        """How many symbols of each job were handed on: as many as before, where nobody reads."""
        return [self.house.done(job) for job in self.ids]

    def finish(self) -> list[bytes]:
        """Let the listeners read, wait for all ends, and give the bodies in the order of the requests."""
        self.may.set()
        for listener in self.listeners:
            listener.join(SECONDS)
            assert listener.error is None, (listener.error, self._told(listener.job))
        ended = [self.house.apis[1].ended(job) for job in self.jobs]
        assert [job["status"] for job in ended] == ["completed"] * len(ended), ended
        return [listener.body for listener in self.listeners] + [self._content(job) for job in self.jobs]

    def _told(self, job: str) -> list[Any]:
        """What Redis has of a job, and what was said of it."""
        record = self.house.redis.hgetall(key("job", job))
        logs = [*(api.log for api in self.house.apis), *self.house.worker_logs]
        return [record, *(line for log in logs for line in log if line.get("job") == job)]

    def _content(self, job: str) -> bytes:
        url = f"{self.house.apis[0].url}/v1/jobs/{job}/content"
        response = answer(lambda: httpx.get(url, timeout=SECONDS))
        assert response.status_code == 200, response.text
        return response.content


def answer(ask: Callable[[], httpx.Response], lost: tuple[type[Exception], ...] = ()) -> httpx.Response:
    """What is answered at last: asked again while Redis is away, or after an answer that was lost in one of these
    ways."""
    until = time.monotonic() + SECONDS
    while True:
        with suppress(*lost):
            response = ask()
            if response.status_code != 503:
                return response
        assert time.monotonic() < until
        time.sleep(0.02)


@contextmanager
def work(house: House, numbers: Sequence[int] = range(LISTENED + FETCHED)) -> Iterator[Work]:
    """The requests of these numbers, all of them running."""
    may = threading.Event()
    listeners = [Listener(house.apis[number % 2], order(number), may) for number in numbers if number < LISTENED]
    own = Work(house, listeners, [], may)
    try:
        for listener in listeners:
            assert listener.begun.wait(SECONDS)
            assert listener.error is None, listener.error
        # What is fetched has the workers to itself: a slow one begins it before a fast one has ended its own.
        eventually(lambda: len({(time.sleep(0.5), *own.done()) for _ in range(4)}) == 1)
        with ThreadPoolExecutor(FETCHED) as pool:  # at once, or the first would have ended
            own.jobs += pool.map(house.submit, [number for number in numbers if number >= LISTENED])
        eventually(lambda: house.are_under_way(own.ids, own.jobs))
        yield own
    finally:
        may.set()
        for listener in listeners:
            listener.join(SECONDS)


def by_jobs(workers: Sequence[Process], under_way: Work) -> list[Process]:
    """The workers, those with most of the jobs first."""
    holders = Counter(map(under_way.house.holder, under_way.ids))
    return sorted(workers, key=lambda worker: holders[worker.pid], reverse=True)


def held_by(worker: Process, under_way: Work) -> list[str]:
    """The jobs that a worker runs: some, but not all."""
    held = [job for job in under_way.ids if under_way.house.holder(job) == worker.pid]
    assert 0 < len(held) < len(under_way.ids)
    return held
