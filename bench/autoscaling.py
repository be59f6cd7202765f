"""What the autoscaler does when many people come at once, simulated: ``python -m bench.autoscaling``.

The workers of the Helm chart: KEDA reads the queue every 5 s, the autoscaler decides every 15 s, at most doubles what
there is each time, and waits 300 s before it removes anything. Requests arrive at random and take the first free slot;
those that find the queue full are refused. Nothing is measured here: how long a new worker takes to be ready is given.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.capacity import UTTERANCE_SECONDS, UTTERANCE_SIGMA, WAIT_SECONDS
from bench.report import report

TICK = 0.1
POLL_SECONDS, DECIDE_SECONDS, STABLE_SECONDS = 5.0, 15.0, 300.0
LEAST_STEP = 4
"""Workers that may be added in one decision, where doubling would add fewer."""
FILLED = 0.75
"""The share of the slots that shall be taken."""
QUEUE_PER_SLOT = 1.0
"""How many requests may wait, for each slot that there is at the beginning."""
SLOTS = 16
"""Of a worker, as in the chart."""
BEFORE, AFTER = 60.0, 540.0
"""Seconds before the rush, and from its beginning."""
RUSH_SECONDS = 60.0
"""Within which ten times as many requests arrive as before."""
FAILOVER_SECONDS = 4.0
"""Until a replica is the master (docs/scaling.md, measured)."""


@dataclass(frozen=True)
class Row:
    """One simulated rush, or one lost master."""

    scenario: str
    listeners: str
    """On average, before and after."""
    ready_after: float
    """Seconds from the decision until a new worker claims jobs."""
    workers_before: int
    workers_most: int
    waited: float
    """Share of the requests that waited longer than 0.1 s."""
    wait_p99: float
    """Seconds, of those that were accepted."""
    refused: float
    """Share of the requests."""
    settled_after: float
    """Seconds from the beginning after which nobody waited any more."""


@dataclass
class Autoscaler:
    """Decides how many workers there are."""

    workers: int
    ready_after: float
    decided_at: float = 0.0

    def __post_init__(self) -> None:
        self.least = self.workers
        self.starting: deque[tuple[float, int]] = deque()
        self._wanted: deque[tuple[float, int]] = deque()

    def decide(self, now: float, jobs: int) -> None:
        """Start or stop workers for so many jobs, waiting or running."""
        if now - self.decided_at < DECIDE_SECONDS:
            return
        self.decided_at = now
        wanted = max(self.least, math.ceil(jobs / (FILLED * SLOTS)))
        self._wanted.append((now, wanted))
        while self._wanted[0][0] < now - STABLE_SECONDS:
            self._wanted.popleft()
        there = self.workers + sum(count for _, count in self.starting)
        if wanted > there:
            self.starting.append((now + self.ready_after, min(wanted - there, max(there, LEAST_STEP))))
        elif (most := max(count for _, count in self._wanted)) < there and not self.starting:
            self.workers = max(most, math.ceil(self.workers * (1 - 0.25 * DECIDE_SECONDS / 60)))

    def advance(self, now: float) -> None:
        """Those that are ready by now work."""
        while self.starting and self.starting[0][0] <= now:
            self.workers += self.starting.popleft()[1]


def simulate(
    scenario: str, listeners: int, times: float, ready_after: float, rng: np.random.Generator, lost: float = 0.0
) -> Row:
    """Simulate :data:`BEFORE` seconds of the usual load and :data:`AFTER` seconds from the event on.

    Args:
        scenario: its name.
        listeners: on average, before.
        times: how many times as many requests arrive at the end of the rush, and afterwards.
        ready_after: seconds from the decision until a new worker claims jobs.
        rng: random numbers.
        lost: share of the requests whose master is lost for :data:`FAILOVER_SECONDS`: they wait for its replica.
    """
    scaler = Autoscaler(math.ceil(listeners / (FILLED * SLOTS)), ready_after)
    first, most = scaler.workers, scaler.workers
    may_wait = QUEUE_PER_SLOT * first * SLOTS
    rate = _rate(listeners / UTTERANCE_SECONDS, times)
    ends: list[float] = []
    waiting: deque[float] = deque()
    held: list[float] = []
    waits: list[float] = []
    requests, refused, settled, read_at, jobs = 0, 0, 0.0, 0.0, 0
    for tick in range(round((BEFORE + AFTER) / TICK)):
        now = tick * TICK
        while ends and ends[0] <= now:
            heapq.heappop(ends)
        scaler.advance(now)
        if now >= BEFORE + FAILOVER_SECONDS and held:
            waiting.extendleft(reversed(held))
            held.clear()
        for _ in range(rng.poisson(rate(now) * TICK)):
            requests += 1
            if len(waiting) >= may_wait:
                refused += 1
            elif BEFORE <= now < BEFORE + FAILOVER_SECONDS and rng.random() < lost:
                held.append(now)
            else:
                waiting.append(now)
        while waiting and len(ends) < scaler.workers * SLOTS:
            arrived = waiting.popleft()
            waits.append(now - arrived)
            settled = now if now - arrived > WAIT_SECONDS else settled
            length = UTTERANCE_SECONDS * math.exp(rng.normal(-(UTTERANCE_SIGMA**2) / 2, UTTERANCE_SIGMA))
            heapq.heappush(ends, now + length)
        if now - read_at >= POLL_SECONDS:
            read_at, jobs = now, len(ends) + len(waiting) + len(held)
        scaler.decide(now, jobs)
        most = max(most, scaler.workers)
    found = np.asarray(waits)
    return Row(
        scenario,
        f"{listeners:,} → {round(listeners * times):,}",
        ready_after,
        first,
        most,
        round(float(np.mean(found > WAIT_SECONDS)), 4),
        round(float(np.quantile(found, 0.99)), 1),
        round(refused / requests, 4),
        round(max(0.0, settled - BEFORE), 1),
    )


def _rate(usual: float, times: float) -> Callable[[float], float]:
    """Requests per second at a time: the rush grows evenly."""

    def rate(now: float) -> float:
        return usual * (1 + (times - 1) * min(1.0, max(0.0, (now - BEFORE) / RUSH_SECONDS)))

    return rate


def main() -> None:
    """Ten times as many listeners within a minute, with workers that are ready sooner or later; and a lost master."""
    rng = np.random.default_rng(0)
    rows = [
        simulate("rush", listeners, 10.0, ready_after, rng)
        for listeners in (100, 1000)
        for ready_after in (5.0, 30.0, 60.0, 120.0)
    ]
    rows += [simulate("a master of three is lost", 1000, 1.0, 5.0, rng, lost=1 / 3)]
    report("Autoscaling, simulated", rows, {}, 160)


if __name__ == "__main__":
    main()
