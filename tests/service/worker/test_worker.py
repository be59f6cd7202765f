"""A worker: how it feeds its scheduler, what it loads, how it connects, and where it looks for jobs."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partialmethod
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock

import httpx
import numpy as np
import pytest
import soundfile

from ancestral.catalog.catalog import BUNDLED, CatalogConfig
from ancestral.catalog.descriptions import Part
from ancestral.loader import load_models
from ancestral.requests import Speak
from ancestral.speech.sampler import SpeechSampler
from ancestral.speech.utterance import utterance
from ancestral_models.engines.base import Stream
from ancestral_models.scheduler import Scheduler
from ancestral_service.broker.job import Priority, Signals, Status, SymbolsLost
from ancestral_service.broker.workers import Lease, Workers
from ancestral_service.cli.local.embedded import EmbeddedRedis
from ancestral_service.jobs.attempt import AttemptContext, Stop
from ancestral_service.jobs.plans import dump
from ancestral_service.jobs.sampling_attempt import FED_SECONDS, ScoringAttempt, SoundAttempt
from ancestral_service.settings import Settings
from ancestral_service.telemetry.metrics import WorkerMetrics
from ancestral_service.worker import ClaimOrder, renew_leases, run_worker
from tests.service.broker.support import MODELS, WORKER, Broker, claimed, job, run, submitted, without_models
from tests.service.redis_servers import Node, RealRedis
from tests.service.servers import ServeProcess, Server, command, process_of, running
from tests.service.shaky import slow_proxy
from tests.service.speech.sounds import recording
from tests.service.toys import ASYNC, GENERATION, write_model
from tests.waiting import eventually

# A worker prepares the sentences that it samples next, and not the whole text.


RATE = 16000


class Counting(SpeechSampler):
    """Counts the samples of the streams that it opens."""

    opened = 0

    def open(self, part: Part) -> Stream:
        type(self).opened += part.request.length
        return super().open(part)


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path, {})
    eventually(node.client.ping)
    yield node
    node.close()


def test_sentences_are_prepared_shortly_before_they_are_sampled(zoo: Path, valkey: Node) -> None:
    models = load_models(CatalogConfig((zoo,)), "native", only="tiny")
    model = models.speech_model("tiny", "speech")
    sampler = Counting(**vars(models.sound(model)))
    said = utterance(models, model, models.voice(model, "ann"), "1" * 4096, Speak(seed=7))
    settings = Settings(models_dir=zoo)

    async def listen(broker: Broker) -> None:
        """Somebody who has read nothing for a while."""
        await submitted(broker, 1, payload=dump(said), paced=True)
        lease = await claimed(broker)
        assert lease is not None
        context = AttemptContext(settings, models, scheduler, pool, WorkerMetrics(), lambda priority: False)
        attempt = SoundAttempt(context, sampler, lease, said)
        running = asyncio.create_task(attempt.run())
        while (await broker.clients.job(lease.job.id)).samples_total is None:  # type: ignore[union-attr]
            await asyncio.sleep(0.05)
        attempt.stop(Stop.CANCELLED)
        await running

    scheduler = Scheduler(1)
    with ThreadPoolExecutor(2) as pool:
        run(RealRedis(f"redis://127.0.0.1:{valkey.port}"), listen)
    scheduler.close()
    longest = max(sampler.timing(said, index).length for index in range(len(said.sentences)))
    assert len(said.sentences) > 100
    assert 0 < Counting.opened <= (settings.ahead_seconds + FED_SECONDS) * RATE + longest


# The text front-end runs in API processes only: workers get phonemes.


_LINE = b"\nzucchini\t"
"""A part of the lexicon."""


def _holds(pid: int, data: bytes) -> bool:
    """Whether the memory of a process has these bytes."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            addresses, rights, *_ = line.split()
            begin, end = (int(address, 16) for address in addresses.split("-"))
            if rights.startswith("rw"):
                memory.seek(begin)
                if data in memory.read(end - begin):
                    return True
    return False


