"""`/v1/jobs`: what becomes of a job, its content and the names of its files, the list, its events."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import soundfile
from redis import Redis

from ancestral.formats import MEDIA_TYPES
from ancestral_service.api.http.body_route import byte_range
from ancestral_service.broker.job import key
from ancestral_service.errors import RangeNotSatisfiable
from tests.service.api.job_requests import FIELDS, HEADER, NOBODY, cancel, check_envelope, content, state, submit, url
from tests.service.redis_servers import lone_server
from tests.service.servers import Serve, Server
from tests.service.toys import ASYNC, SPEECH
from tests.waiting import eventually

# `/v1/jobs`: what becomes of a job, what it gave, who may see it, and how it is watched.


@pytest.fixture(scope="module")
def valkey() -> Iterator[Redis]:
    with lone_server() as (url, _), Redis.from_url(url) as client:
        yield client


@pytest.fixture(scope="module")
def narrow(serve: Serve, valkey: Redis) -> Iterator[Server]:
    path = valkey.connection_pool.connection_kwargs["path"]
    with serve(redis_url=f"unix://{path}", batch_slots=1) as server:
        yield server


@pytest.fixture
def watched(narrow: Server) -> Iterator[Server]:
    """A server with one batch slot on a Redis that the test sees into. No job outlives its test."""
    yield narrow
    for job in httpx.get(f"{narrow.url}/v1/jobs?limit=100").json()["data"]:
        if job["completed_at"] is None:
            cancel(narrow, job["id"])


def test_a_job_from_its_start_to_its_end(server: Server) -> None:
    body = SPEECH | {"input": "Is it late? No!"}
    response = httpx.post(f"{server.url}/v1/audio/speech", json=body, headers=ASYNC)
    assert response.status_code == 202
    job = response.json()
    assert set(job) == FIELDS
    assert response.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["object"], job["model"], job["status"], job["progress"]) == ("job", "tiny", "queued", 0.0)
    ended = server.ended(job["id"])
    assert (ended["status"], ended["progress"], ended["error"]) == ("completed", 1.0, None)
    assert ended["samples_done"] == ended["samples_total"] > 0
    assert ended["created_at"] <= ended["started_at"] <= ended["completed_at"]
    assert ended["expires_at"] == ended["completed_at"] + 3600
    assert (ended["queue_position"], ended["eta_seconds"]) == (None, None)
    events_url = url(server, job["id"], "/events")
    response = httpx.get(events_url, timeout=60)
    assert response.headers["content-type"].startswith("text/event-stream")
    found = events(response.text)
    kinds = [kind for _, kind, _ in found]
    assert kinds[:2] == ["job.queued", "job.in_progress"]
    assert kinds[-1] == "job.completed"
    assert set(kinds[2:-1]) <= {"job.progress"}
    assert [data["type"] for _, _, data in found] == kinds
    assert found[-1][2]["job"] == ended
    assert events(httpx.get(events_url, headers={"last-event-id": found[1][0]}, timeout=60).text) == found[2:]
    nothing = httpx.get(events_url, headers={"last-event-id": found[-1][0]}, timeout=60)
    assert (nothing.status_code, nothing.content) == (204, b"")


def test_many_who_ask_at_once_wait_for_one_encoding(watched: Server, valkey: Redis) -> None:
    job = submit(watched, duration=20.0, response_format="mp3")
    watched.ended(job)
    before = valkey.info("commandstats").get("cmdstat_rename", {"calls": 0})["calls"]
    with ThreadPoolExecutor(8) as pool:
        files = list(pool.map(lambda _: content(watched, job).content, range(8)))
    assert len(set(files)) == 1
    assert soundfile.info(io.BytesIO(files[0])).frames == 320000
    assert valkey.info("commandstats")["cmdstat_rename"]["calls"] == before + 1
    assert 0 < valkey.ttl(key("content", job)) <= valkey.ttl(key("job", job))
    assert not valkey.keys(f"*:draft*:{job}*")


@pytest.mark.parametrize("part", [False, True])
def test_sound_that_is_gone_or_of_which_a_part_is(watched: Server, valkey: Redis, part: bool) -> None:
    job = submit(watched, duration=5.0)
    watched.ended(job)
    stream = key("stream", job)
    *_, last, _end = [name for name, fields in valkey.xrange(stream) if fields[b"k"] in (b"piece", b"end")]
    assert (valkey.xdel(stream, last) if part else valkey.delete(stream)) == 1
    assert check_envelope(content(watched, job), 404, None)["code"] == "content_expired"
    assert state(watched, job)["status"] == "completed"
    assert not valkey.keys(f"*:draft*:{job}*")


def test_every_server_has_the_content_and_without_the_model_what_was_made_before(
    serve: Serve, watched: Server, valkey: Redis, zoo: Path, tmp_path: Path
) -> None:
    shutil.copytree(zoo / "tiny", tmp_path / "tiny")
    made, unmade = submit(watched), submit(watched)
    for job in (made, unmade):
        watched.ended(job)
    file = content(watched, made)
    url = f"unix://{valkey.connection_pool.connection_kwargs['path']}"
    with serve(worker=False, redis_url=url, models_dir=str(tmp_path)) as other:
        assert content(other, made).content == file.content
        assert check_envelope(content(other, unmade), 409, None)["code"] == "model_changed"
        assert not valkey.exists(key("drafting", unmade))


def test_the_queue_tells_the_truth_and_cancelling_frees_the_slot(watched: Server) -> None:
    watched.ended(submit(watched, duration=30.0))  # now there is a pace to go by, of more than tenths of a second
    first, second, third = submit(watched, duration=3600.0), submit(watched), submit(watched)
    eventually(lambda: state(watched, first)["progress"] > 0.0)
    running_now, waiting, last = (state(watched, job) for job in (first, second, third))
    assert (running_now["status"], running_now["queue_position"]) == ("in_progress", None)
    assert running_now["eta_seconds"] > 0
    assert (waiting["status"], waiting["queue_position"]) == ("queued", 0)
    assert (last["status"], last["queue_position"]) == ("queued", 1)
    assert 0.0 < waiting["eta_seconds"] < last["eta_seconds"]
    cancelled = cancel(watched, second)
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert state(watched, third)["queue_position"] == 0
    assert cancel(watched, first).json()["status"] == "cancelled"
    assert watched.ended(third)["status"] == "completed"
    assert state(watched, second)["started_at"] is None
    again = cancel(watched, first)
    check_envelope(again, 409, None)
    assert again.headers["x-should-retry"] == "false"
    check_envelope(cancel(watched, third), 409, None)


def test_a_deleted_job_leaves_no_key(watched: Server, valkey: Redis) -> None:
    done, going = submit(watched), submit(watched, duration=3600.0)
    watched.ended(done)
    content(watched, done)
    eventually(lambda: state(watched, going)["samples_done"] > 0)
    for job in (done, going):
        response = httpx.delete(url(watched, job))
        assert response.json() == {"id": job, "object": "job.deleted", "deleted": True}
        check_envelope(httpx.get(url(watched, job)), 404, "job_id")
        check_envelope(content(watched, job), 404, "job_id")
        check_envelope(httpx.delete(url(watched, job)), 404, "job_id")
    assert watched.ended(submit(watched))["status"] == "completed"  # the slot is free
    for job in (done, going):
        assert all(0 <= valkey.ttl(found) <= 60 for found in valkey.keys(key(f"*{job}*")))


PARTS = ("", "/content", "/events", "/manifest")
ROUTES = [*(("GET", part) for part in PARTS), ("POST", "/cancel"), ("DELETE", "")]


@pytest.mark.parametrize("job", [NOBODY, "job_" + "g" * 24, "job_" + "0" * 25, "..%2fmodels"])
def test_ids_that_are_none(server: Server, job: str) -> None:
    for method, part in ROUTES:
        response = httpx.request(method, url(server, job, part))
        status = 404 if job == NOBODY or "%" in job else 400
        check_envelope(response, status, "job_id" if "%" not in job else None)


def events(text: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Id, kind and data of every event."""
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            found.append((lines["id"], lines["event"], json.loads(lines["data"])))
    return found


