"""A server's life: it starts, is overloaded, is left by its clients, fails in the middle, and ends when told to."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import onnxruntime
import pytest
from redis import Redis
from websockets.exceptions import ConnectionClosed

from ancestral.formats import MEDIA_TYPES
from ancestral_service.broker.connection import MAX_IDLE
from ancestral_service.broker.job import Keys, Priority, key
from tests.chaos.support import Listener
from tests.service.api.job_requests import check_envelope
from tests.service.images.pictures import noise, watching, written
from tests.service.servers import Serve, ServeProcess, Server, descendants, holdings, redis_of
from tests.service.shaky import reading_slowly, rest_of
from tests.service.speech.elevenlabs.support import FIRST, hear, open_stream, say
from tests.service.toys import ENCODED, GENERATION, PICTURES, SPEECH, sampled_by, write_model, write_picture_model
from tests.service.ws_client import LONG, Client, small_window, talking
from tests.waiting import eventually

# A server's life: it starts, is overloaded, is left by its clients, fails in the middle, and ends when told to.


@pytest.mark.every_engine
def test_ready_says_when(server: Server, engine: str) -> None:
    with server.client() as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        models = ("broken", "free", "shaped", "tiny", *PICTURES, *ENCODED)
        engines = {name: [sampled_by(name, engine)] for name in models}
        assert client.get("/readyz").json() == {"status": "ready", "engines": engines}


def test_a_model_that_cannot_speak_is_never_ready(serve: Serve, tmp_path: Path) -> None:
    write_model(tmp_path / "mute", fails_on="sil")
    with serve(until="the models cannot be used", models_dir=str(tmp_path)) as server:
        not_yet = ("No worker is running", "warmed up")  # until the worker has announced that it failed
        eventually(lambda: not any(words in httpx.get(f"{server.url}/readyz").text for words in not_yet), 30)
        refused = httpx.get(f"{server.url}/readyz")
        assert "log" in check_envelope(refused, 503, None)["message"]
        assert int(refused.headers["retry-after"]) >= 1
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        check_envelope(refused := server.speak(model="mute"), 503, None)
        assert int(refused.headers["retry-after"]) >= 1
    write_model(tmp_path / "able")
    for name in ("drawn", "unexported"):
        write_picture_model(tmp_path / name, PICTURES["binary"])
    (graph,) = (tmp_path / "unexported").glob("*/above.onnx")
    graph.unlink()
    with serve(models_dir=str(tmp_path), engine="onnx-cpu") as server:  # which is ready
        assert server.speak(model="able").status_code == 200
        error = check_envelope(refused := server.speak(model="mute"), 503, None)
        assert error["code"] == "model_unusable"
        assert (refused.headers.get("retry-after"), refused.headers["x-should-retry"]) == (None, "false")
        picture = {"file": written(noise("binary"))}  # two models draw its size, one of them here
        assert httpx.post(f"{server.url}/v1/detect", files=picture, timeout=60).status_code == 200


@pytest.mark.slow
def test_slow_readers_give_their_slots_to_those_who_wait_and_get_the_whole(serve: Serve) -> None:
    body = SPEECH | {"input": SPEECH["input"] * 20, "speed": 0.25, "sample_rate": 48000}
    with serve(interactive_slots=1, ahead_seconds=0.5) as server:
        expected, may = server.speak(**body).content, threading.Event()
        slow = [Listener(server, body, may) for _ in range(2)]  # which read no more than the beginning for now
        assert all(listener.begun.wait(30) for listener in slow)
        assert server.speak().status_code == 200
        may.set()
        for listener in slow:
            listener.join(60)
        assert [listener.error for listener in slow] == [None, None]
        assert [listener.body == expected for listener in slow] == [True, True]
        resumed = [line for line in server.log if line["message"] == "job taken up again"]
        assert {line["job"] for line in resumed} == {listener.job for listener in slow}


def test_overload_is_told_and_passes(serve: Serve) -> None:
    with serve(interactive_slots=1, max_queued_streams=0) as server:
        with reading_slowly(server):
            refused = server.speak()
            check_envelope(refused, 429, None)
            assert int(refused.headers["retry-after"]) >= 1
            assert httpx.get(f"{server.url}/readyz").status_code == 200
        eventually(lambda: server.speak().status_code == 200)


@pytest.mark.slow
def test_a_client_that_reads_nothing_is_dropped(serve: Serve) -> None:
    limits = {"interactive_slots": 1, "max_queued_streams": 4, "stall_seconds": 1}
    with serve(**limits) as server, reading_slowly(server) as connection:
        assert server.speak().status_code == 200  # after the first was dropped
        assert not rest_of(connection).endswith(b"\r\n0\r\n\r\n")
    assert [line["reason"] for line in server.log if line["message"] == "response aborted"]
    assert not any("traceback" in line for line in server.log)


def test_a_failure_in_the_middle_breaks_the_body_off(server: Server) -> None:
    broken = SPEECH | {"model": "broken", "input": "Hello there. A vision. Hello.", "response_format": "pcm"}
    with server.client() as client:
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            client.post("/v1/audio/speech", json=broken)
        check_envelope(client.post("/v1/audio/speech", json=broken | {"input": "A vision."}), 500, None)
        # The header of a WAV waits for the length of all sentences, so that failure comes before the first byte.
        check_envelope(client.post("/v1/audio/speech", json=broken | {"response_format": "wav"}), 500, None)
        assert client.post("/v1/audio/speech", json=broken | {"input": "Hello there."}).status_code == 200


def test_a_failure_among_events_is_told(server: Server) -> None:
    broken = SPEECH | {"model": "broken", "input": "Hello there. A vision.", "response_format": "pcm"}
    broken["stream_format"] = "sse"
    received: list[bytes] = []
    with (
        server.client() as client,
        client.stream("POST", "/v1/audio/speech", json=broken) as response,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        received.extend(response.iter_raw())
    told = b"".join(received).decode().split("\n\n")
    events = [json.loads(event.removeprefix("data: ")) for event in told if event]
    assert len(base64.b64decode(events[0]["audio"])) > 0
    assert events[-1]["error"]["code"] == "internal_error"
    assert not any(event.get("type") == "speech.audio.done" for event in events)


def test_sigterm_ends_it_with_exit_code_0_and_leaves_no_process(serve_process: ServeProcess) -> None:
    with serve_process() as server:
        assert server.speak().status_code == 200
        left = descendants(server.process.pid)
        assert len(left) >= 4  # two supervisors, Valkey and a worker
        assert server.stop() == 0
    assert not any(Path(f"/proc/{child}").exists() for child in left)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/healthz")
    said = [line["message"] for line in server.log if line["logger"] == "ancestral_service.api.server"]
    assert [said[0], *said[-2:]] == ["listening", "stopping", "stopped"]
    assert not any(line["level"] in ("warning", "error") for line in server.log)


def test_requests_in_flight_may_finish(serve: Serve) -> None:
    with serve(shutdown_seconds=300) as server:
        whole = server.speak(input="The birch canoe slid on. " * 100).content
        with server.client() as client:
            body = SPEECH | {"input": "The birch canoe slid on. " * 100}
            with client.stream("POST", "/v1/audio/speech", json=body) as response:
                pieces = response.iter_raw()
                received = next(pieces)
                server.terminate()
                received += b"".join(pieces)
        assert received == whole
        assert server.wait() == 0


@pytest.mark.slow
def test_what_is_not_finished_in_time_is_broken_off_and_what_has_not_begun_refused(serve_process: ServeProcess) -> None:
    count = 5
    with (
        serve_process(shutdown_seconds=2, interactive_slots=1) as server,
        reading_slowly(server) as begun,
        redis_of(server) as redis,
        ThreadPoolExecutor(count) as pool,
    ):
        pending = [pool.submit(server.speak) for _ in range(count)]
        eventually(lambda: redis.zcard(Keys(priority=Priority.INTERACTIVE)["waiting"]) == count)
        assert server.stop() == 0
        assert not rest_of(begun).endswith(b"\r\n0\r\n\r\n")
        for future in pending:
            refused = future.result(timeout=30)
            assert check_envelope(refused, 503, None)["code"] == "not_ready"
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.headers["x-content-type-options"] == "nosniff"
            assert "content-security-policy" in refused.headers
    refused_lines = [line for line in server.log if line["message"] == "request" and line["status"] == 503]
    assert len(refused_lines) >= count
    assert not any("traceback" in line for line in server.log)


@pytest.mark.slow
def test_load_balancers_are_turned_away_first(serve: Serve) -> None:
    with serve(drain_seconds=60) as server, server.client() as client:
        assert "connection" not in client.get("/readyz").headers
        server.terminate()
        eventually(lambda: client.get("/readyz").status_code == 503, 30)
        check_envelope(client.get("/readyz"), 503, None)
        assert client.get("/healthz").status_code == 200
        spoken = server.speak()  # who has not noticed yet is served
        assert (spoken.status_code, spoken.headers["connection"]) == (200, "close")
        assert server.stop() == 0  # told again, it does not wait


def test_a_wrong_setting_ends_serve_with_a_message(
    ancestral: Callable[..., subprocess.CompletedProcess[bytes]],
) -> None:
    wrong = {"PROT": ("1", b"did you mean ANCESTRAL_PORT?"), "API_KEYS_FILE": ("/etc/passwd", b"line 1: name: must be")}
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        wrong["ENGINE"] = ("onnx-cuda", b": onnx-cuda: ")
    for name, (value, message) in wrong.items():
        done = ancestral("serve", **{f"ANCESTRAL_{name}": value})
        assert (done.returncode, message in done.stderr, b"Traceback" in done.stderr) == (1, True, False), done.stderr


# What clients of websockets see when the server stops: a goodbye with 1012, once nothing would be lost by it.


TEXT = LONG * 4


@pytest.mark.slow
def test_a_session_that_can_resume_is_closed_with_1012(serve: Serve) -> None:
    with serve(shutdown_seconds=30) as server, talking(server, sock=small_window(server)) as talk:
        talk.configure(speed=0.25)
        talk.say("input.text", text=TEXT)
        talk.until_bytes(1)
        server.terminate()
        with suppress(ConnectionClosed):
            for _ in range(20):  # what is said now must not take the goodbye away
                talk.say("input.text", text="It is late. ")
                time.sleep(0.05)
        assert talk.closed() == 1012
        assert server.wait() == 0


def test_in_the_end_it_is_broken_off(serve_process: ServeProcess) -> None:
    with serve_process(shutdown_seconds=1) as server, open_stream(server, sock=small_window(server)) as connection:
        say(connection, FIRST | {"voice_settings": {"speed": 0.25}}, {"text": TEXT})
        assert hear(connection)["audio"]
        assert server.stop() == 0
        assert Client(connection).closed() == 1006


@pytest.mark.slow
def test_a_request_that_is_being_submitted_is_served(serve: Serve) -> None:
    """The signal comes while the server waits for Redis with a message in hand: it counts as work that has begun."""
    with serve(shutdown_seconds=30) as server, watching(server) as watch, watching(server) as idle:
        with server.redis() as redis:
            redis.client_pause(2000)
        watch.generate(n=2)
        server.terminate()
        assert idle.closed() == 1012
        assert len(watch.pictures()) == 2
        assert watch.closed() == 1012
        assert server.wait() == 0


# A thousand requests leave nothing behind: no memory, no open files, no connections.


WARM_UP, COUNT, AT_A_TIME = 200, 1000, 8
SHARE, ALLOWANCE_KB = 0.05, 4096
"""How much more memory a process may hold afterwards; the allocator's arenas come in megabytes."""
STANDING = 8
"""Connections to Redis that a process holds while nothing is asked of it: for its queues and its announcements."""
SPARE = 4
"""Files and keys that come and go, whatever is asked."""
KEPT_SECONDS = 5
FORMS = list(MEDIA_TYPES)
LONG_INPUT = "The birch canoe slid on. " * 60


