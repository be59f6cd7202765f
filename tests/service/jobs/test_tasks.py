"""The registry of tasks: its names resolve, each process imports only its half, a manifest finds its task."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from ancestral.catalog.catalog import CatalogConfig, load_catalog
from ancestral.service.broker.job import Job, Priority
from ancestral.service.broker.keys import key
from ancestral.service.detection.tasks import TASKS as DETECTION_TASKS
from ancestral.service.images.tasks import COMPLETION, IMAGE, INTERPOLATION
from ancestral.service.images.tasks import TASKS as IMAGE_TASKS
from ancestral.service.jobs.attempt import JobAttempt
from ancestral.service.jobs.encoder import Encoder
from ancestral.service.jobs.payload import PayloadError
from ancestral.service.jobs.tasks import Task, Tasks
from ancestral.service.speech.tasks import GENERATION, SPEECH
from ancestral.service.speech.tasks import TASKS as SPEECH_TASKS
from tests.service.api.envelope import check_envelope
from tests.service.images.pictures import files, post
from tests.service.servers import Serve, Server
from tests.service.toys import ASYNC

ALL: tuple[Task[Any], ...] = (*SPEECH_TASKS, *IMAGE_TASKS, *DETECTION_TASKS)

_IMPORTS = """
import pkgutil, sys
from ancestral.service.speech.tasks import TASKS as SPEECH_TASKS
from ancestral.service.images.tasks import TASKS as IMAGE_TASKS
from ancestral.service.detection.tasks import TASKS as DETECTION_TASKS
{more}
for task in (*SPEECH_TASKS, *IMAGE_TASKS, *DETECTION_TASKS):
    for name in {names}:
        pkgutil.resolve_name(name)
print(*sorted(set(sys.modules) & {{{modules}}}))
"""


def imported(more: str, names: str, *modules: str) -> str:
    """Those of these modules that a process has imported after it has resolved these names of every task."""
    code = _IMPORTS.format(more=more, names=names, modules=", ".join(map(repr, modules)))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.strip()


@pytest.mark.parametrize("task", ALL, ids=lambda task: task.kind)
def test_what_is_named_exists(task: Task[Any]) -> None:
    attempt = task.attempt_class()
    assert issubclass(attempt, JobAttempt)
    assert not inspect.isabstract(attempt)
    assert (task.encoder is None) == (task.report is not None), "a file of symbols, or figures"
    assert (task.manifest is None) == (task.encoder is None)
    if task.encoder is not None:
        module, _, name = task.encoder.partition(":")
        assert issubclass(getattr(__import__(module, fromlist=[name]), name), Encoder)
    if (rule := task.manifest) is not None:
        assert list(inspect.signature(rule.builder()).parameters) == ["catalog", "settings", "request"]
        assert rule.transport_fields <= rule.schema.model_fields.keys()
        repeated = rule.schema.model_fields.keys() - rule.transport_fields - {rule.upload, "model"}
        assert repeated <= task.payload.__dataclass_fields__.keys()


def test_a_worker_imports_no_web_framework_and_no_codecs() -> None:
    more = "import ancestral.service.cli.worker, ancestral.service.worker.worker, ancestral.loader"
    modules = ("fastapi", "starlette", "uvicorn", "av", "soundfile", "PIL", "pycrfsuite", "gruut_lang_en", "numba")
    assert imported(more, "[task.attempt]", *modules) == "numba"


def test_an_api_process_imports_no_compiled_kernels() -> None:
    names = "[n for n in (task.encoder, task.report, task.manifest and task.manifest.build) if n]"
    assert imported("import ancestral.service.api.app", names, "numba", "torch", "av", "fastapi") == "av fastapi"


@pytest.mark.parametrize(
    ("model", "request_fields", "task"),
    [
        ("tiny", {"input": "Hi.", "voice": "ann"}, SPEECH),
        ("tiny", {"duration": 1.0}, SPEECH),
        ("free", {"duration": 1.0, "voice": "ann"}, GENERATION),
        ("rgb", {"prompt": "cat", "n": 2}, IMAGE),
        ("rgb", {"class": "cat", "surprise": 1}, IMAGE),
        ("rgb", {"prompt": "cat", "rows": 2}, COMPLETION),
        ("rgb", {"prompt": "cat", "rows": 2, "image": "aa"}, COMPLETION),
        ("rgb", {"from": "cat", "to": "dog", "steps": 3}, INTERPOLATION),
        ("grey", {}, IMAGE),
    ],
)
def test_a_request_finds_its_task(
    zoo: Path, model: str, request_fields: dict[str, Any], task: Task[Any], engine: str
) -> None:
    catalog = load_catalog(CatalogConfig((zoo,)))
    assert Tasks(*ALL).manifest_rule(catalog.model(model), {"model": model} | request_fields) is task.manifest


def test_jobs_of_unknown_kinds_are_refused() -> None:
    """A later version may have kinds of jobs that this one does not know."""
    with pytest.raises(PayloadError):
        Tasks(*ALL).payload(Job("dance", Priority.BATCH, "tiny", "aa", "me", "{}", 0.0))


@pytest.fixture(scope="module")
def own_redis(serve: Serve) -> Any:
    """A server, and its Redis."""
    with serve() as server, server.redis() as redis:
        yield server, redis


def test_a_payload_of_another_version_is_refused_by_api_and_worker(own_redis: tuple[Server, Redis]) -> None:
    server, redis = own_redis
    done = server.generate(headers=ASYNC, duration=0.1).json()["id"]
    assert server.ended(done)["status"] == "completed"
    _rewrite(redis, done)
    refused = httpx.get(f"{server.url}/v1/jobs/{done}/content")
    assert check_envelope(refused, 409, None)["code"] == "payload_version"
    # The queue holds one job back while another is sampled, so that its payload can be changed before it starts.
    long = [server.generate(headers=ASYNC, duration=3600.0).json()["id"] for _ in range(20)]
    assert httpx.get(f"{server.url}/v1/jobs/{long[-1]}").json()["status"] == "queued"
    _rewrite(redis, long[-1])
    for job in long[:-1]:
        httpx.post(f"{server.url}/v1/jobs/{job}/cancel")
    failed = server.ended(long[-1])
    assert (failed["status"], failed["error"]["code"]) == ("failed", "payload_version")


def _rewrite(redis: Redis, job: str) -> None:
    """Give a job the payload of a version to come."""
    fields = json.loads(redis.hget(key("job", job), "payload"))  # type: ignore[arg-type]
    redis.hset(key("job", job), "payload", json.dumps(fields | {"version": 99}))


@pytest.mark.parametrize("count", [1, 10])
def test_pictures_under_urls_are_decoded_once(own_redis: tuple[Server, Redis], count: int) -> None:
    server, redis = own_redis
    answer = post(server, "generations", n=count, response_format="url")
    job, expected = answer.headers["x-job-id"], files(post(server, "generations", n=count))
    urls = [entry["url"] for entry in answer.json()["data"]]
    assert httpx.get(urls[-1]).content == expected[-1]
    assert redis.delete(key("stream", job)) == 1  # without the symbols nothing can be decoded again
    assert [httpx.get(url).content for url in urls] == expected
