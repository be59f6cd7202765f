"""What Prometheus is told: each figure is checked by doing the thing, and looking before and after."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from unittest.mock import Mock, call

import httpx
import pytest

from ancestral_service.broker.job import WorkerInfo
from ancestral_service.telemetry.metrics import (
    BUFFER_SECONDS,
    ApiMetrics,
    Playback,
    Shared,
    WorkerMetrics,
    track_playback,
)  # fmt: skip
from tests.paths import ROOT
from tests.service.scrapes import Change, scrape, worker_scrape, worker_url
from tests.service.servers import Serve, ServeProcess, Server, process_of
from tests.service.shaky import reading_slowly
from tests.service.toys import ASYNC, SPEECH, sampled_by
from tests.service.ws_client import begun, talking
from tests.waiting import eventually

DOCUMENT = ROOT / "docs" / "observability.md"
IMAGE = {"model": "rgb", "prompt": "dog", "n": 2, "seed": 3, "response_format": "b64_json"}
RATE = 16000
Changes = dict[str, float | tuple[float, float]]
"""Change of metrics, or its bounds: "name label=value …", after "worker:" if only the worker counts it."""


@pytest.fixture(scope="module")
def watched(serve: Serve) -> Iterator[Server]:
    """A server whose worker can be scraped."""
    with serve(metrics_port=0, interactive_slots=4) as server:
        yield server


def sentence(server: Server, engine: str) -> Changes:
    begun = time.perf_counter()
    body = server.speak(response_format="pcm", sample_rate=RATE).content
    samples, route, sound = len(body) // 2, "route=/v1/audio/speech", "transport=http model=tiny"
    return {
        f"first_audio_seconds_count {sound}": 1, f"streams_total {sound}": 1, f"sent_bytes_total {route}": len(body),
        f"first_audio_seconds_sum {sound}": (0, time.perf_counter() - begun),
        f"http_requests_total {route} method=POST status=200 complete=true": 1,
        f"http_request_seconds_count {route}": 1, "sound_seconds_total model=tiny": samples / RATE,
        f"tokens_total model=tiny engine={sampled_by('tiny', engine)}": samples, "sampler_steps_total": samples,
        "sampler_calls_total": (0, samples), "sampler_lanes_total": (0, samples), "retries_total": 0,
        "resumes_total": 0, "queue_wait_seconds_count priority=interactive": 1,
        "attempts_total priority=interactive": 1, "attempt_ends_total end=done priority=interactive": 1,
        "real_time_factor_count model=tiny": samples >= RATE / 2,
        "worker:job_seconds_count priority=interactive kind=speech status=completed": 1,
        "worker:redis_round_trip_seconds_count operation=publish": (0, 1e6),
    }  # fmt: skip


def session(server: Server, engine: str) -> Changes:
    """A websocket counts what its listener waited for."""
    route, sound = "/v1/audio/speech/stream", "transport=websocket model=tiny"
    with talking(server) as talk:
        assert scrape(server).of("ancestral_websockets", route=route) == 1
        talk.speak("The birch canoe slid. Is it late? ")  # two utterances at most, back to back
    return {
        f"streams_total {sound}": len(talk.heard), f"websockets route={route}": 0,
        f"websockets_closed_total route={route} code=1000": 1,
        f"sent_bytes_total route={route}": (len(talk.sound), 1e9),
        f"first_audio_seconds_count {sound}": 1,  # nobody waited for the others
    }  # fmt: skip


def listener_who_leaves(server: Server, engine: str) -> Changes:
    with reading_slowly(server):
        eventually(lambda: scrape(server).of("ancestral_worker_jobs", priority="interactive") == 1)
        now = scrape(server)
        assert now.of("ancestral_jobs", priority="interactive", state="running") == 1
        for name in ("sampler_streams", "unfinished_jobs", "unfinished_jobs_max"):
            assert now.of(f"ancestral_{name}") == 1
    return {
        "cancel_seconds_count": 1, "cancel_seconds_sum": (0, 5), "worker_jobs": 0, "jobs": 0, "unfinished_jobs": 0,
        "attempt_ends_total end=cancelled priority=interactive": 1,
        "job_seconds_count status=cancelled kind=speech priority=interactive": 1,
        "http_requests_total route=/v1/audio/speech status=200 complete=false": 1,
    }  # fmt: skip


def pictures(server: Server, engine: str) -> Changes:
    with server.client() as client:
        assert client.post("/v1/images/generations", json=IMAGE).status_code == 200
    drawn, pixels = f"model=rgb engine={sampled_by('rgb', engine)}", 2 * 6 * 8
    return {
        f"pixels_total {drawn}": pixels, f"pictures_total {drawn}": 2, f"tokens_total {drawn}": 3 * pixels,  # in colour
        "worker:job_seconds_count kind=image status=completed": 1, "sound_seconds_total": 0, "streams_total": 0,
    }  # fmt: skip


def errors(server: Server, engine: str) -> Changes:
    """An error is counted with its status, and nothing of it else."""
    secret = "c0ffee-secret"
    with server.client() as client:
        assert client.get(f"/{secret}").status_code == 404
        assert client.request("BREW", "/healthz").status_code in (400, 405)
        assert client.post("/v1/audio/speech", json=SPEECH | {"voice": secret}).status_code == 400
        assert client.get(f"/v1/jobs/job_{'0' * 24}").status_code == 404
    with begun(server, voice="nobody") as talk:
        talk.error()
    both = httpx.get(f"{server.url}/metrics").text + httpx.get(f"{worker_url(server)}/metrics").text
    assert not re.search(rf"{secret}|BREW|job_0|birch", both)
    return {
        "http_requests_total route=none method=GET status=404": 1, "http_requests_total method=other": 1,
        "http_requests_total route=/v1/jobs/{job_id} status=404": 1, "errors_total transport=http status=404": 2,
        "errors_total transport=http status=400": (0, 2), "errors_total transport=websocket status=400": 1,
    }  # fmt: skip


ACTIONS = [sentence, session, listener_who_leaves, pictures, errors]


@pytest.mark.parametrize("action", ACTIONS)
def test_what_an_action_changes(watched: Server, engine: str, action: Callable[[Server, str], Changes]) -> None:
    change = Change(watched)
    for key, expected in action(watched, engine).items():
        metric, *pairs = key.split()
        scope, _, short = metric.rpartition(":")
        name, labels = f"ancestral_{short}", dict(pair.split("=") for pair in pairs)
        look = worker_scrape if scope else scrape
        if isinstance(expected, tuple):
            assert expected[0] < change.of(name, look, **labels) <= expected[1], key
        else:
            change.becomes(expected, name, look, **labels)


def test_a_rejection_is_counted_with_its_reason(serve: Serve) -> None:
    with serve(metrics_port=0, interactive_slots=1, max_queued_streams=0) as server:
        change = Change(server)
        with reading_slowly(server):
            assert server.speak().status_code == 429
            with begun(server, "The birch canoe slid. ") as talk:
                assert talk.error()["code"] == "overloaded"
        assert change.of("ancestral_rejected_total", reason="overloaded") == change.of("ancestral_rejected_total") == 2
        for transport in ("http", "websocket"):
            assert change.of("ancestral_errors_total", status="429", transport=transport) == 1


# Workers, models, Redis


def test_a_worker_says_what_it_is(watched: Server) -> None:
    now, models = scrape(watched), httpx.get(f"{watched.url}/v1/models").json()["data"]
    assert now.of("ancestral_worker_ready") == now.of("ancestral_workers", ready="true") == 1
    assert now.of("ancestral_workers", ready="false") == 0
    for name in ("ancestral_worker_slots", "ancestral_slots"):
        assert now.of(name, priority="interactive") == 4
    assert now.of("ancestral_sampler_threads") == 2
    for model in models:
        assert now.of("ancestral_model_info", model=model["id"], sha256=model["sha256"]) == 1
        assert now.of("ancestral_model_workers", model=model["id"]) == 1
        assert 0 <= time.time() - now.of("ancestral_model_loaded_timestamp_seconds", model=model["id"]) < 7200
        assert now.of("ancestral_model_created_timestamp_seconds", model=model["id"]) == model["created"]
    assert {part.removesuffix("_bytes") for part in now.names()} >= {"process_resident_memory", "process_open_fds"}
    assert worker_scrape(watched).of("process_resident_memory_bytes") > 0
    url = worker_url(watched)  # for an orchestrator
    assert [httpx.get(f"{url}{path}").status_code for path in ("/healthz", "/readyz", "/nothing")] == [200, 200, 404]
    assert httpx.head(f"{url}/healthz").status_code == 200


@pytest.mark.slow
def test_models_that_nobody_asks_for_leave_memory(serve: Serve) -> None:
    """And come back for whoever asks next, with the same sound and pictures. Those without graphs stay, for they are
    sampled by `native`."""
    with serve(engine="onnx-cpu", metrics_port=0, unload_seconds=5) as server:
        known = httpx.get(f"{server.url}/v1/models").json()["data"]
        staying = sum(sampled_by(model["id"], "onnx-cpu") == "native" for model in known)
        assert scrape(server).of("ancestral_model_in_memory") == len(known)
        spoken, drawn = server.speak().content, httpx.post(f"{server.url}/v1/images/generations", json=IMAGE).json()
        eventually(lambda: scrape(server).of("ancestral_model_in_memory") == staying)
        assert {line["model"] for line in server.log if line["message"] == "model unloaded"} >= {"tiny", "rgb"}
        assert server.speak().content == spoken
        now = scrape(server)
        assert now.of("ancestral_model_in_memory", model="tiny") == 1
        assert now.of("ancestral_model_in_memory") == staying + 1
        assert httpx.post(f"{server.url}/v1/images/generations", json=IMAGE).json()["data"] == drawn["data"]


def test_a_worker_that_cannot_be_listened_to_says_why(
    ancestral: Callable[..., subprocess.CompletedProcess[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ancestral_service.cli.worker._free_large_arrays", lambda: None)  # of this process
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ran = ancestral("worker", ANCESTRAL_REDIS_URL="redis://127.0.0.1:1", ANCESTRAL_METRICS_PORT=port)
    assert ran.returncode == 1
    assert f"port {port}" in ran.stderr.decode()


@pytest.mark.slow
def test_a_server_without_redis_is_still_seen(serve_process: ServeProcess) -> None:
    with serve_process(metrics_port=0) as server:
        valkey = process_of(server, "valkey")
        os.kill(valkey, signal.SIGSTOP)
        try:
            found = httpx.get(f"{server.url}/metrics", timeout=5)  # as Prometheus does
            refused = httpx.get(f"{server.url}/v1/jobs", timeout=60)
        finally:
            os.kill(valkey, signal.SIGCONT)
        assert (found.status_code, refused.status_code) == (200, 503)
        assert "\nancestral_redis_up 0.0\n" in found.text
        assert "ancestral_jobs" not in found.text
        change = scrape(server)
        assert change.of("ancestral_redis_up") == 1
        assert change.of("ancestral_errors_total", status="503", transport="http") >= 1


# Logs


def test_a_request_can_be_followed_through_the_log(watched: Server) -> None:
    with watched.client(headers={"x-request-id": "follow-me", "authorization": "Bearer ancestral-secret"}) as client:
        answer = client.post("/v1/audio/speech", json=SPEECH | {"input": "Aardvarks whisper."})
        fetched = client.post("/v1/audio/speech", json=SPEECH | {"input": "Aardvarks whisper."}, headers=ASYNC)
    job = answer.headers["x-job-id"]
    eventually(lambda: any(line.get("job") == fetched.json()["id"] for line in watched.log))
    (line,) = [line for line in watched.log if line["message"] == "request" and line.get("job") == job]
    assert (line["request_id"], line["route"], line["status"]) == ("follow-me", "/v1/audio/speech", 200)
    assert not re.search("[Aa]ardvark|ancestral-secret", json.dumps(watched.log))


# The documentation


def documented() -> dict[str, tuple[str, str, str]]:
    """Type, labels and meaning of every metric, as the documentation has them."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*) \|$", DOCUMENT.read_text(), re.MULTILINE)
    return {name: (kind, labels, meaning) for name, kind, labels, meaning in rows}