@pytest.mark.parametrize("last", ["", "x", "1", "1-2-3", "-", "9" * 20 + "-0"])
def test_an_event_that_never_was(server: Server, last: str) -> None:
    job = submit(server)
    response = httpx.get(url(server, job, "/events"), headers={"last-event-id": last})
    check_envelope(response, 400, "last-event-id")


def test_events_while_it_happens_and_read_later(server: Server) -> None:
    job = submit(server, duration=3600.0)
    shown: list[dict[str, Any]] = []
    with httpx.stream("GET", url(server, job, "/events"), timeout=60) as response:
        for line in response.iter_lines():
            if line.startswith("data: "):
                shown.append(json.loads(line.removeprefix("data: ")))
            if line == "" and [event["type"] for event in shown].count("job.progress") == 2:
                cancel(server, job)
    kinds, progress = [event["type"] for event in shown], [event["job"]["samples_done"] for event in shown]
    assert (kinds[:2], kinds[-1]) == (["job.queued", "job.in_progress"], "job.cancelled")
    assert 0 < progress[-1] == max(progress)
    assert progress == sorted(progress)
    replayed = [data for _, _, data in events(httpx.get(url(server, job, "/events"), timeout=60).text)]
    assert [data["type"] for data in replayed] == [data["type"] for data in shown]
    assert [data["job"]["status"] for data in replayed] == [
        "in_progress" if data["type"] == "job.progress" else data["type"].removeprefix("job.") for data in replayed
    ]
    for then, now in zip(shown, replayed, strict=True):
        for told in (then, now):
            told["job"].update(queue_position=None, eta_seconds=None)
        assert now == then


