"""What the tests of the metrics share: both processes, scraped, and what has changed between two scrapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.service.servers import Server
from tests.waiting import awaited, eventually

LISTENING = "probes listening"


@dataclass
class Scrape:
    """Every sample of one moment, by name and labels."""

    samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = field(default_factory=dict)

    def add(self, text: str) -> None:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                key = sample.name, frozenset(sample.labels.items())
                assert key not in self.samples or not sample.name.startswith("ancestral_"), key
                self.samples[key] = sample.value

    def of(self, name: str, **labels: str) -> float:
        """The sum of all samples of this name that have these labels."""
        wanted = set(labels.items())
        return sum(value for (its, has), value in self.samples.items() if its == name and wanted <= has)

    def names(self) -> set[str]:
        return {name for name, _ in self.samples}


def worker_url(server: Server) -> str:
    """Where the worker that was started last answers."""
    ports = awaited(lambda: [line["port"] for line in server.log if line["message"] == LISTENING], 60)
    return f"http://127.0.0.1:{ports[-1]}"


def scrape(server: Server) -> Scrape:
    """Both processes, now. What they say of themselves under one name is in the labels, or is not asked for here."""
    found = Scrape()
    found.add(httpx.get(f"{server.url}/metrics").text)
    for line in httpx.get(f"{worker_url(server)}/metrics").text.split("# HELP ")[1:]:
        if not line.startswith(
            ("process_", "python_", "ancestral_redis_round", "ancestral_redis_un", "ancestral_job_s")
        ):
            found.add(f"# HELP {line}")
    return found


def worker_scrape(server: Server) -> Scrape:
    """The worker alone."""
    found = Scrape()
    found.add(httpx.get(f"{worker_url(server)}/metrics").text)
    return found


class Change:
    """What happens from now on, as both processes count it, or, with another ``look``, the worker alone, whose last
    words may come a little later."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._before = {look: look(server) for look in (scrape, worker_scrape)}

    def of(self, name: str, look: Callable[[Server], Scrape] = scrape, **labels: str) -> float:
        return look(self._server).of(name, **labels) - self._before[look].of(name, **labels)

    def becomes(self, expected: float, name: str, look: Callable[[Server], Scrape] = scrape, **labels: str) -> None:
        """It has changed by so much, now or soon."""
        eventually(lambda: abs(self.of(name, look, **labels) - expected) < 1e-6, 20)