@pytest.mark.slow
def test_a_worker_does_not_load_the_lexicon(serve_process: ServeProcess) -> None:
    words = "Zyxquoth brillig slithyish toves."
    with serve_process() as server:
        assert server.speak(input=words).status_code == 200
        form = {"model": "tiny", "voice": "ann", "text": words}
        httpx.post(f"{server.url}/v1/audio/likelihood", data=form, files={"file": ("a.wav", recording())}, timeout=60)
        assert _holds(server.process.pid, _LINE)
        assert _holds(process_of(server, "worker"), b"ancestral_service.worker")
        assert not _holds(process_of(server, "worker"), _LINE)


# A worker whose Redis cannot be reached waits for it and says so, without tracebacks.


SECONDS = 480.0
"""Kernels may have to be compiled first, on a busy machine."""


def test_a_worker_waits_for_redis(environment: dict[str, str], zoo: Path, tmp_path: Path) -> None:
    socket, log = tmp_path / "redis" / "redis.sock", tmp_path / "log"
    shutil.copytree(zoo / "tiny", tmp_path / "models" / "tiny")
    settings = environment | {
        "ANCESTRAL_REDIS_URL": f"unix://default:secret@{socket}", "ANCESTRAL_MODELS_DIR": str(tmp_path / "models"),
    }  # fmt: skip

    def logged(message: str) -> list[dict[str, Any]]:
        whole = (json.loads(line) for line in log.read_text().splitlines() if line.endswith("}"))
        return [line for line in whole if line["message"] == message]

    with log.open("w") as output, subprocess.Popen(command("worker"), env=settings, stderr=output) as worker:
        try:
            eventually(lambda: logged("model warm"))
            eventually(lambda: logged("Redis is unavailable, retrying"))
            time.sleep(1.0)  # several attempts
            (line,) = logged("Redis is unavailable, retrying")
            assert line["redis"] == f"unix://default:***@{socket}"
            assert not logged("worker ready")
            with EmbeddedRedis(tmp_path):
                eventually(lambda: logged("worker ready"))
                worker.terminate()
                assert worker.wait(SECONDS) == 0
        finally:
            worker.kill()
    assert len(logged("connected to Redis")) == 1
    assert not re.search("secret|traceback", log.read_text())


def test_a_worker_that_waits_can_be_stopped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def stopped() -> None:
        none: Any = SimpleNamespace(samplers={}, left_out={}, models={})
        stopping = asyncio.Event()
        settings = Settings(redis_url=f"unix://{tmp_path}/nowhere")
        working = asyncio.create_task(run_worker(settings, none, stopping, None))
        async with asyncio.timeout(SECONDS):
            while "Redis is unavailable, retrying" not in caplog.messages:
                await asyncio.sleep(0.01)
            stopping.set()
            await working

    asyncio.run(stopped())


# In which shards a worker looks for its next job, and that it stops to look when it is told to.


@pytest.mark.parametrize("turns", range(6))
def test_a_worker_that_is_woken_while_it_is_told_to_stop_stops(turns: int) -> None:
    """However many turns of the event loop lie in between."""

    async def stopped() -> bool:
        order = ClaimOrder(1)
        waiting = asyncio.create_task(order.next())
        await asyncio.sleep(0.01)
        order.wake(0)
        for _ in range(turns):
            await asyncio.sleep(0)
        if waiting.done():
            return True  # it had been told where to look before it was to stop
        waiting.cancel()
        await asyncio.wait([waiting])
        return waiting.cancelled()

    assert asyncio.run(stopped())


def test_a_worker_that_was_full_looks_into_all_its_shards_at_once() -> None:
    async def looked_at() -> list[int]:
        order = ClaimOrder(32)
        order.serve(range(8))
        for _ in range(8):
            await order.next()
        order.wake(5)
        order.wake_all()
        return [await order.next() for _ in range(8)]  # not four of them after a second

    assert asyncio.run(looked_at()) == [5, 0, 1, 2, 3, 4, 6, 7]


def test_a_slot_is_the_last_free_one_only_while_it_is() -> None:
    lasts, leases = list[bool](), [Mock(suspect=False)]

    async def claim(*_: Any, last: bool, **__: Any) -> Any:
        lasts.append(last)
        return leases.pop() if leases else None

    async def serve() -> None:
        worker, ends = without_models(SimpleNamespace(shards=1, claim=claim), interactive_slots=2), asyncio.Event()
        worker._perform = lambda lease: ends.wait()  # type: ignore[method-assign]
        serving = asyncio.create_task(worker._serve(Priority.INTERACTIVE))
        for count in (2, 3):
            worker._claims[Priority.INTERACTIVE].wake(0)
            async with asyncio.timeout(10):
                while len(lasts) < count:
                    await asyncio.sleep(0.01)
            ends.set()
            await asyncio.sleep(0.01)
        serving.cancel()

    asyncio.run(serve())
    assert lasts[:3] == [False, True, False]


