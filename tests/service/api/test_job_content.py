"""The sound of a job: a file in every format, whole or by ranges."""

from __future__ import annotations

import io
import struct

import httpx
import pytest
import soundfile

from ancestral.codecs import MEDIA_TYPES
from ancestral.service.api.http.file_response import byte_range
from ancestral.service.errors import RangeNotSatisfiable
from tests.service.api.envelope import check_envelope
from tests.service.api.job_requests import HEADER, cancel, content, state, submit, url
from tests.service.servers import Server
from tests.service.toys import ASYNC, SPEECH


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
    streamed = server.generate(response_format=form, sample_rate=rate).content
    if form not in ("wav", "flac", "mp3"):
        assert file.content == streamed
    if form == "wav":
        assert file.content[HEADER:] == streamed[HEADER:]
        assert struct.unpack("<I", file.content[40:44]) == (len(file.content) - HEADER,)


def test_speech_as_a_job_is_the_speech_that_is_streamed(server: Server) -> None:
    body = SPEECH | {"input": "Is it late? No! " * 8}
    job = httpx.post(f"{server.url}/v1/audio/speech", json=body, headers=ASYNC).json()["id"]
    server.ended(job)
    assert content(server, job).content[HEADER:] == server.speak(**body).content[HEADER:]


def test_what_was_streamed_can_be_fetched_for_a_while(server: Server) -> None:
    streamed = server.generate()
    job = streamed.headers["x-job-id"]
    assert content(server, job).content[HEADER:] == streamed.content[HEADER:]
    ended = state(server, job)
    assert ended["expires_at"] - ended["completed_at"] == 120


RANGES: list[tuple[str | None, tuple[int, int] | None]] = [
    (None, None),
    ("bytes=0-0", (0, 1)),
    ("bytes=0-", (0, 100)),
    ("bytes=99-", (99, 100)),
    ("bytes=10-19", (10, 20)),
    ("Bytes = 10 - 19 ", (10, 20)),
    ("bytes=10-1000", (10, 100)),
    ("bytes=0-99999999999999999999999", (0, 100)),
    ("bytes=-1", (99, 100)),
    ("bytes=-1000", (0, 100)),
    ("bytes=5-4", None),
    ("bytes=-", None),
    ("bytes=", None),
    ("bytes=a-b", None),
    ("bytes=0-1,5-6", None),
    ("samples=0-1", None),
    ("bytes=" + "9" * 5000 + "-", None),
]


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
