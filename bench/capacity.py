"""What a deployment of any size needs: ``python -m bench.capacity``.

First a real one is measured, on this machine: what a second of listening costs a worker, an API process and Redis, in
seconds of processor time (which other work on the machine hardly changes) and in what passes through Redis. Then
deployments of one worker to ten thousand are reckoned from that. How full their slots may be is simulated: requests
come when they like, each takes the first slot that is free, and hardly any may wait. It takes about three minutes.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import math
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import redis

from bench.listeners import MODEL, TEXTS, nicely, play, serving
from bench.report import report
from service.broker import PREFIX, WorkerInfo, scripts
from service.cli.local.embedded import EmbeddedRedis

LISTENERS = 8
LISTENING_SECONDS = 20.0
IDLE_SECONDS = 8.0
CARDS = (1, 100, 1000, 10_000)
WORKERS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)
WORKER_CORES = 2
WAIT_SECONDS, MAY_WAIT = 0.1, 0.01
"""The share of requests that may wait longer than that for a slot."""
UTTERANCE_SECONDS, UTTERANCE_SIGMA = 6.0, 0.8
"""An utterance: the mean, and the width of its lognormal distribution."""
BUSY = 0.7
"""How much of a core is given to a process that has one thread, Redis or an API process."""
LOOK_SECONDS = 0.5
"""Between two looks of an API process at the workers' cards."""


@dataclass(frozen=True)
class Costs:
    """What was measured: of a second of listening, of a worker that idles, and of the list of all workers."""

    worker_core: float
    api_core: float
    redis_core: float
    redis_calls: float
    redis_bytes_in: float
    redis_bytes_out: float
    redis_bytes_kept: float
    idle_redis_core: float
    """For a worker and an API process that do nothing."""
    roster_seconds_a_card: float
    """Of Redis' one thread, for each look at the cards of all workers."""


@dataclass(frozen=True)
class Row:
    """A deployment."""

    workers: int
    slots: int
    full: float
    """How much of the slots may be taken."""
    listeners: int
    requests_per_second: float
    worker_cores: int
    api_processes: int
    redis_cores: float
    of_which_roster: float
    calls_a_second: int
    """Of Redis, as are the next two."""
    megabytes_a_second: float
    gigabytes: float
    """While sound is kept for two minutes after its end, which is the default."""
    cells: int
    """Deployments, each with a Redis of its own, to divide it into, so that none of these is too busy."""


def waits(slots: int, load: float, count: int, rng: np.random.Generator, sigma: float = UTTERANCE_SIGMA) -> Any:
    """How long requests wait for a slot, simulated: they come at random, and are served in the order of their coming.

    Args:
        slots: that there are.
        load: of them, 0 to 1.
        count: of requests.
        rng: chance.
        sigma: of the lognormal lengths; 0 for utterances of one length.

    Returns:
        Seconds ``[count]``, those of the beginning, when all slots were free, left out.
    """
    left_out = 4 * slots
    total = count + left_out
    come = np.cumsum(rng.exponential(UTTERANCE_SECONDS / (slots * load), total))
    takes = UTTERANCE_SECONDS * np.exp(rng.normal(-(sigma**2) / 2, sigma, total))
    free, waited = [0.0] * slots, np.empty(total)
    for number, (now, length) in enumerate(zip(come.tolist(), takes.tolist(), strict=True)):
        start = max(now, free[0])
        heapq.heapreplace(free, start + length)
        waited[number] = start - now
    return waited[left_out:]


def highest_load(slots: int, rng: np.random.Generator) -> float:
    """How full the slots may be while hardly anybody waits."""
    low, high = 0.0, 1.0
    while high - low > 0.01:
        load = (low + high) / 2
        waited = waits(slots, load, max(20_000, 4 * slots), rng)
        low, high = (load, high) if np.mean(waited > WAIT_SECONDS) <= MAY_WAIT else (low, load)
    return low


def reckon(workers: int, costs: Costs, rng: np.random.Generator) -> Row:
    """What so many workers serve, and what they need beside themselves."""
    slots = workers * int(WORKER_CORES / costs.worker_core)
    full = highest_load(slots, rng)
    listeners = int(slots * full)
    apis = max(1, math.ceil(listeners * costs.api_core / BUSY))
    roster = apis / LOOK_SECONDS * workers * costs.roster_seconds_a_card
    streams = listeners * costs.redis_core + workers * costs.idle_redis_core
    cells = next(cells for cells in range(1, workers + 1) if streams / cells + roster / cells**2 <= BUSY)
    return Row(
        workers,
        slots,
        round(full, 2),
        listeners,
        round(listeners / UTTERANCE_SECONDS, 1),
        workers * WORKER_CORES,
        apis,
        round(streams + roster, 3),
        round(roster, 3),
        round(listeners * costs.redis_calls),
        round(listeners * (costs.redis_bytes_in + costs.redis_bytes_out) / 1e6, 2),
        round(listeners * costs.redis_bytes_kept * (120 + UTTERANCE_SECONDS) / 1e9, 3),
        cells,
    )