# The leases of a worker that has many jobs and a slow connection to Redis; when a slow listener is parked.


JOBS = 40
LEASE, RENEWED_AFTER, ROUND_TRIP = 2.5, 0.5, 0.1
"""Seconds, less than outside of the tests. One after another, the round trips would take longer than a lease lasts."""


class Attempt(ScoringAttempt):
    """Samples nothing. Its reader waits at 5 symbols, and so slowly that it could be parked."""

    found: dict[str, Any] | None = None
    completed = 0

    async def work(self) -> dict[str, Any] | None:
        return self.found

    def on_completed(self) -> None:
        self.completed += 1

    def parking_position(self, now: float) -> int | None:
        return 5


def attempt(lease: Any, *, full: bool = False) -> Attempt:
    context: Any = AttemptContext.__new__(AttemptContext)
    object.__setattr__(context, "is_full", lambda priority: full)
    unused: Any = None
    return Attempt(context, unused, lease, unused)


def test_a_worker_with_many_jobs_keeps_its_leases_over_a_slow_connection(
    valkey: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workers, "renew", partialmethod(Workers.renew, seconds=LEASE))
    monkeypatch.setattr("ancestral_service.worker.RENEW_SECONDS", RENEWED_AFTER)

    async def work(slow_url: str) -> list[Any]:
        near, far = Broker(f"redis://127.0.0.1:{valkey.port}"), Broker(slow_url)
        await near.workers.announce("w", WORKER, [0])
        await submitted(near, JOBS)
        attempts = []
        for _ in range(JOBS):
            lease = await near.workers.claim("interactive", "w", MODELS, lease=60.0)  # type: ignore[arg-type]
            assert lease is not None
            attempts.append(attempt(Lease(far.connection, lease.job, lease.attempt)))
        renewing, lost = asyncio.create_task(renew_leases(far.workers, attempts)), list[Any]()
        other, until = Workers(near.connection), time.monotonic() + LEASE * 1.3
        while time.monotonic() < until:
            for each in attempts:  # there is something to store of each
                each.lease.note(total=int(time.monotonic() * 1000))
            lost += await other.reclaim("interactive", lease=LEASE)  # type: ignore[arg-type]
            await asyncio.sleep(0.25)
        renewing.cancel()
        with suppress(asyncio.CancelledError):
            await renewing
        assert all(each.stopped is None for each in attempts)
        totals = [(await near.clients.job(each.job.id)).samples_total for each in attempts]  # type: ignore[union-attr]
        assert all(totals), "what was noted is stored"
        for broker in (near, far):
            await broker.close()
        return lost

    with slow_proxy(valkey.port, ROUND_TRIP) as url:
        assert asyncio.run(work(url.replace("http", "redis"))) == []


@pytest.mark.parametrize(
    ("queued", "full", "stopped"), [(1, True, Stop.PARKED), (1, False, None), (0, True, None)], ids=str
)
def test_a_slow_listener_is_parked_only_for_a_job_that_finds_no_slot(
    queued: int, full: bool, stopped: Stop | None
) -> None:
    lease: Any = type("Lease", (), {"attempt": 1, "job": None})()
    slow = attempt(lease, full=full)
    slow.job = type("Job", (), {"priority": "interactive"})()  # type: ignore[assignment]
    slow.check(Signals(1, Status.IN_PROGRESS, 0, suspend=False, symbols_lost=False, queued=queued))
    assert slow.stopped is stopped


@pytest.mark.parametrize(("lost", "parked"), [(None, 5), ("before", -1), ("after", -1)])
def test_a_job_is_not_parked_at_symbols_that_redis_has_lost(lost: str | None, parked: int) -> None:
    slow = attempt(lease := Mock(attempt=1, release=AsyncMock()), full=True)
    if lost == "before":
        slow.on_symbols_lost()
    slow.check(Signals(1, Status.IN_PROGRESS, 0, suspend=False, symbols_lost=False, queued=1))
    if lost == "after":
        slow.on_symbols_lost()
    asyncio.run(slow._run())
    lease.release.assert_awaited_once_with(parked)


