"""Arrivals for locust: ``locust -f bench/load/locustfile.py --host http://127.0.0.1:8000 --users 1 --rate 1``.

Locust's users wait for their answers before they go on (a closed loop), which hides what a service does under too much
load: it slows its clients down. Here one user sends clients out at random moments (Poisson), at the rate that was asked
for, and waits for none of them. ``python -m bench.load`` runs it with a server of its own.
"""

from __future__ import annotations

import random
import time
from typing import Any

import gevent
from locust import User, constant, events, task

from bench.load.clients import ROADS, Outcome, go

SHARES = (0.5, 0.1, 0.2, 0.2)
"""Of the roads."""


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]  # nor is the rest
def _options(parser: Any) -> None:
    parser.add_argument("--rate", type=float, default=1.0, help="clients that come in a second")


class Arrivals(User):  # type: ignore[misc]  # locust is not there where types are checked
    """All clients."""

    wait_time = constant(0)
    outcomes: list[Outcome] = []  # noqa: RUF012 - of all, for whoever runs it

    def on_start(self) -> None:
        """Nobody is under way yet."""
        self._random = random.Random(1)
        self._number = 0
        self._due = time.perf_counter()

    @task  # type: ignore[untyped-decorator]
    def come(self) -> None:
        """The next client sets out, when it is time."""
        self._due += self._random.expovariate(self.environment.parsed_options.rate)
        gevent.sleep(max(0.0, self._due - time.perf_counter()))
        self._number += 1
        (road,) = self._random.choices(ROADS, SHARES)
        gevent.spawn(self._go, self._number, road)

    def _go(self, number: int, road: str) -> None:
        outcome = go(self.host, number, road)
        self.outcomes.append(outcome)
        milliseconds = None if outcome.first is None else 1000 * outcome.first
        error = None if outcome.status == 200 else RuntimeError(f"status {outcome.status}")
        figures: dict[str, Any] = {
            "response_time": milliseconds,
            "response_length": 0,
            "exception": error,
            "context": {},
        }
        self.environment.events.request.fire(request_type=road, name="first audio", **figures)