def test_the_documentation_has_every_metric_and_no_other(watched: Server) -> None:
    watched.speak()
    told: dict[str, tuple[str, str]] = {}
    for url in (watched.url, worker_url(watched)):
        text = httpx.get(f"{url}/metrics").text
        kinds = dict(re.findall(r"^# TYPE (ancestral_\w+) (\w+)$", text, re.MULTILINE))
        helps = dict(re.findall(r"^# HELP (ancestral_\w+) (.*)$", text, re.MULTILINE))
        told |= {name: (kind, helps[name]) for name, kind in kinds.items() if not name.endswith("_created")}
    rows = documented()
    assert {name: (kind, meaning) for name, (kind, _, meaning) in rows.items()} == told
    for metrics in (ApiMetrics(), WorkerMetrics()):
        for collector in list(metrics.registry._collector_to_names):  # its public face does not tell labels
            if labels := getattr(collector, "_labelnames", ()):
                name = next(name for name in metrics.registry._collector_to_names[collector] if name in rows)
                assert rows[name][1] == ", ".join(f"`{label}`" for label in labels), name


def test_workers_with_other_weights_do_not_count() -> None:
    info = WorkerInfo(ready=True, engines={"a": "native"}, models={"a": "old", "b": "same"}, slots={"interactive": 1})
    shared = Shared([info], {}, (0, 0))
    lines = ApiMetrics().page(shared, {"a": "new", "b": "same", "c": "added"}).decode().splitlines()
    counts = {line for line in lines if line.startswith("ancestral_model_workers")}
    assert counts == {f'ancestral_model_workers{{model="{name}"}} {n}.0' for name, n in (("a", 0), ("b", 1), ("c", 0))}


