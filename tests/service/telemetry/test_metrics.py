"""What Prometheus is told: each figure is checked by doing the thing, and looking before and after."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from ancestral.service.telemetry.metrics import ApiMetrics, WorkerMetrics
from tests.paths import ROOT
from tests.service.scrapes import LISTENING, Change, scrape, worker_scrape, worker_url
from tests.service.servers import Serve, ServeProcess, Server, process_of
from tests.service.slow_reader import ENDLESS, reading_slowly
from tests.service.toys import ASYNC, SPEECH, sampled_by
from tests.service.ws_client import eventually, talking

DOCUMENT = ROOT / "docs" / "observability.md"
IMAGE = {"model": "rgb", "prompt": "dog", "n": 2, "seed": 3, "response_format": "b64_json"}
RATE = 16000


@pytest.fixture(scope="module")
def watched(serve: Serve) -> Iterator[Server]:
    """A server whose worker can be scraped."""
    with serve(metrics_port=0, interactive_slots=4) as server:
        yield server


# Speech


def test_a_spoken_sentence_is_counted_once_everywhere(watched: Server, engine: str) -> None:
    change, begun = Change(watched), time.perf_counter()
    body = watched.speak(response_format="pcm", sample_rate=RATE).content
    seconds = time.perf_counter() - begun
    samples = len(body) // 2
    sound = {"transport": "http", "model": "tiny"}
    assert change.of("ancestral_first_audio_seconds_count", **sound) == 1
    assert 0 < change.of("ancestral_first_audio_seconds_sum", **sound) < seconds
    assert change.of("ancestral_streams_total", **sound) == 1
    assert change.of("ancestral_sent_bytes_total", route="/v1/audio/speech") == len(body)
    route = {"route": "/v1/audio/speech"}
    done = route | {"method": "POST", "status": "200", "complete": "true"}
    assert change.becomes(1, "ancestral_http_requests_total", **done)
    assert change.of("ancestral_http_request_seconds_count", **route) == 1
    assert change.becomes(samples, "ancestral_tokens_total", model="tiny", engine=sampled_by("tiny", engine))
    assert change.becomes(samples / RATE, "ancestral_sound_seconds_total", model="tiny")
    assert change.of("ancestral_sampler_steps_total") == samples
    assert change.of("ancestral_sampler_lanes_total") >= change.of("ancestral_sampler_calls_total") > 0
    priority = {"priority": "interactive"}
    for name in ("queue_wait_seconds_count", "attempts_total"):
        assert change.of(f"ancestral_{name}", **priority) == 1
    assert change.becomes(1, "ancestral_attempt_ends_total", end="done", **priority)
    ended = priority | {"kind": "speech", "status": "completed"}
    assert change.worker_becomes(1, "ancestral_job_seconds_count", **ended)
    assert change.of("ancestral_retries_total") == change.of("ancestral_resumes_total") == 0
    assert change.of_worker("ancestral_redis_round_trip_seconds_count", operation="publish") > 0
    assert change.of("ancestral_real_time_factor_count", model="tiny") == (samples >= RATE / 2)


def test_events_are_another_road(watched: Server) -> None:
    change = Change(watched)
    assert watched.speak(stream_format="sse").status_code == 200
    assert change.of("ancestral_first_audio_seconds_count", transport="sse", model="tiny") == 1
    assert change.of("ancestral_first_audio_seconds_count", transport="http") == 0


def test_a_websocket_counts_what_its_listener_waited_for(watched: Server) -> None:
    change, route = Change(watched), "/v1/audio/speech/stream"
    with talking(watched) as talk:
        assert scrape(watched).of("ancestral_websockets", route=route) == 1
        talk.configure()
        talk.say("input.text", text="The birch canoe slid. Is it late? ")  # two utterances at most, back to back
        talk.say("input.done")
        talk.until("session.done")
        utterances = len(talk.heard)
    sound = {"transport": "websocket", "model": "tiny"}
    assert change.of("ancestral_streams_total", **sound) == utterances
    assert change.of("ancestral_first_audio_seconds_count", **sound) == 1  # nobody waited for the others
    assert change.becomes(1, "ancestral_websockets_closed_total", route=route, code="1000")
    assert change.of("ancestral_websockets", route=route) == 0
    assert change.of("ancestral_sent_bytes_total", route=route) > len(talk.sound)


def test_a_session_that_goes_on_elsewhere(watched: Server) -> None:
    change = Change(watched)
    with talking(watched) as talk:
        talk.configure()
        talk.say("input.text", text="The birch canoe slid. ")
        talk.until_bytes(400)
        session = talk.session["session_id"]
        talk.vanish()
    with talking(watched, f"?session_id={session}&from_sample=200") as talk:
        talk.say("input.done")
        talk.until("session.done")
    assert change.of("ancestral_sessions_resumed_total") == 1
    assert change.of("ancestral_streams_total", transport="websocket") == 2
    assert change.of("ancestral_first_audio_seconds_count", transport="websocket") == 1


def test_a_listener_who_leaves(watched: Server) -> None:
    change = Change(watched)
    with reading_slowly(watched):
        assert eventually(lambda: scrape(watched).of("ancestral_worker_jobs", priority="interactive") == 1)
        assert scrape(watched).of("ancestral_jobs", priority="interactive", state="running") == 1
        assert scrape(watched).of("ancestral_sampler_streams") == 1
        for name in ("ancestral_unfinished_jobs", "ancestral_unfinished_jobs_max"):
            assert scrape(watched).of(name) == 1
    assert change.becomes(1, "ancestral_cancel_seconds_count")
    assert 0 <= change.of("ancestral_cancel_seconds_sum") < 5
    assert change.becomes(1, "ancestral_attempt_ends_total", end="cancelled", priority="interactive")
    assert change.of("ancestral_job_seconds_count", status="cancelled", kind="speech", priority="interactive") == 1
    broken = {"route": "/v1/audio/speech", "status": "200", "complete": "false"}
    assert change.becomes(1, "ancestral_http_requests_total", **broken)
    for name in ("ancestral_worker_jobs", "ancestral_jobs", "ancestral_unfinished_jobs"):
        assert scrape(watched).of(name) == 0


# Pictures


def test_pictures_are_counted_in_pixels(watched: Server, engine: str) -> None:
    change = Change(watched)
    with watched.client() as client:
        assert client.post("/v1/images/generations", json=IMAGE).status_code == 200
    drawn = {"model": "rgb", "engine": sampled_by("rgb", engine)}
    pixels = 2 * 6 * 8
    assert change.becomes(pixels, "ancestral_pixels_total", **drawn)
    assert change.becomes(2, "ancestral_pictures_total", **drawn)
    assert change.becomes(3 * pixels, "ancestral_tokens_total", **drawn)  # in colour
    assert change.worker_becomes(1, "ancestral_job_seconds_count", kind="image", status="completed")
    assert change.of("ancestral_sound_seconds_total") == change.of("ancestral_streams_total") == 0


# Refusals


def test_an_error_is_counted_with_its_status_and_nothing_of_it_else(watched: Server) -> None:
    change, secret = Change(watched), "c0ffee-secret"
    with watched.client() as client:
        assert client.get(f"/{secret}").status_code == 404
        assert client.request("BREW", "/healthz").status_code in (400, 405)
        assert client.post("/v1/audio/speech", json=SPEECH | {"voice": secret}).status_code == 400
        assert client.get(f"/v1/jobs/job_{'0' * 24}").status_code == 404
    assert change.becomes(1, "ancestral_http_requests_total", route="none", method="GET", status="404")
    assert change.of("ancestral_http_requests_total", method="other") == 1
    assert change.of("ancestral_http_requests_total", route="/v1/jobs/{job_id}", status="404") == 1
    assert change.of("ancestral_errors_total", transport="http", status="404") == 2
    assert change.of("ancestral_errors_total", transport="http", status="400") >= 1
    both = httpx.get(f"{watched.url}/metrics").text + httpx.get(f"{worker_url(watched)}/metrics").text
    assert not re.search(rf"{secret}|BREW|job_0|birch", both)


def test_an_error_on_a_websocket(watched: Server) -> None:
    change = Change(watched)
    with talking(watched) as talk:
        talk.configure(voice="nobody")
        talk.error()
    assert change.of("ancestral_errors_total", transport="websocket", status="400") == 1


def test_rejections_by_reason(serve: Serve) -> None:
    with serve(metrics_port=0, interactive_slots=1, max_queued_streams=0, requests_per_minute=4) as server:
        change = Change(server)
        with reading_slowly(server):
            assert server.speak().status_code == 429
            with talking(server) as talk:
                talk.configure()
                talk.say("input.text", text="The birch canoe slid. ")
                assert talk.error()["code"] == "overloaded"
            assert change.of("ancestral_rejected_total", reason="overloaded") == 2
        while server.speak().status_code != 429 or change.of("ancestral_rejected_total", reason="rate_limited") < 1:
            pass
        assert change.of("ancestral_rejected_total", reason="too_many_streams") == 0
        refused = change.of("ancestral_rejected_total")
        assert change.of("ancestral_errors_total", status="429") == refused
        assert change.of("ancestral_errors_total", status="429", transport="websocket") == 1


def test_a_caller_with_too_many_streams(serve: Serve) -> None:
    with serve(metrics_port=0, concurrent_streams=1) as server:
        change = Change(server)
        with reading_slowly(server):
            assert server.speak().status_code == 429
        assert change.of("ancestral_rejected_total", reason="too_many_streams") == 1


# Workers, models, Redis


def test_a_worker_says_what_it_is(watched: Server) -> None:
    now, models = scrape(watched), httpx.get(f"{watched.url}/v1/models").json()["data"]
    assert now.of("ancestral_worker_ready") == now.of("ancestral_workers", ready="true") == 1
    assert now.of("ancestral_workers", ready="false") == 0
    assert (
        now.of("ancestral_worker_slots", priority="interactive")
        == now.of("ancestral_slots", priority="interactive")
        == 4
    )
    assert now.of("ancestral_sampler_threads") == 2
    for model in models:
        assert now.of("ancestral_model_info", model=model["id"], sha256=model["sha256"]) == 1
        assert now.of("ancestral_model_workers", model=model["id"]) == 1
        assert 0 <= time.time() - now.of("ancestral_model_loaded_timestamp_seconds", model=model["id"]) < 7200
        assert now.of("ancestral_model_created_timestamp_seconds", model=model["id"]) == model["created"]
    assert {part.removesuffix("_bytes") for part in now.names()} >= {"process_resident_memory", "process_open_fds"}
    assert worker_scrape(watched).of("process_resident_memory_bytes") > 0


@pytest.mark.slow
def test_models_that_nobody_asks_for_leave_memory(serve: Serve) -> None:
    """And come back for whoever asks next, with the same sound and pictures. Those without graphs stay, for they are
    sampled by `native`."""
    with serve(engine="onnx-cpu", metrics_port=0, unload_seconds=5) as server:
        known = httpx.get(f"{server.url}/v1/models").json()["data"]
        staying = sum(sampled_by(model["id"], "onnx-cpu") == "native" for model in known)
        assert scrape(server).of("ancestral_model_in_memory") == len(known)
        spoken, drawn = server.speak().content, httpx.post(f"{server.url}/v1/images/generations", json=IMAGE).json()
        assert eventually(lambda: scrape(server).of("ancestral_model_in_memory") == staying)
        assert {line["model"] for line in server.log if line["message"] == "model unloaded"} >= {"tiny", "rgb"}
        assert server.speak().content == spoken
        now = scrape(server)
        assert now.of("ancestral_model_in_memory", model="tiny") == 1
        assert now.of("ancestral_model_in_memory") == staying + 1
        assert httpx.post(f"{server.url}/v1/images/generations", json=IMAGE).json()["data"] == drawn["data"]


def test_a_worker_answers_an_orchestrator(watched: Server) -> None:
    url = worker_url(watched)
    assert [httpx.get(f"{url}{path}").status_code for path in ("/healthz", "/readyz", "/nothing")] == [200, 200, 404]


def test_a_worker_that_cannot_be_listened_to_says_why(process: Callable[..., object]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ran = process("worker", ANCESTRAL_REDIS_URL="redis://127.0.0.1:1", ANCESTRAL_METRICS_PORT=port)
    assert ran.returncode == 1  # type: ignore[attr-defined]
    assert f"port {port}" in ran.stderr.decode()  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_server_without_redis_is_still_seen(serve_process: ServeProcess) -> None:
    with serve_process(metrics_port=0) as server:
        valkey = process_of(server, "valkey")
        os.kill(valkey, signal.SIGSTOP)
        try:
            found = httpx.get(f"{server.url}/metrics", timeout=30)
            refused = httpx.get(f"{server.url}/v1/jobs", timeout=60)
        finally:
            os.kill(valkey, signal.SIGCONT)
        assert (found.status_code, refused.status_code) == (200, 503)
        assert "\nancestral_redis_up 0.0\n" in found.text
        assert "ancestral_jobs" not in found.text
        change = scrape(server)
        assert change.of("ancestral_redis_up") == 1
        assert change.of("ancestral_errors_total", status="503", transport="http") >= 1


@pytest.mark.slow
def test_a_job_that_outlives_its_worker(serve_process: ServeProcess) -> None:
    body = ENDLESS | {"input": "The birch canoe slid on. " * 120, "response_format": "pcm", "sample_rate": 16000}
    with serve_process(metrics_port=0, batch_slots=1) as server:
        with server.client() as client:
            job = client.post("/v1/audio/speech", json=body, headers=ASYNC).json()["id"]
            assert eventually(lambda: client.get(f"/v1/jobs/{job}").json()["samples_done"] > 3 * RATE)
        os.kill(process_of(server, "worker"), signal.SIGKILL)
        assert eventually(lambda: sum(line["message"] == LISTENING for line in server.log) == 2)
        assert server.ended(job)["status"] == "completed"
        for name in ("attempts", "retries", "resumes"):
            assert worker_scrape(server).of(f"ancestral_{name}_total", priority="batch") == 1, name
        assert worker_scrape(server).of("ancestral_orphans_total") == 1
        assert worker_scrape(server).of("ancestral_queue_wait_seconds_count") == 0
        assert eventually(lambda: worker_scrape(server).of("ancestral_job_seconds_count", status="completed") == 1)


# Logs


def test_a_request_can_be_followed_through_the_log(watched: Server) -> None:
    with watched.client(headers={"x-request-id": "follow-me", "authorization": "Bearer ancestral-secret"}) as client:
        answer = client.post("/v1/audio/speech", json=SPEECH | {"input": "Aardvarks whisper."})
        fetched = client.post("/v1/audio/speech", json=SPEECH | {"input": "Aardvarks whisper."}, headers=ASYNC)
    job = answer.headers["x-job-id"]
    assert eventually(lambda: any(line.get("job") == fetched.json()["id"] for line in watched.log))
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


def test_names_are_as_prometheus_wants_them() -> None:
    for name, (kind, _, _) in documented().items():
        assert (kind == "counter") == name.endswith("_total")
        assert not re.search(r"_(ms|milliseconds|kb|mb|count|percent)(_total)?$", name)