def test_events_of_a_job_that_is_deleted_meanwhile_end(server: Server) -> None:
    job = submit(server, duration=3600.0)
    lines: list[str] = []
    try:
        with httpx.stream("GET", url(server, job, "/events"), timeout=60) as response:
            for line in response.iter_lines():
                lines.append(line)
                if line == "event: job.in_progress":
                    httpx.delete(url(server, job))
    except httpx.RemoteProtocolError:  # broken off
        assert json.loads(lines[-2].removeprefix("data: "))["error"]["code"] == "job_not_found"
    else:
        assert "event: job.cancelled" in lines


def test_a_silent_stream_of_events_is_kept_alive(watched: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ancestral_service.api.responses.KEEP_ALIVE_SECONDS", 0.5)
    first, second = submit(watched, duration=3600.0), submit(watched)
    with httpx.stream("GET", url(watched, second, "/events"), timeout=60) as response:
        for line in response.iter_lines():
            if line.startswith(":"):
                break
    assert cancel(watched, second).json()["started_at"] is None
    cancel(watched, first)


def test_watchers_who_leave_leave_nothing_behind(watched: Server, valkey: Redis) -> None:
    job, waiting = submit(watched, duration=3600.0), submit(watched)

    def readers() -> int:
        # Those that wait: an idle connection is told by its last command, too.
        return sum(client["cmd"] == "xread" and "b" in client["flags"] for client in valkey.client_list())

    eventually(lambda: readers() == 0)  # the watchers of earlier tests may still be leaving
    streams = [httpx.stream("GET", url(watched, waiting, "/events"), timeout=60) for _ in range(10)]
    with ExitStack() as watching:
        lines = [watching.enter_context(stream).iter_lines() for stream in streams]
        for line in lines:
            assert next(line).startswith("event: ")
        eventually(lambda: readers() == 10)
    eventually(lambda: readers() == 0)
    cancel(watched, waiting)
    cancel(watched, job)


# The sound of a job: a file in every format, whole or by ranges.


@pytest.mark.parametrize("form", MEDIA_TYPES)
def test_the_content_is_a_file_of_the_format(server: Server, form: str) -> None:
    rate = 16000 if form in ("opus", "aac") else None
    job = submit(server, response_format=form, sample_rate=rate)
    server.ended(job)
    file = content(server, job)
    assert file.status_code == 200
    assert file.headers["content-type"] == MEDIA_TYPES[form]
    assert int(file.headers["content-length"]) == len(file.content)
    assert (file.headers["accept-ranges"], file.headers["x-seed"]) == ("bytes", "7")
    if form in ("wav", "flac", "mp3"):
        assert soundfile.info(io.BytesIO(file.content)).frames == 16000  # by the header: no frame was read
    else:
        assert file.content == server.generate(response_format=form, sample_rate=rate).content


def test_what_was_streamed_can_be_fetched_for_a_while(server: Server) -> None:
    streamed = server.speak(input="Is it late? No! " * 8)
    job = streamed.headers["x-job-id"]
    assert content(server, job).content[HEADER:] == streamed.content[HEADER:]
    ended = state(server, job)
    assert ended["expires_at"] - ended["completed_at"] == 120


RANGES: list[tuple[str | None, tuple[int, int] | None]] = [
    (None, None), ("bytes=0-0", (0, 1)), ("bytes=0-", (0, 100)), ("bytes=99-", (99, 100)), ("bytes=10-19", (10, 20)),
    ("Bytes = 10 - 19 ", (10, 20)), ("bytes=10-1000", (10, 100)), ("bytes=0-99999999999999999999999", (0, 100)),
    ("bytes=-1", (99, 100)), ("bytes=-1000", (0, 100)), ("bytes=5-4", None), ("bytes=-", None), ("bytes= -", None),
    ("bytes=a-b", None), ("bytes=0-1,5-6", None), ("samples=0-1", None), ("bytes=" + "9" * 5000 + "-", None),
]  # fmt: skip


@pytest.mark.parametrize(("header", "expected"), RANGES)
def test_a_range_of_the_content_is_sent(header: str | None, expected: tuple[int, int] | None) -> None:
    assert byte_range(header, 100) == expected


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=999999999999999999-"])
def test_a_range_outside_of_the_content_is_refused(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable) as caught:
        byte_range(header, 100)
    assert caught.value.headers == {"content-range": "bytes */100"}


def test_the_content_in_parts(server: Server) -> None:
    job = submit(server, duration=10.0)  # more than is read from Redis at a time
    server.ended(job)
    whole = content(server, job)
    size, etag = len(whole.content), whole.headers["etag"]
    assert size == HEADER + 2 * 160000
    found = b""
    for start in range(0, size, 100_000):
        part = content(server, job, range=f"bytes={start}-{start + 99_999}")
        assert part.status_code == 206
        assert part.headers["content-range"] == f"bytes {start}-{min(start + 100_000, size) - 1}/{size}"
        assert int(part.headers["content-length"]) == len(part.content)
        found += part.content
    assert found == whole.content
    assert content(server, job, range="bytes=-300000").content == whole.content[-300000:]
    assert content(server, job, range="bytes=0-1,4-5").content == whole.content
    outside = content(server, job, range=f"bytes={size}-")
    check_envelope(outside, 416, "Range")
    assert outside.headers["content-range"] == f"bytes */{size}"
    assert content(server, job, range="bytes=0-3", **{"if-range": etag}).content == b"RIFF"
    assert content(server, job, range="bytes=0-3", **{"if-range": '"another"'}).status_code == 200
    for known in (etag, f'"x", W/{etag}', "*"):
        same = content(server, job, **{"if-none-match": known})
        assert (same.status_code, same.content) == (304, b"")
    assert content(server, job, **{"if-none-match": '"another"'}).status_code == 200
    head = httpx.head(url(server, job, "/content"))
    assert (head.status_code, int(head.headers["content-length"]), head.content) == (200, size, b"")
    assert head.headers["etag"] == etag


def test_content_that_is_not_there_yet_or_never_will_be(server: Server) -> None:
    job = submit(server, duration=3600.0)
    early = content(server, job)
    assert check_envelope(early, 409, None)["code"] == "job_not_completed"
    assert int(early.headers["retry-after"]) >= 1
    assert "x-should-retry" not in early.headers
    assert cancel(server, job).json()["status"] == "cancelled"
    late = content(server, job)
    assert check_envelope(late, 409, None)["code"] == "job_cancelled"
    assert late.headers["x-should-retry"] == "false"
    body = SPEECH | {"model": "broken", "input": "Hello there. My vision."}
    failing = httpx.post(f"{server.url}/v1/audio/speech", json=body, headers=ASYNC).json()["id"]
    failed = server.ended(failing)
    assert failed["status"] == "failed"
    assert set(failed["error"]) == {"message", "code", "param"}
    lost = content(server, failing)
    assert check_envelope(lost, 409, None)["code"] == "job_failed"
    assert lost.headers["x-should-retry"] == "false"


# `GET /v1/jobs`: every caller's own jobs, in pages.


def test_each_caller_has_jobs_of_their_own(keyed: Server, keys: dict[str, str]) -> None:
    ann, bob = ({"authorization": f"Bearer {keys[name]}"} for name in ("jobs-ann", "jobs-bob"))
    made = [submit(keyed, ann, duration=0.1) for _ in range(5)]
    theirs = submit(keyed, bob)
    for job in (*made, theirs):
        keyed.ended(job, headers=bob if job == theirs else ann)
    assert pages(keyed, ann, 2) == [made[:2:-1], made[2:0:-1], made[:1]]
    assert pages(keyed, bob, 100) == [[theirs]]
    for method, part in (*ROUTES, ("HEAD", "/content")):
        assert httpx.request(method, url(keyed, theirs, part), headers=ann).status_code == 404
    listing = httpx.get(f"{keyed.url}/v1/jobs", params={"after": theirs}, headers=ann)
    check_envelope(listing, 404, "after")
    assert httpx.get(url(keyed, theirs), headers=bob).json()["status"] == "completed"


def pages(server: Server, headers: dict[str, str], limit: int) -> list[list[str]]:
    """The ids of every page of the list."""
    found, after = [], None
    while True:
        params = {"limit": limit} | ({"after": after} if after else {})
        page = httpx.get(f"{server.url}/v1/jobs", params=params, headers=headers).json()
        assert page["object"] == "list"
        ids = [job["id"] for job in page["data"]]
        assert (page["first_id"], page["last_id"]) == (ids[0], ids[-1])
        assert all(set(job) == FIELDS for job in page["data"])
        found.append(ids)
        after = page["last_id"]
        if not page["has_more"]:
            return found


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=many", "after=x", f"after={NOBODY}"])
def test_a_wrong_question_about_the_list(server: Server, query: str) -> None:
    status = 404 if NOBODY in query else 400
    check_envelope(httpx.get(f"{server.url}/v1/jobs?{query}"), status, query.partition("=")[0])
