"""Check dashboards and alerts against a running service: ``python -m deploy.observe``.

Needs Prometheus (Debian: ``prometheus`` and ``promtool``). Prometheus, with the shipped configuration, scrapes a real
server (with its Valkey and a worker) under a minute of mixed load. Every query of every panel must return data, every
metric named in a panel or an alert must exist, every dashboard variable must have values, and the alert unit tests must
pass. Prints a table and one line of JSON; the
exit code is 1 if anything failed.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

import yaml

from bench.listeners import MODEL, TEXTS, VOICES, free_port, serving
from bench.load import arriving
from bench.report import report
from deploy.queries import PROMETHEUS, alerts, boards, queries, selectors

LOAD_SECONDS: Final = 60.0
RATE: Final = 0.7
"""Clients per second."""
SCRAPE_SECONDS: Final = 5
INTERVAL: Final = f"{4 * SCRAPE_SECONDS}s"
"""The value of ``$__rate_interval`` for the scrape interval of prometheus.yml."""
_FOREIGN: Final = ("DCGM_", "redis_")
"""Metrics of exporters, which do not run here."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    where: str
    what: str
    series: int
    points: int
    """Finite values."""
    last: float | None
    """Last value of the first series."""
    verdict: str


class Prometheus:
    """The HTTP API of a running Prometheus."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1/"

    def get(self, path: str, **parameters: object) -> Any:
        """The ``data`` of a response."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self._url}{path}?{query}", timeout=30) as response:
            return json.load(response)["data"]

    def series(self, text: str, begin: float, end: float) -> list[list[float]]:
        """The result of a query: the finite values of each series."""
        found = self.get("query_range", query=text, start=begin, end=end, step=SCRAPE_SECONDS)["result"]
        values = [[float(value) for _, value in series["values"]] for series in found]
        return [[value for value in series if math.isfinite(value)] for series in values]

    def wait(self, jobs: int) -> None:
        """Wait until that many targets are up."""
        for _ in range(240):
            try:
                if sum(target["health"] == "up" for target in self.get("targets")["activeTargets"]) == jobs:
                    return
            except OSError:
                pass
            time.sleep(0.5)
        raise SystemExit("Prometheus cannot reach every process")


def configuration(targets: dict[str, str]) -> str:
    """The shipped Prometheus configuration, with static targets instead of DNS."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] in targets]
    for job in config["scrape_configs"]:
        job.pop("dns_sd_configs", None)
        job["static_configs"] = [{"targets": [targets[job["job_name"]]]}]
    return str(yaml.safe_dump(config))


@contextmanager
def prometheus(targets: dict[str, str]) -> Iterator[Prometheus]:
    """Run Prometheus with the shipped configuration and these targets until the block ends."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "prometheus.yml").write_text(configuration(targets))
        shutil.copy(PROMETHEUS / "alerts.yml", directory)
        options = {
            "config.file": f"{directory}/prometheus.yml",
            "storage.tsdb.path": f"{directory}/data",
            "web.listen-address": f"127.0.0.1:{port}",
            "log.level": "error",
        }
        process = subprocess.Popen(["prometheus", *(f"--{name}={value}" for name, value in options.items())])
        try:
            yield Prometheus(port)
        finally:
            process.terminate()
            process.wait(30)


def send_odd_requests(port: int) -> None:
    """Requests that the load generator does not send: an early disconnect, an invalid request, an asynchronous job."""
    speech = {"model": MODEL, "voice": VOICES[0], "input": TEXTS[0], "response_format": "pcm"}
    for body, headers, read in (
        (speech, {}, 1000),
        (speech | {"voice": "nobody"}, {}, None),
        (speech | {"input": "Later."}, {"prefer": "respond-async"}, None),
    ):
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request(
            "POST", "/v1/audio/speech", json.dumps(body), {"content-type": "application/json", **headers}
        )
        connection.getresponse().read(read)
        connection.close()


def load(port: int) -> None:
    """One minute of mixed traffic."""
    with arriving(port, RATE):
        until = time.perf_counter() + LOAD_SECONDS
        while time.perf_counter() < until:
            send_odd_requests(port)
            time.sleep(4)


def panel_rows(prom: Prometheus, begin: float, end: float) -> list[Row]:
    """Check every query of every panel."""
    rows = []
    for query in queries():
        found = prom.series(query.filled(INTERVAL), begin, end)
        points = sum(map(len, found))
        verdict = "ok" if points else "of an exporter" if re.search(r"\b(DCGM|redis)_", query.text) else "EMPTY"
        last = next((series[-1] for series in found if series), None)
        rows.append(
            Row(query.board, query.panel, len(found), points, None if last is None else round(last, 4), verdict)
        )
    return rows


def name_row(prom: Prometheus) -> Row:
    """Check that every metric named in a panel or alert exists."""
    texts = [query.filled(INTERVAL) for query in queries()] + [rule["expr"] for rule in alerts()]
    named = {selector.name for text in texts for selector in selectors(text)}
    missing = sorted(name for name in named - set(prom.get("label/__name__/values")) if not name.startswith(_FOREIGN))
    verdict = "ok" if not missing else f"MISSING: {', '.join(missing)}"
    return Row("all", "metrics named in panels and alerts", len(named), len(named) - len(missing), None, verdict)


def variable_rows(prom: Prometheus) -> list[Row]:
    """Check that every dashboard variable has values."""
    rows = []
    for name, board in boards().items():
        for variable in board["templating"]["list"]:
            found = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"])
            assert found is not None
            values = prom.get(f"label/{found[2]}/values", **{"match[]": found[1]})
            rows.append(Row(name, f"variable {variable['name']}", len(values), 0, None, "ok" if values else "EMPTY"))
    return rows


def alert_rows(prom: Prometheus) -> list[Row]:
    """Check that Prometheus can evaluate the alerts, and that their unit tests pass."""
    rules = [rule for group in prom.get("rules")["groups"] for rule in group["rules"]]
    unhealthy = [rule["name"] for rule in rules if rule["health"] != "ok"]
    firing = [rule["name"] for rule in rules if rule["state"] == "firing"]
    health = "ok" if not unhealthy else f"UNHEALTHY: {', '.join(unhealthy)}"
    title = f"rules; firing now: {', '.join(firing) or 'none'}"
    command = ["promtool", "test", "rules", "alerts_test.yml"]
    ran = subprocess.run(command, cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    failed = f"FAILED: {(ran.stdout + ran.stderr).strip()[-2000:] or f'exit code {ran.returncode}'}"
    return [
        Row("alerts", title, len(rules), len(rules) - len(unhealthy), None, health),
        Row("alerts", "promtool test rules", 0, 0, None, failed if ran.returncode else "ok"),
    ]


def main() -> None:
    """Run all checks, print the table and the JSON."""
    if missing := [name for name in ("prometheus", "promtool") if shutil.which(name) is None]:
        sys.exit(f"{' and '.join(missing)} not found: apt-get install prometheus promtool")
    worker_port = free_port()
    with serving(metrics_port=worker_port) as port:
        targets = {"ancestral-api": f"127.0.0.1:{port}", "ancestral-worker": f"127.0.0.1:{worker_port}"}
        with prometheus(targets) as prom:
            prom.wait(len(targets))
            begin = time.time()
            load(port)
            end = time.time()
            time.sleep(2 * SCRAPE_SECONDS)
            rows = panel_rows(prom, begin, end)
            rows += [*variable_rows(prom), name_row(prom), *alert_rows(prom)]
    wrong = [row for row in rows if row.verdict.split(":")[0].isupper()]
    report("Dashboards and alerts", rows, {"wrong": len(wrong)}, width=160)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
