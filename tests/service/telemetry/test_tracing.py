"""Traces, as a collector receives them: one from the request to its last chunk, across the queue."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.service.servers import Serve, Server
from tests.service.toys import ASYNC, SPEECH
from tests.service.ws_client import spoken
from tests.waiting import awaited

pytest.importorskip("opentelemetry.sdk")
collector = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector:
    """An OpenTelemetry collector, as far as it listens."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1/traces"
        self.spans: list[tuple[str, Any]] = []
        self.raw = b""

    def take(self, body: bytes) -> None:
        self.raw += body
        for resource in collector.ExportTraceServiceRequest.FromString(body).resource_spans:
            (service,) = [a.value.string_value for a in resource.resource.attributes if a.key == "service.name"]
            self.spans += [(service, span) for scope in resource.scope_spans for span in scope.spans]

    def named(self, name: str, trace: str | None = None) -> list[tuple[str, Any]]:
        """The spans of this name, once there are any."""

        def found() -> list[tuple[str, Any]]:
            return [each for each in self.spans if each[1].name == name and trace in (None, each[1].trace_id.hex())]

        return awaited(found, 30)


@pytest.fixture(scope="module")
def traced(serve: Serve) -> Iterator[tuple[Server, Collector]]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            took.take(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Nothing."""

    with pytest.MonkeyPatch.context() as patch, ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        took = Collector(listening.server_address[1])
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        with serve(traces_endpoint=took.url) as server:
            yield server, took
        listening.shutdown()


def test_one_trace_from_the_request_to_the_last_chunk(traced: tuple[Server, Collector]) -> None:
    server, took = traced
    with server.client(headers={"traceparent": f"00-{TRACE}-{SPAN}-01"}) as client:
        answer = client.post("/v1/audio/speech", json=SPEECH | {"input": "Aardvarks whisper."})
    ((api, request),) = took.named("POST /v1/audio/speech", trace=TRACE)
    ((_, queue),) = took.named("queue", trace=TRACE)
    ((worker, attempt),) = took.named("attempt", trace=TRACE)
    assert (api, worker) == ("ancestral-api", "ancestral-worker")
    assert request.parent_span_id.hex() == SPAN
    assert {queue.parent_span_id, attempt.parent_span_id} == {request.span_id}
    assert request.start_time_unix_nano < queue.start_time_unix_nano <= queue.end_time_unix_nano
    assert queue.end_time_unix_nano <= attempt.start_time_unix_nano < attempt.end_time_unix_nano
    assert request.end_time_unix_nano > attempt.start_time_unix_nano
    told = {attribute.key: attribute.value.string_value for attribute in attempt.attributes}
    assert told["job"] == answer.headers["x-job-id"]
    assert not re.search(b"[Aa]ardvark", took.raw)


def test_a_job_that_is_fetched_later_and_what_is_said_on_a_websocket(traced: tuple[Server, Collector]) -> None:
    server, took = traced
    trace = TRACE[::-1]
    with server.client(headers={"traceparent": f"00-{trace}-{SPAN}-01"}) as client:
        server.ended(client.post("/v1/audio/speech", json=SPEECH, headers=ASYNC).json()["id"])
    spoken(server, "The birch canoe slid. ")
    for name, its_trace in (("POST /v1/audio/speech", trace), ("WEBSOCKET /v1/audio/speech/stream", None)):
        ((_, opened),) = took.named(name, trace=its_trace)
        ((_, attempt),) = took.named("attempt", trace=opened.trace_id.hex())
        assert attempt.parent_span_id == opened.span_id


def test_a_collector_that_is_away_harms_nobody(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "1")  # seconds in which it is tried again
    with serve(traces_endpoint="http://127.0.0.1:1/v1/traces") as server:
        assert server.speak().status_code == 200
        assert server.stop() == 0
