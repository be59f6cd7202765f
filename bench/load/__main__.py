"""``python -m bench.load``: a real server under mixed traffic. Needs the extra ``load`` (locust).

    python -m bench.load                    more and more arrivals, up to where the service says 429
    python -m bench.load --rate 1           so many a second, for --seconds
    python -m bench.load --rate 1 --soak    the same for twenty minutes; memory, open files and Redis before and after

Clients and server share the machine's cores, so figures are those of both together.
"""

from __future__ import annotations

from bench.load import locustfile  # isort: skip  # first: gevent has to be in place before sockets are used

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
from bench.load.clients import REFUSED, ROADS, Outcome
from bench.report import report
from bench.scrape import total

RATES = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
STEP_SECONDS = 40.0
STEADY_SECONDS = 60.0
SOAK_SECONDS = 1200.0
SETTLING_SECONDS = 180.0
"""After which whatever is kept for a while (``stream_seconds``) is dropped as fast as it comes."""
LOOK_SECONDS = 10.0


@dataclass(frozen=True)
class Row:
    """What came of some arrivals."""

    road: str
    rate: float
    """Arrivals a second, of all roads together."""
    clients: int
    refused: int
    errors: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    """Of the first sound; of pictures, of all of them."""
    silent: int
    """Listeners who heard silence."""
    silence_seconds: float
    counted_seconds: float | None
    """The same silence as the server counts it; it knows no roads apart here."""


def _row(road: str, rate: float, outcomes: Sequence[Outcome], counted: float | None) -> Row:
    firsts = [1000 * outcome.first for outcome in outcomes if outcome.first is not None]
    p50, p95, p99 = (round(float(np.quantile(firsts, q)), 1) if firsts else None for q in (0.5, 0.95, 0.99))
    return Row(
        road,
        rate,
        clients=len(outcomes),
        refused=sum(outcome.status == REFUSED for outcome in outcomes),
        errors=sum(outcome.status not in (200, REFUSED) for outcome in outcomes),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        silent=sum(outcome.silence > 0 for outcome in outcomes),
        silence_seconds=round(sum(outcome.silence for outcome in outcomes), 2),
        counted_seconds=counted,
    )


@contextmanager
def arriving(url: str, rate: float) -> Iterator[list[Outcome]]:
    """Clients come, at this rate, until the block ends; then those under way are waited for. How they fared."""
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
        gevent.sleep(15)  # longer than any client needs that has been let in


def step(port: int, rate: float, seconds: float) -> list[Row]:
    """So many arrivals a second for so long: a row for all, and one for each road."""
    before = total(fetch(port, "/metrics")[1], "ancestral_underrun_seconds_total")
    with arriving(f"http://127.0.0.1:{port}", rate) as outcomes:
        gevent.sleep(seconds)
    counted = round(total(fetch(port, "/metrics")[1], "ancestral_underrun_seconds_total") - before, 2)
    rows = [_row("all that sound", rate, [o for o in outcomes if o.road != "image"], counted)]
    roads = {road: [o for o in outcomes if o.road == road] for road in ROADS}
    return rows + [_row(road, rate, found, None) for road, found in roads.items() if found]


def knee(port: int) -> list[Row]:
    """More and more arrivals, until more than one in ten is refused."""
    rows: list[Row] = []
    for rate in RATES:
        rows += (found := step(port, rate, STEP_SECONDS))
        if sum(row.refused for row in found[1:]) > 0.1 * sum(row.clients for row in found[1:]):
            break
    return rows


@dataclass(frozen=True)
class Held:
    """What is held at a moment."""

    minute: float
    api_mb: float
    worker_mb: float
    api_files: int
    worker_files: int
    redis_mb: float
    redis_keys: int


def held(port: int, worker_port: int, since: float) -> Held:
    """As both processes say."""
    api, worker = fetch(port, "/metrics")[1], fetch(worker_port, "/metrics")[1]
    memory, files = "process_resident_memory_bytes", "process_open_fds"
    return Held(
        round((time.perf_counter() - since) / 60, 1),
        round(total(api, memory) / 1e6, 1),
        round(total(worker, memory) / 1e6, 1),
        int(total(api, files)),
        int(total(worker, files)),
        round(total(api, "ancestral_redis_memory_bytes") / 1e6, 2),
        int(total(api, "ancestral_redis_keys")),
    )


def soak(port: int, worker_port: int, rate: float, seconds: float) -> tuple[list[Row], list[Held]]:
    """Arrivals for long, and what is held: the median of each minute, and last what is left when all have gone."""
    since, looks = time.perf_counter(), list[Held]()
    with arriving(f"http://127.0.0.1:{port}", rate) as outcomes:
        while time.perf_counter() - since < seconds:
            gevent.sleep(LOOK_SECONDS)
            looks.append(held(port, worker_port, since))
    per_minute = [looks[at : at + 6] for at in range(0, len(looks), 6)]
    medians = [sorted(minute, key=lambda look: look.api_mb)[len(minute) // 2] for minute in per_minute]
    medians.append(held(port, worker_port, since))  # when nobody is under way any more
    return [_row(road, rate, [o for o in outcomes if o.road == road], None) for road in ROADS], medians


def drift(looks: Sequence[Held]) -> dict[str, float]:
    """How each figure changes in an hour, by a line through the looks after the first minutes, without the last one."""
    settled = [look for look in looks[:-1] if 60 * look.minute > SETTLING_SECONDS]
    hours = [look.minute / 60 for look in settled]
    names = [name for name in Held.__dataclass_fields__ if name != "minute"]
    return {f"{n}_per_hour": round(float(np.polyfit(hours, [getattr(o, n) for o in settled], 1)[0]), 2) for n in names}


def main() -> None:
    """Measure, print the tables, print the JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, help="arrivals in a second; without it, more and more")
    parser.add_argument("--seconds", type=float, help="for how long (60; a soak: 1200)")
    parser.add_argument("--soak", action="store_true", help="with an eye on what is held meanwhile")
    options = parser.parse_args()
    if options.soak and options.rate is None:
        parser.error("--soak needs a --rate")
    worker_port = free_port()
    with serving(metrics_port=worker_port) as port:
        os.nice(5)  # the server is already there, and is not slowed down by this
        step(port, 1.0, 5.0)  # whatever is read on first use
        if options.soak:
            rows, looks = soak(port, worker_port, options.rate, options.seconds or SOAK_SECONDS)
            report("Held during the soak", looks, drift(looks), width=140)
        else:
            rows = knee(port) if options.rate is None else step(port, options.rate, options.seconds or STEADY_SECONDS)
    report("Load", rows, {"broken": sum(row.errors for row in rows)}, width=160)


if __name__ == "__main__":
    main()
