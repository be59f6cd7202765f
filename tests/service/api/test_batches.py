"""Files, batches and what drives them."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import httpx
import openai
import pytest
import soundfile

from ancestral.errors import NotFound
from ancestral.service.api.background import PARALLEL, carry_out_parts, submitted
from ancestral.service.api.batches import MAX_LINES, MAX_OUTPUT_BYTES, Answer, BatchWork, Line, read_lines
from ancestral.service.api.routes import batches as routes
from ancestral.service.broker.clients import Clients
from ancestral.service.broker.job import Job, Priority, key
from ancestral.service.errors import content_expired
from tests.service.broker.support import Broker, fails, run
from tests.service.redis_servers import RealRedis, lone_server
from tests.service.servers import Serve, Server
from tests.service.toys import SPEECH
from tests.waiting import awaited, eventually

# `/v1/files` and `/v1/batches`, by OpenAI's own client: a batch from its file to its answers, and what is refused.


Json = dict[str, Any]
BODY: Json = {**SPEECH, "response_format": "flac", "stream_format": "json"}


def line(name: str, url: str = "/v1/audio/speech", **body: Any) -> Json:
    return {"custom_id": name, "method": "POST", "url": url, "body": BODY | body}


def jsonl(*found: Any) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in found)


def upload(client: openai.OpenAI, data: bytes) -> str:
    return client.files.create(file=("requests.jsonl", data), purpose="batch").id


def begin(client: openai.OpenAI, data: bytes, endpoint: Any = "/v1/audio/speech") -> str:
    made = client.batches.create(input_file_id=upload(client, data), endpoint=endpoint, completion_window="24h")
    return made.id


def ended(client: openai.OpenAI, batch: str) -> Any:
    eventually(lambda: client.batches.retrieve(batch).status not in ("in_progress", "cancelling"), 240)
    return client.batches.retrieve(batch)


def results(client: openai.OpenAI, file: str | None) -> dict[str, Json]:
    """The lines of a file, by their ids."""
    assert file is not None
    return {found["custom_id"]: found for found in map(json.loads, client.files.content(file).text.splitlines())}


def connected(server: Server, key: str = "any") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0)


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with connected(server) as made:
        yield made


def test_a_batch_of_speech_gives_what_the_route_gives(client: openai.OpenAI, server: Server) -> None:
    data = jsonl(
        line("whole", timestamps=["word"]),
        line("by url", stream_format="audio"),
        line("no such voice", voice="nobody"),
        line("no such field", sped=1),
        line("a stream", stream_format="sse"),
    )
    with server.unharmed():
        batch = ended(client, begin(client, data))
    assert (batch.status, batch.endpoint, batch.errors) == ("completed", "/v1/audio/speech", None)
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (5, 2, 3)

    answers = results(client, batch.output_file_id)
    alone = server.speak(**BODY, timestamps=["word"]).json()
    whole = answers["whole"]["response"]
    assert (whole["status_code"], whole["body"]) == (200, alone)
    samples, _ = soundfile.read(io.BytesIO(base64.b64decode(whole["body"]["audio"])))
    assert len(samples) > 1000
    url = answers["by url"]["response"]["body"]["url"]
    content = httpx.get(url).content
    assert soundfile.read(io.BytesIO(content))[0].tolist() == samples.tolist()

    refused = results(client, batch.error_file_id)
    found = {name: one["response"]["body"]["error"]["param"] for name, one in refused.items()}
    assert found == {"no such voice": "voice", "no such field": "sped", "a stream": "stream_format"}
    assert list(refused) == ["no such voice", "no such field", "a stream"]
    assert {one["response"]["status_code"] for one in refused.values()} == {400}


def test_a_batch_of_pictures_in_base64_and_by_url(client: openai.OpenAI, server: Server) -> None:
    body = {"model": "binary", "prompt": "Two", "seed": 5}
    url = "/v1/images/generations"
    data = jsonl(*({"custom_id": form, "method": "POST", "url": url, "body": body | {"response_format": form}}
                   for form in ("b64_json", "url")))  # fmt: skip
    batch = ended(client, begin(client, data, url))
    assert (batch.request_counts.completed, batch.error_file_id) == (2, None)
    answers = {name: one["response"]["body"] for name, one in results(client, batch.output_file_id).items()}
    alone = httpx.post(f"{server.url}{url}", json=body | {"response_format": "b64_json"}).json()
    assert answers["b64_json"]["data"] == alone["data"]
    assert httpx.get(answers["url"]["data"][0]["url"]).content == base64.b64decode(alone["data"][0]["b64_json"])


def test_files_are_listed_read_and_deleted(client: openai.OpenAI) -> None:
    data = jsonl(line("one"))
    file = client.files.create(file=("../../etc/mine.jsonl", data), purpose="batch")
    assert (file.filename, file.bytes, file.purpose, file.status) == ("mine.jsonl", len(data), "batch", "processed")
    assert file.expires_at == file.created_at + 2 * 86400
    assert client.files.retrieve(file.id) == file
    assert file.id in [found.id for found in client.files.list(purpose="batch", limit=10_000)]
    assert next(iter(client.files.list(order="desc"))).id == [*client.files.list(order="asc")][-1].id == file.id
    assert file.id not in [found.id for found in client.files.list(purpose="batch_output")]
    assert client.files.content(file.id).read() == data
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)


def test_lists_have_pages(client: openai.OpenAI) -> None:
    names = [upload(client, jsonl(line(str(n)))) for n in range(3)]
    first = client.files.list(limit=2)
    assert first.has_more
    found = [file.id for file in client.files.list(limit=2)]  # which follows the pages
    assert set(names) <= set(found)
    assert len(found) == len(set(found))
    batch = begin(client, jsonl(line("one")))
    assert [found.id for found in client.batches.list(limit=1).data] == [batch]


@pytest.mark.parametrize(
    ("data", "code", "number", "param"),
    [
        (jsonl(line("a")) + b'{"custom_id"\n', "json_invalid", 2, None),
        (jsonl(line("a"), line("a")), "duplicate_custom_id", 2, "custom_id"),
        (jsonl(line("a"), line("b", url="/v1/images/generations")), "invalid_value", 2, "url"),
        (b"\n\n" + jsonl(line("a") | {"method": "GET"}), "literal_error", 3, "method"),
        (jsonl(line("a") | {"x" * 5000: 1}), "unknown_parameter", 1, f"{'x' * 256}…"),
        (jsonl(line("a") | {"body": []}), "dict_type", 1, "body"),
        (jsonl({"custom_id": "a", "method": "POST", "url": "/v1/audio/speech"}), "missing_parameter", 1, "body"),
        (jsonl(line("x" * 257)), "string_too_long", 1, "custom_id"),
        (jsonl([1]), "invalid_type", 1, None),
        (b"\n\n", "invalid_line_count", 0, None),
        (jsonl(*({} for _ in range(2 * MAX_LINES))), "invalid_line_count", MAX_LINES + 1, None),
        (jsonl(line("a")) + b"\xff\n", "invalid_encoding", 2, None),
        (b"\xef\xbb\xbf{}\n\xff\n", "invalid_encoding", 2, None),
    ],
)
def test_a_line_that_cannot_be_read_is_named(data: bytes, code: str, number: int, param: str | None) -> None:
    _, errors = read_lines(data, "/v1/audio/speech")
    assert [(error.code, error.line, error.param) for error in errors] == [(code, number, param)]


def test_a_batch_fails_whose_file_cannot_be_read(client: openai.OpenAI) -> None:
    batch = client.batches.retrieve(begin(client, jsonl(line("a"), line("a"))))
    assert batch.status == "failed"
    assert batch.errors is not None
    assert batch.errors.data is not None
    assert [(error.code, error.line) for error in batch.errors.data] == [("duplicate_custom_id", 2)]


def test_what_is_refused_at_once(client: openai.OpenAI, server: Server) -> None:
    made = client.files.create(file=("a.jsonl", jsonl(line("a"))), purpose="batch").id
    body = {"input_file_id": made, "endpoint": "/v1/audio/speech", "completion_window": "24h"}
    for change, status, param in (
        ({"input_file_id": "file-" + "0" * 24}, 404, "input_file_id"),
        ({"input_file_id": "nothing"}, 400, "input_file_id"),
        ({"endpoint": "/v1/chat/completions"}, 400, "endpoint"),
        ({"metadata": {"a": "x" * 513}}, 400, "metadata.a"),
    ):
        refused = httpx.post(f"{server.url}/v1/batches", json=body | change)
        assert (refused.status_code, refused.json()["error"]["param"]) == (status, param)
    for data, files, param in (
        ({"purpose": "fine-tune"}, {"file": b"{}"}, "purpose"),
        ({"purpose": "batch"}, {"file": b""}, "file"),
        ({"purpose": "batch", "extra": "1"}, {"file": b"{}"}, "extra"),
        ({"purpose": "batch"}, {}, "file"),
    ):
        refused = httpx.post(f"{server.url}/v1/files", data=data, files=files or {"other": b""})
        assert refused.status_code == 400, refused.text
        assert refused.json()["error"]["param"] in (param, "other")


def test_a_batch_is_cancelled_with_its_jobs(client: openai.OpenAI, server: Server) -> None:
    long = "It was a long day. " * 200
    batch = begin(client, jsonl(line("short"), *(line(str(n), input=long) for n in range(12))))
    eventually(lambda: client.batches.retrieve(batch).request_counts.completed)
    assert server.redis().srem("ancestral:batches_active", batch) == 1  # as a failover may lose it
    assert client.batches.cancel(batch).status == "cancelling"
    assert server.redis().sismember("ancestral:batches_active", batch)
    found = ended(client, batch)
    assert (found.status, found.request_counts.completed < 13) == ("cancelled", True)
    assert found.cancelled_at >= found.cancelling_at
    assert "short" in results(client, found.output_file_id)
    assert client.files.delete(found.output_file_id).deleted
    assert client.batches.retrieve(batch).request_counts == found.request_counts
    jobs = httpx.get(f"{server.url}/v1/jobs?limit=20").json()["data"]
    assert not [job for job in jobs if job["status"] in ("queued", "in_progress")]
    with pytest.raises(openai.ConflictError):
        client.batches.cancel(batch)
    eventually(lambda: not server.redis().hexists(key("batch", batch), "data"))  # its requests


def test_a_line_whose_job_redis_has_lost_is_submitted_again(client: openai.OpenAI, server: Server) -> None:
    def running() -> list[str]:
        jobs = httpx.get(f"{server.url}/v1/jobs?limit=1").json()["data"]
        return [job["id"] for job in jobs if job["status"] == "in_progress"]

    batch = begin(client, jsonl(line("a", input="It was a long day. " * 40)))
    (lost,) = awaited(running)
    assert server.redis().delete(*(key(kind, lost) for kind in ("job", "events", "stream")))
    found = ended(client, batch)
    assert (found.request_counts.completed, found.error_file_id) == (1, None)


def test_each_caller_sees_their_own(keyed: Server, keys: dict[str, str]) -> None:
    with connected(keyed, keys["batches-ann"]) as one, connected(keyed, keys["batches-bob"]) as two:
        file = upload(one, jsonl(line("a")))
        new: Json = {"input_file_id": file, "endpoint": "/v1/audio/speech", "completion_window": "24h"}
        batch = one.batches.create(**new).id
        files: list[Callable[[str], Any]] = [two.files.retrieve, two.files.content, two.files.delete]
        batches: list[Callable[[str], Any]] = [two.batches.retrieve, two.batches.cancel]
        for look, name in [(look, file) for look in files] + [(look, batch) for look in batches]:
            with pytest.raises(openai.NotFoundError):
                look(name)
        with pytest.raises(openai.NotFoundError):
            two.batches.create(**new)
        assert not [found for found in two.files.list() if found.id == file]
        assert not [found for found in two.batches.list() if found.id == batch]
        assert ended(one, batch).status == "completed"


def test_unfinished_batches_of_a_caller_are_limited(serve: Serve) -> None:
    with serve(max_upload_bytes=64 << 20, batch_slots=1) as server, connected(server) as client:
        data = jsonl(*(line(str(n), input="It was a long day. " * 200) for n in range(8)))
        begun = [begin(client, data) for _ in range(routes.MAX_UNFINISHED)]
        with pytest.raises(openai.RateLimitError) as refused:
            begin(client, data)
        assert refused.value.code == "too_many_batches"
        for batch in begun:
            client.batches.cancel(batch)
        assert {ended(client, batch).status for batch in begun} == {"cancelled"}


def test_files_of_a_caller_are_limited(serve: Serve) -> None:
    with serve(max_upload_bytes=16 << 10, max_body_bytes=16 << 10) as server, connected(server) as client:
        assert ended(client, begin(client, jsonl(line("one")))).status == "completed"
        for _ in range(2):
            upload(client, b"x" * (15 << 10))
        with pytest.raises(openai.RateLimitError) as refused:  # the batch has two files of its own
            _ = [upload(client, b"x" * (15 << 10)) for _ in range(2)]
        assert refused.value.code == "too_many_files"
        with pytest.raises(openai.APIStatusError) as large:
            upload(client, b"x" * (17 << 10))
        assert large.value.status_code == 413


# What drives batches, without a worker: here its lines are answered.


def on_redis(act: Callable[[Broker], Awaitable[Any]]) -> Any:
    """What is done with a Redis of its own."""
    with lone_server() as (url, _):
        return run(RealRedis(url), act)


_LINE = Line(custom_id="a", method="POST", url="/v1/audio/speech", body={})


class _Submitting(BatchWork):
    """Answers lines as soon as their jobs are submitted."""

    async def _answer(self, batch: Mapping[str, Any], number: int, line: Line, jobs: dict[int, Job]) -> Answer:
        job = Job("speech", Priority.BACKGROUND, "tiny", "aa", batch["owner"], "{}")
        await submitted(jobs, number, self._state.broker.submit(job, queue=1000, bound=(str(number), "same")))
        return Answer({}, whole=True)


class _Gone(BatchWork):
    """Finds that the jobs of lines are gone."""

    async def _answer(self, batch: Mapping[str, Any], number: int, line: Line, jobs: dict[int, Job]) -> Answer:
        raise content_expired()


def test_a_line_has_one_result_which_is_kept_from_the_end_of_the_batch() -> None:
    """A process that hung finds that the job of a line is gone: another one has finished it."""
    batch = {"id": "batch_1", "owner": "ann", "created_at": 0, "output_id": "file-1"}

    async def act(broker: Broker) -> None:
        store, work = broker.clients.batches, _Gone(SimpleNamespace(broker=broker.clients))
        await store.put_line("batch_1", "output", 0, b"{}")
        assert await work._attempt(batch, 0, _LINE, {}, 1) == 0
        await fails(NotFound, work._attempt(batch, 1, _LINE, {}, 1))
        assert await store.finished_lines("batch_1") == {0}
        assert await store.line_numbers("batch_1", "error") == []
        await broker.redis.expire(key("batch_output", "batch_1"), 100)
        await work.end(batch, "completed", {})
        assert await broker.redis.ttl(key("batch_output", "batch_1")) > 100

    on_redis(act)


def test_every_job_of_cancelled_work_is_known() -> None:
    """A job is submitted by several commands; the work is cancelled before, between and after them."""

    async def forgotten(broker: Clients, milliseconds: float, owner: str) -> list[int]:
        """How many jobs the work has submitted, and how many of these it does not know."""
        jobs: dict[int, Job] = {}
        lines = _Submitting(SimpleNamespace(broker=broker))

        async def attempt(number: int, line: Line) -> None:
            await lines._attempt({"id": owner, "owner": owner}, number, line, jobs, 1)

        work = asyncio.create_task(carry_out_parts(enumerate([_LINE] * 3), attempt))
        await asyncio.sleep(milliseconds / 1000)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        stored, _ = await broker.jobs(owner, None, 100)
        return [len(stored), len({job.id for job in stored} - {job.id for job in jobs.values()})]

    async def cancelled(broker: Broker) -> list[list[int]]:
        delays = [0.05 * 1.035**n for n in range(200)]  # up to 47 ms, on a slow machine
        return [await forgotten(broker.clients, delay, f"owner-{n}") for n, delay in enumerate(delays)]

    found = on_redis(cancelled)
    assert any(submissions for submissions, _ in found)
    assert not any(unknown for _, unknown in found)


class _Answering(BatchWork):
    """Answers lines with ten bytes each, as many together as there may be."""

    def __init__(self, state: Any) -> None:
        super().__init__(state)
        self.answered = 0
        self.rooms: list[tuple[int, int]] = []

    async def _attempt(self, batch: Mapping[str, Any], number: int, line: Line, jobs: dict[int, Job], room: int) -> int:
        self.rooms.append((room, MAX_OUTPUT_BYTES - 10 * self.answered))
        await asyncio.sleep(0.01)
        self.answered += 1
        return 10


def test_room_left_after_earlier_lines() -> None:
    data = jsonl(*(line(str(number)) for number in range(3 * PARALLEL)))
    batch = {"id": "batch_1", "owner": "ann", "created_at": 0, "endpoint": "/v1/audio/speech"}

    async def carry_out(broker: Broker) -> _Answering:
        await broker.clients.batches.put("batch", batch, data)
        work = _Answering(SimpleNamespace(broker=broker.clients))
        await work.carry_out(batch, {})
        return work

    work = on_redis(carry_out)
    assert work.answered == len(work.rooms) == 3 * PARALLEL
    assert [room for room, _ in work.rooms] == [left for _, left in work.rooms]
