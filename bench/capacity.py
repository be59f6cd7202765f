"""Capacity planning, what a deployment of any size needs: ``python -m bench.capacity``.

First a real deployment is measured on this machine: what one second of listening costs a worker, an API process and
Redis, in CPU seconds (which other work on the machine hardly changes) and in Redis traffic. Deployments of one to ten
thousand workers are calculated from that. The usable share of their slots is simulated: requests arrive at random, each
takes the first free slot, and at most :data:`MAY_WAIT` of them may wait. It takes about three minutes.
"""

from __future__ import annotations

import heapq
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

from ancestral.service.broker.connection import CLUSTER_SHARDS
from ancestral.service.broker.job import PREFIX, WorkerInfo
from ancestral.service.broker.scripts import ANNOUNCE
from ancestral.service.cli.local.embedded import EmbeddedRedis
from bench.listeners import MODEL, TEXTS, cpu_seconds, listen_together, play, run_clients, serving
from bench.report import report

LISTENERS = 8
LISTENING_SECONDS = 20.0
IDLE_SECONDS = 8.0
WORKER_COUNTS = (100, 10_000)
WORKERS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)
WORKER_CORES = 2
WAIT_SECONDS, MAY_WAIT = 0.1, 0.01
"""At most the share ``MAY_WAIT`` of requests may wait longer than ``WAIT_SECONDS`` for a slot."""
UTTERANCE_SECONDS, UTTERANCE_SIGMA = 6.0, 0.8
"""Length of an utterance: mean, and sigma of its lognormal distribution."""
UTILISATION = 0.7
"""Planned CPU utilisation of Redis and of an API process, which have one thread each."""
POLL_SECONDS = 0.5
"""Interval at which an API process reads what workers can do, of every shard."""
MOST_SHARDS = 256


@dataclass(frozen=True)
class Costs:
    """Measured costs: per second of listening, of an idle deployment, and of reading what workers can do."""

    worker_core: float
    api_core: float
    redis_core: float
    redis_calls: float
    redis_bytes_in: float
    redis_bytes_out: float
    redis_bytes_kept: float
    idle_redis_core: float
    """Cores of Redis used by one idle worker and one idle API process."""
    capacity_seconds: float
    """Redis time to read what the workers of one shard can do."""


@dataclass(frozen=True)
class Row:
    """A deployment."""

    workers: int
    slots: int
    slot_usage: float
    """Usable share of the slots."""
    listeners: int
    requests_per_second: float
    worker_cores: int
    api_processes: int
    redis_cores: float
    redis_calls_per_second: int
    """Redis commands; the next two fields are Redis traffic and memory."""
    redis_megabytes_per_second: float
    redis_gigabytes: float
    """Redis memory, with audio kept for two minutes after its end, the default."""
    shards: int
    """Queues: one Redis has one, a cluster at least 32."""
    masters: int
    """Masters of the cluster; 1: one Redis is enough. The busiest of them has the most shards."""


def waits(slots: int, load: float, count: int, rng: np.random.Generator, sigma: float = UTTERANCE_SIGMA) -> Any:
    """Simulate queue waits: requests arrive at random and are served first come, first served.

    Args:
        slots: number of slots.
        load: offered load per slot, 0 to 1.
        count: number of requests.
        rng: random numbers.
        sigma: of the lognormal lengths; 0 for utterances of equal length.

    Returns:
        Seconds ``[count]``. A warm-up phase, which starts with all slots free, is left out.
    """
    warm_up = 4 * slots
    total = count + warm_up
    arrivals = np.cumsum(rng.exponential(UTTERANCE_SECONDS / (slots * load), total))
    lengths = UTTERANCE_SECONDS * np.exp(rng.normal(-(sigma**2) / 2, sigma, total))
    free, waited = [0.0] * slots, np.empty(total)
    for number, (now, length) in enumerate(zip(arrivals.tolist(), lengths.tolist(), strict=True)):
        start = max(now, free[0])
        heapq.heapreplace(free, start + length)
        waited[number] = start - now
    return waited[warm_up:]


def highest_load(slots: int, rng: np.random.Generator) -> float:
    """The highest load at which at most :data:`MAY_WAIT` of the requests wait."""
    low, high = 0.0, 1.0
    while high - low > 0.01:
        load = (low + high) / 2
        waited = waits(slots, load, max(20_000, 4 * slots), rng)
        low, high = (load, high) if np.mean(waited > WAIT_SECONDS) <= MAY_WAIT else (low, load)
    return low