def ask(client: httpx.Client, number: int) -> None:
    """One request: of five, one is left in the middle; of seven, one comes as events; of nine, one has no text."""
    form = {"response_format": FORMS[number % len(FORMS)], "seed": number, "voice": ("ann", "bob")[number % 2]}
    form["stream_format"] = "sse" if number % 7 == 0 else "audio"
    path, body = ("generations", GENERATION) if number % 9 == 0 else ("speech", SPEECH)
    leaves = path == "speech" and number % 5 == 0
    body = body | form | ({"input": LONG_INPUT} if leaves else {})
    with client.stream("POST", f"/v1/audio/{path}", json=body) as response:
        assert response.status_code == 200
        pieces = response.iter_raw()
        assert next(pieces)
        if not leaves:
            for piece in pieces:
                assert piece


def run(server: Server, redis: Redis, numbers: range) -> None:
    """Send requests, and wait until nothing is sampled any more and no sound is kept."""
    with server.client() as client, ThreadPoolExecutor(AT_A_TIME) as pool:
        for _ in pool.map(lambda number: ask(client, number), numbers):
            pass
    eventually(lambda: not redis.zcard(key("running", "interactive")) and not redis.keys(key("stream", "*")))


@pytest.mark.slow
def test_a_thousand_requests_leave_nothing_behind(serve_process: ServeProcess) -> None:
    with serve_process(interactive_slots=AT_A_TIME, stream_seconds=KEPT_SECONDS) as server, redis_of(server) as redis:
        run(server, redis, range(WARM_UP))
        before, keys = holdings(server), redis.dbsize()
        run(server, redis, range(WARM_UP, WARM_UP + COUNT))
        after = holdings(server)
        assert redis.info("clients")["connected_clients"] <= len(after) * (MAX_IDLE + STANDING)
        eventually(lambda: redis.dbsize() <= keys + SPARE, 60)  # what is kept for a while is gone by then
    for name, held in before.items():
        assert after[name].files <= held.files + MAX_IDLE + SPARE, (name, held, after[name])
        assert after[name].memory_kb <= held.memory_kb * (1 + SHARE) + ALLOWANCE_KB, (name, held, after[name])