@pytest.mark.parametrize("stopped", [None, Stop.RELEASED])
@pytest.mark.parametrize(("ended", "outcome"), [([True], "done"), ([False], "cancelled"), ([SymbolsLost], "released")])
def test_an_attempt_has_completed_its_job_if_redis_says_so(stopped: Stop | None, ended: Any, outcome: str) -> None:
    finished = attempt(Mock(end=AsyncMock(side_effect=ended), release=AsyncMock()))
    finished.found, finished.stopped = {}, stopped
    assert asyncio.run(finished._run()) == outcome
    assert finished.completed == (outcome == "done")


def test_an_attempt_at_what_another_version_has_written_is_counted_as_failed() -> None:
    async def perform() -> dict[str, float | None]:
        worker = without_models(SimpleNamespace(shards=1))
        worker._loaded_models.samplers["tiny"] = worker._context = Mock()
        await worker._perform(Mock(job=job(payload="{}"), attempt=1, end=AsyncMock()))
        labels, value = {"priority": "interactive"}, worker._metrics.registry.get_sample_value
        ends = value("ancestral_attempt_ends_total", labels | {"end": "failed"})
        return {"begun": value("ancestral_attempts_total", labels), "failed": ends}

    assert asyncio.run(perform()) == {"begun": 1, "failed": 1}


# The model that ships, through the server: every voice speaks.


TEXTS = {
    "en": "The birch canoe slid on the smooth planks.",
    "es": "La canoa de abedul se deslizó por las tablas lisas.",
    "fr": "Le canot de bouleau glissa sur les planches lisses.",
    "hi": "नदी का पानी बिल्कुल साफ़ था।",
    "it": "La canoa di betulla scivolò sulle assi lisce.",
    "pt": "A canoa de bétula deslizou sobre as tábuas lisas.",
}


@pytest.mark.slow
@pytest.mark.parametrize(("model", "count"), [("wavenet-en", 6), ("wavenet-multilingual", 20), ("wavenet-hindi", 1)])
def test_every_voice_speaks(bundled: Server, model: str, count: int) -> None:
    voices = json.loads((BUNDLED / model / "model.json").read_text())["voices"]
    assert len(voices) == count
    sounds = set()
    for voice in voices:
        text = TEXTS[voice["language"].partition("-")[0]]
        response = bundled.speak(model=model, voice=voice["id"], input=text)
        assert response.status_code == 200, response.text
        samples, rate = soundfile.read(io.BytesIO(response.content))
        assert rate == (16000 if model == "wavenet-en" else 24000)
        assert 1.5 < len(samples) / rate < 8
        assert 0.01 < np.sqrt(np.mean(samples**2)) < 0.5
        sounds.add(response.content)
    assert len(sounds) == len(voices)


# A deployment's engine: what clients are told of it, and what becomes of a job that another engine began.


@pytest.mark.slow
def test_a_job_is_not_continued_where_sums_round_otherwise(serve_process: ServeProcess, tmp_path: Path) -> None:
    """An engine of the same name that computes something else of the probe's symbols."""
    write_model(tmp_path / "zoo" / "free", kind="audio")
    own = {"models_dir": str(tmp_path / "zoo"), "engine": "native", "batch_slots": 1}
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nif 'worker' in sys.orig_argv:\n"
        "    from ancestral_models.engines.speech.native import NativeEngine\n"
        "    NativeEngine.probe = lambda _: b'other'\n"
    )
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory(prefix="anc-") as data:
        with serve_process(data_dir=data, **own) as server:
            body = GENERATION | {"duration": 1200.0}
            job = httpx.post(f"{server.url}/v1/audio/generations", json=body, headers=ASYNC).json()["id"]
            eventually(lambda: httpx.get(f"{server.url}/v1/jobs/{job}").json()["samples_done"])
            assert server.stop() == 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", path)
            with running(dict(os.environ), data_dir=data, **own) as server:
                begun = server.ended(job)
                assert (begun["status"], begun["error"]["code"]) == ("failed", "engine_changed")
                assert server.generate(model="free").headers["x-engine"] == "native-int8"
