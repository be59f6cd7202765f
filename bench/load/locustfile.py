"""Open-loop arrivals: ``locust -f bench/load/locustfile.py --host http://127.0.0.1:8000 --users 1 --rate 1``.

Locust's users wait for a response before they send the next request (a closed loop). That hides overload, because a
slow service then gets fewer requests. Here one user starts clients at random times (Poisson) at the given rate and
waits for none of them. ``python -m bench.load`` runs it with a server of its own.
"""

from __future__ import annotations

import random
import time
from typing import Any

import gevent
from locust import User, constant, events, task

from bench.load.clients import TRANSPORTS, Outcome, run_client

SHARES = (0.5, 0.1, 0.2, 0.2)
"""Shares of the transports."""


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]  # nor is the rest
def _options(parser: Any) -> None:
    parser.add_argument("--rate", type=float, default=1.0, help="arrivals per second")


class Arrivals(User):  # type: ignore[misc]  # locust is not installed where types are checked
    """Starts all clients."""

    wait_time = constant(0)
    outcomes: list[Outcome] = []  # noqa: RUF012 - shared with bench.load

    def on_start(self) -> None:
        """Start the clock."""
        self._random = random.Random(1)
        self._number = 0
        self._due = time.perf_counter()

    @task  # type: ignore[untyped-decorator]
    def start_client(self) -> None:
        """Start the next client when it is due."""
        self._due += self._random.expovariate(self.environment.parsed_options.rate)
        gevent.sleep(max(0.0, self._due - time.perf_counter()))
        self._number += 1
        (transport,) = self._random.choices(TRANSPORTS, SHARES)
        gevent.spawn(self._run, self._number, transport)

    def _run(self, number: int, transport: str) -> None:
        outcome = run_client(self.host, number, transport)
        self.outcomes.append(outcome)
        milliseconds = None if outcome.first is None else 1000 * outcome.first
        error = None if outcome.status == 200 else RuntimeError(f"status {outcome.status}")
        figures: dict[str, Any] = {
            "response_time": milliseconds,
            "response_length": 0,
            "exception": error,
            "context": {},
        }
        self.environment.events.request.fire(request_type=transport, name="first audio", **figures)