def breaking_point(costs: Costs, rows: Sequence[Row]) -> str:
    """Where one Redis is not enough."""
    fits = [row for row in rows if row.redis_cores <= BUSY]
    alone = round(BUSY / costs.redis_core)
    return (
        f"one Redis carries {fits[-1].workers if fits else 0} workers of this table; "
        f"by its streams alone it would carry {alone:,} listeners"
    )


def descendants(pid: int) -> list[int]:
    """The children of a process, and theirs."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *descendants(int(child))]
    return found


def processor_seconds() -> dict[str, float]:
    """What the processes of the deployment have used: of workers, of API processes, of Redis."""
    used = {"worker": 0.0, "api": 0.0, "redis": 0.0}
    for pid in descendants(os.getpid()):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        figures = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        seconds = (int(figures[11]) + int(figures[12])) / os.sysconf("SC_CLK_TCK")
        if b"service.cli.local.supervisor" in words:
            continue
        if b"valkey-server" in words[0]:
            used["redis"] += seconds
        elif b"worker" in words:
            used["worker"] += seconds
        elif b"serve" in words:
            used["api"] += seconds
    assert all(used.values()), used
    return used


def counters(client: redis.Redis) -> dict[str, float]:
    """What has passed through Redis, what it holds, and what everybody has used."""
    info: Any = client.info()
    names = ("total_commands_processed", "total_net_input_bytes", "total_net_output_bytes", "used_memory")
    return {**{name: float(info[name]) for name in names}, **processor_seconds(), "time": time.monotonic()}


async def listen(port: int, number: int, until: float) -> float:
    """One listener, from utterance to utterance: seconds of sound heard."""
    await asyncio.sleep(number / LISTENERS)
    heard, turn = 0.0, 0
    while time.monotonic() < until:
        heard += (await play(port, TEXTS[turn % len(TEXTS)], 100 * number + turn)).seconds
        turn += 1
    return heard


async def listen_together(port: int) -> float:
    """All listeners."""
    until = time.monotonic() + LISTENING_SECONDS
    return sum(await asyncio.gather(*(listen(port, number, until) for number in range(LISTENERS))))


def roster_cost(client: redis.Redis) -> float:
    """Seconds of Redis' thread for each card that is read."""
    names, slots = [f"{MODEL}-{number}" for number in range(5)], {"interactive": 10, "batch": 2}
    engines, models = dict.fromkeys(names, "native"), dict.fromkeys(names, "0" * 64)
    card = vars(WorkerInfo("worker-0000000000-00000000", True, engines, models, slots))
    announce, roster = (client.register_script(getattr(scripts, name)) for name in ("ANNOUNCE", "ROSTER"))
    keys, costs = [f"{PREFIX}capacity:workers", f"{PREFIX}capacity:cards"], []
    for count in CARDS:
        for number in range(count):
            announce(keys=keys, args=[f"worker-{number}", json.dumps(card), 600])
        client.config_resetstat()
        for _ in range(20):
            roster(keys=keys, args=[])
        spent: Any = client.info("commandstats")
        costs.append(spent["cmdstat_evalsha"]["usec_per_call"] / 1e6 / count)
    client.delete(*keys)
    return float(costs[-1])


def measure() -> Costs:
    """Run a deployment, and listen to it."""
    with tempfile.TemporaryDirectory(prefix="anc-") as data, EmbeddedRedis(Path(data)) as valkey:
        server = serving(redis_url=valkey.url, interactive_slots=LISTENERS)
        with redis.Redis.from_url(valkey.url) as client, server as port:
            nicely(play(port, TEXTS[0], 0))
            before = counters(client)
            time.sleep(IDLE_SECONDS)
            idle = counters(client)
            seconds = nicely(listen_together(port))
            after = counters(client)
            roster = roster_cost(client)
    idling = {name: (idle[name] - before[name]) / (idle["time"] - before["time"]) for name in before}

    def each(name: str) -> float:
        spent = after[name] - idle[name] - idling[name] * (after["time"] - idle["time"])
        return spent / seconds

    return Costs(
        round(each("worker"), 4),
        round(each("api"), 4),
        round(each("redis"), 5),
        round(each("total_commands_processed"), 1),
        round(each("total_net_input_bytes")),
        round(each("total_net_output_bytes")),
        round((after["used_memory"] - idle["used_memory"]) / seconds),
        round(idling["redis"], 5),
        roster,
    )


def main() -> None:
    """Measure, reckon, and say where it breaks."""
    costs = measure()
    rng = np.random.default_rng(0)
    rows = [reckon(workers, costs, rng) for workers in WORKERS]
    for name, value in vars(costs).items():
        print(f"{name}: {value:g}")
    print(breaking_point(costs, rows))
    report("Capacity, from what was measured", rows, {"costs": vars(costs), "breaks": breaking_point(costs, rows)}, 200)


if __name__ == "__main__":
    main()