def plan(workers: int, costs: Costs, rng: np.random.Generator) -> Row:
    """What this number of workers can serve, and what else they need."""
    slots = workers * int(WORKER_CORES / costs.worker_core)
    slot_usage = highest_load(slots, rng)
    listeners = int(slots * slot_usage)
    apis = max(1, math.ceil(listeners * costs.api_core / UTILISATION))
    streams = listeners * costs.redis_core + workers * costs.idle_redis_core
    cores = streams + apis / POLL_SECONDS * costs.capacity_seconds
    shards = masters = 1
    if cores > UTILISATION:
        shards = CLUSTER_SHARDS
        while (masters := masters_for(streams, apis, shards, costs)) > shards and shards < MOST_SHARDS:
            shards *= 2
        cores = streams + apis / POLL_SECONDS * costs.capacity_seconds * shards
    return Row(
        workers,
        slots,
        round(slot_usage, 2),
        listeners,
        round(listeners / UTTERANCE_SECONDS, 1),
        workers * WORKER_CORES,
        apis,
        round(cores, 3),
        round(listeners * costs.redis_calls),
        round(listeners * (costs.redis_bytes_in + costs.redis_bytes_out) / 1e6, 2),
        round(listeners * costs.redis_bytes_kept * (120 + UTTERANCE_SECONDS) / 1e9, 3),
        shards,
        masters,
    )


def masters_for(streams: float, apis: int, shards: int, costs: Costs) -> int:
    """How many masters so many shards need; more than there are shards if these are too few.

    Args:
        streams: cores that jobs and idle workers use.
        apis: API processes.
        shards: that lie on the masters as evenly as they can.
        costs: measured.
    """
    each = streams / shards + apis / POLL_SECONDS * costs.capacity_seconds
    fits = int(UTILISATION / each)
    return math.ceil(shards / fits) if fits else shards + 1


def breaking_point(costs: Costs, rows: Sequence[Row]) -> str:
    """Up to which size one Redis is enough."""
    fits = [row for row in rows if row.redis_cores <= UTILISATION]
    alone = round(UTILISATION / costs.redis_core)
    return (
        f"one Redis carries {fits[-1].workers if fits else 0} workers of this table; "
        f"counting streams only, it would carry {alone:,} listeners"
    )


def descendants(pid: int) -> list[int]:
    """All descendants of a process."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *descendants(int(child))]
    return found


def used_seconds() -> dict[str, float]:
    """CPU seconds used so far by workers, API processes and Redis."""
    used = {"worker": 0.0, "api": 0.0, "redis": 0.0}
    for pid in descendants(os.getpid()):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        seconds = cpu_seconds(pid)
        if b"ancestral.service.cli.local.supervisor" in words:
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
    """Redis traffic and memory, and CPU seconds of all processes."""
    info: Any = client.info()
    names = ("total_commands_processed", "total_net_input_bytes", "total_net_output_bytes", "used_memory")
    return {**{name: float(info[name]) for name in names}, **used_seconds(), "time": time.monotonic()}


def capacity_cost(client: redis.Redis) -> float:
    """Redis time to read what the workers of one shard can do, in seconds: with a hundred as with ten thousand."""
    names, slots = [f"{MODEL}-{number}" for number in range(5)], {"interactive": 10, "batch": 2}
    info = WorkerInfo(True, dict.fromkeys(names, "native"), dict.fromkeys(names, "0" * 64), slots)
    announce = client.register_script(ANNOUNCE.source)
    keys, costs = [f"{PREFIX}capacity:{kind}" for kind in ANNOUNCE.keys.split()], []
    for count in WORKER_COUNTS:
        for number in range(count):
            announce(keys=keys, args=[f"worker-{number}", info.encode(), 600])
        client.config_resetstat()
        for _ in range(1000):
            client.hgetall(keys[-1])
        spent: Any = client.info("commandstats")
        costs.append(spent["cmdstat_hgetall"]["usec_per_call"] / 1e6)
    client.delete(*keys)
    return float(max(costs))


def measure() -> Costs:
    """Run a deployment under load and measure it."""
    with tempfile.TemporaryDirectory(prefix="anc-") as data, EmbeddedRedis(Path(data)) as valkey:
        server = serving(redis_url=valkey.url, interactive_slots=LISTENERS)
        with redis.Redis.from_url(valkey.url) as client, server as port:
            run_clients(play(port, TEXTS[0], 0))
            before = counters(client)
            time.sleep(IDLE_SECONDS)
            idle = counters(client)
            heard = run_clients(listen_together(port, LISTENERS, LISTENING_SECONDS))
            seconds = sum(played.seconds for played in heard)
            after = counters(client)
            capacity = capacity_cost(client)
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
        capacity,
    )


def main() -> None:
    """Measure, calculate, and print where one Redis reaches its limit."""
    costs = measure()
    rng = np.random.default_rng(0)
    rows = [plan(workers, costs, rng) for workers in WORKERS]
    for name, value in vars(costs).items():
        print(f"{name}: {value:g}")
    breaks = breaking_point(costs, rows)
    print(breaks)
    report("Capacity, calculated from measured costs", rows, {"costs": vars(costs), "breaks": breaks}, 200)


if __name__ == "__main__":
    main()
