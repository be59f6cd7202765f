"""``python -m bench.load``: a real server under mixed traffic. Needs the extra ``load`` (locust).

    python -m bench.load                    increasing rates, up to the one at which the service answers 429
    python -m bench.load --rate 1           this many arrivals per second, for --seconds
    python -m bench.load --rate 1 --soak    the same for twenty minutes, with memory, open files and Redis over time

Clients and server share the machine's cores, so the results include both.
"""

from __future__ import annotations

from bench.load import locustfile  # isort: skip  # first: gevent has to patch sockets before they are used

import argparse
import os
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import gevent
import numpy as np
from locust.env import Environment

from bench.listeners import fetch, free_port, serving
from bench.load.clients import REJECTED, TRANSPORTS, Outcome
from bench.report import report, total

RATES = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
STEP_SECONDS = 40.0
STEADY_SECONDS = 60.0
SOAK_SECONDS = 1200.0
SETTLING_SECONDS = 180.0
"""Time until data that is kept for a while (``stream_seconds``) expires as fast as it is added."""
READ_SECONDS = 10.0


@dataclass(frozen=True)
class Row:
    """Results of a group of clients."""

    transport: str
    rate: float
    """Arrivals per second, all transports together."""
    clients: int
    rejected: int
    errors: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    """Time to first audio; for pictures, to the complete response."""
    with_underruns: int
    """Listeners with underruns."""
    silence_seconds: float
    server_silence_seconds: float | None
    """The same silence as counted by the server, for all transports together."""


def _row(transport: str, rate: float, outcomes: Sequence[Outcome], counted: float | None) -> Row:
    firsts = [1000 * outcome.first for outcome in outcomes if outcome.first is not None]
    p50, p95, p99 = (round(float(np.quantile(firsts, q)), 1) if firsts else None for q in (0.5, 0.95, 0.99))
    return Row(
        transport,
        rate,
        clients=len(outcomes),
        rejected=sum(outcome.status == REJECTED for outcome in outcomes),
        errors=sum(outcome.status not in (200, REJECTED) for outcome in outcomes),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        with_underruns=sum(outcome.silence > 0 for outcome in outcomes),
        silence_seconds=round(sum(outcome.silence for outcome in outcomes), 2),
        server_silence_seconds=counted,
    )


@contextmanager
def arriving(url: str, rate: float) -> Iterator[list[Outcome]]:
    """Start clients at this rate until the block ends, then wait for those in progress. Yields their outcomes."""
    outcomes: list[Outcome] = []
    locustfile.Arrivals.outcomes = outcomes
    environment = Environment(user_classes=[locustfile.Arrivals], host=url, parsed_options=Namespace(rate=rate))
    runner = environment.create_local_runner()
    runner.start(1, spawn_rate=1)
    try:
        yield outcomes
    finally:
        runner.stop()
        runner.quit()
    deadline, before = time.perf_counter() + 180, -1
    while before != len(outcomes) and time.perf_counter() < deadline:
        before = len(outcomes)
        gevent.sleep(15)  # longer than any admitted client needs


def step(port: int, rate: float, seconds: float) -> list[Row]:
    """One rate for ``seconds``: a row for all audio clients, and one per transport."""
    before = total(fetch(port, "/metrics")[1], "ancestral_underrun_seconds_total")
    with arriving(f"http://127.0.0.1:{port}", rate) as outcomes:
        gevent.sleep(seconds)
    counted = round(total(fetch(port, "/metrics")[1], "ancestral_underrun_seconds_total") - before, 2)
    rows = [_row("all audio", rate, [o for o in outcomes if o.transport != "image"], counted)]
    by_transport = {transport: [o for o in outcomes if o.transport == transport] for transport in TRANSPORTS}
    return rows + [_row(transport, rate, found, None) for transport, found in by_transport.items() if found]


def knee(port: int) -> list[Row]:
    """Increase the rate until more than one client in ten is rejected."""
    rows: list[Row] = []
    for rate in RATES:
        rows += (found := step(port, rate, STEP_SECONDS))
        if sum(row.rejected for row in found[1:]) > 0.1 * sum(row.clients for row in found[1:]):
            break
    return rows


@dataclass(frozen=True)
class Resources:
    """Resource usage at one moment."""

    minute: float
    api_mb: float
    worker_mb: float
    api_files: int
    worker_files: int


def read_resources(port: int, worker_port: int, since: float) -> Resources:
    """Read the resource usage from the metrics of both processes."""
    api, worker = fetch(port, "/metrics")[1], fetch(worker_port, "/metrics")[1]
    memory, files = "process_resident_memory_bytes", "process_open_fds"
    return Resources(
        round((time.perf_counter() - since) / 60, 1),
        round(total(api, memory) / 1e6, 1),
        round(total(worker, memory) / 1e6, 1),
        int(total(api, files)),
        int(total(worker, files)),
    )


def soak(port: int, worker_port: int, rate: float, seconds: float) -> tuple[list[Row], list[Resources]]:
    """One rate for a long time, with resource usage: the median of each minute, and at the end, without clients."""
    since, readings = time.perf_counter(), list[Resources]()
    with arriving(f"http://127.0.0.1:{port}", rate) as outcomes:
        while time.perf_counter() - since < seconds:
            gevent.sleep(READ_SECONDS)
            readings.append(read_resources(port, worker_port, since))
    per_minute = [readings[at : at + 6] for at in range(0, len(readings), 6)]
    medians = [sorted(minute, key=lambda reading: reading.api_mb)[len(minute) // 2] for minute in per_minute]
    medians.append(read_resources(port, worker_port, since))  # without clients
    return [
        _row(transport, rate, [o for o in outcomes if o.transport == transport], None) for transport in TRANSPORTS
    ], medians


def drift(readings: Sequence[Resources]) -> dict[str, float]:
    """Change of each value per hour: a line fitted after the settling time, without the last entry."""
    settled = [reading for reading in readings[:-1] if 60 * reading.minute > SETTLING_SECONDS]
    hours = [reading.minute / 60 for reading in settled]
    names = [name for name in Resources.__dataclass_fields__ if name != "minute"]
    return {f"{n}_per_hour": round(float(np.polyfit(hours, [getattr(o, n) for o in settled], 1)[0]), 2) for n in names}


def main() -> None:
    """Measure, then print the tables and the JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, help="arrivals per second; without it, increasing rates")
    parser.add_argument("--seconds", type=float, help="duration (60; with --soak: 1200)")
    parser.add_argument("--soak", action="store_true", help="record resource usage over time")
    options = parser.parse_args()
    if options.soak and options.rate is None:
        parser.error("--soak needs a --rate")
    worker_port = free_port()
    with serving(metrics_port=worker_port) as port:
        os.nice(5)  # the server has started already and keeps its priority
        step(port, 1.0, 5.0)  # load what is loaded on first use
        if options.soak:
            rows, readings = soak(port, worker_port, options.rate, options.seconds or SOAK_SECONDS)
            report("Resource usage during the soak test", readings, drift(readings), width=140)
        else:
            rows = knee(port) if options.rate is None else step(port, options.rate, options.seconds or STEADY_SECONDS)
    report("Load", rows, {"broken": sum(row.errors for row in rows)}, width=160)


if __name__ == "__main__":
    main()