# What a listener hears, by a clock of our own: exactly the silence that there was, and none that the client made.


def play(events: Iterable[tuple[float, float, float]], busy_until: float) -> tuple[Mock, Playback]:
    """Pieces: seconds after the one before when it came, seconds that sending took, seconds of sound in it."""
    observer, clock = Mock(), Mock(now=100.0)
    playback, total = Playback(observer, clock.now, busy_until, lambda: clock.now), 0.0
    for late, sending, sound in events:
        clock.now += late
        playback.chunk_received()
        clock.now += sending
        total += sound
        playback.chunk_sent(total)
    return observer, playback


LATE = [(0.0, 0.0, 0.1), (3.0, 0.0, 1.0)]
WAITED = BUFFER_SECONDS


@pytest.mark.parametrize(
    ("events", "busy_until", "first", "gaps"),
    [
        ([(0.3, 0.05, 1.0), (0.1, 0.0, 1.0)], 0.0, 0.35, []),  # counts until it has been sent
        ([(0.1, 0.0, 0.0), (0.4, 0.0, 1.0)], 0.0, 0.5, []),  # a header is no sound
        # One second of sound and the buffer are played 1.2 s after it was sent; the next piece comes after 2 s.
        ([(0.0, 0.0, 1.0), (2.0, 0.0, 0.5), (0.7, 0.0, 0.5)], 0.0, 0.0, [(1.0 - WAITED, True), (0.2, False)]),
        # For 10 s the client took nothing; then it had a second, and waited 0.9 s.
        ([(0.0, 0.0, 1.0), (0.1, 10.0, 1.0), (0.9, 0.0, 1.0)], 0.0, 0.0, []),
        ([(0.0, 0.0, 1.0), (0.1, 10.0, 0.5), (0.9, 0.0, 1.0)], 0.0, 0.0, [(0.4, True)]),
        (LATE, 105.0, 0.0, []),  # what came before is heard first
        (LATE, 101.0, 0.0, [(1.9, True)]),
    ],
)
def test_the_silence_is_what_the_player_had_nothing_for(
    events: list[tuple[float, float, float]], busy_until: float, first: float, gaps: list[tuple[float, bool]]
) -> None:
    observer, playback = play(events, busy_until)
    observer.began.assert_called_once_with(pytest.approx(first))
    silences = [call(pytest.approx(seconds), first=is_first) for seconds, is_first in gaps]
    assert observer.silence.call_args_list == silences
    if len(gaps) == 2:
        assert playback.dry_at == pytest.approx(100.0 + 2.0 + 0.5 + 0.2 + 0.5)


def test_the_last_silence_counts_if_the_sound_never_comes() -> None:
    observer, clock = Mock(), Mock(now=100.0)

    async def pieces() -> AsyncGenerator[bytes, None]:
        yield b"sound"
        clock.now += 5.0
        raise ConnectionError

    async def listen() -> None:
        playback = Playback(observer, None, 0.0, lambda: clock.now)
        with pytest.raises(ConnectionError):
            async for _ in track_playback(pieces(), playback, lambda: 1.0):
                pass

    asyncio.run(listen())
    observer.silence.assert_called_once_with(pytest.approx(4.0 - BUFFER_SECONDS), first=True)
