"""Dashboards and alerts: up to date, sound PromQL, of metrics that exist; alerts fire when they should (promtool)."""

import re
import shutil
import subprocess

import pytest
import yaml

from deploy.queries import PROMETHEUS, alerts, queries, selectors
from tests.paths import ROOT

REDIS = "uptime_in_seconds memory_used_bytes memory_used_rss_bytes memory_max_bytes db_keys aof_last_write_status"
REDIS += " aof_current_size_bytes connected_clients blocked_clients"
GAUGES = ["up", *(f"process_{name}" for name in ("resident_memory_bytes", "open_fds", "max_fds"))]
GAUGES += [f"redis_{name}" for name in REDIS.split()]
GAUGES += [f"DCGM_FI_DEV_{name}" for name in ("FB_USED", "FB_FREE", "GPU_UTIL", "GPU_TEMP", "POWER_USAGE")]
COUNTERS = [f"redis_{n}_total" for n in ("commands_processed", "net_input_bytes", "net_output_bytes", "evicted_keys")]
FOREIGN = dict.fromkeys(GAUGES, "gauge") | dict.fromkeys([*COUNTERS, "process_cpu_seconds_total"], "counter")
"""Metrics that are not ours: of Prometheus, its Python client, redis_exporter and dcgm-exporter."""
NAMES = ("overview", "speech", "images", "queue", "redis", "gpu")


def metrics():
    """Type of every metric that there is: the documentation has been compared with the processes."""
    text = (ROOT / "docs" / "observability.md").read_text()
    return FOREIGN | dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", text, re.MULTILINE))


def check(where, text):
    """The expression is PromQL, of metrics that exist; counters are only read through their growth."""
    known, found = metrics(), selectors(text)
    assert found, where
    for selector in found:
        name = selector.name
        base = re.sub(r"_(bucket|count|sum)$", "", name)
        assert name in known or known.get(base) == "histogram", f"{where}: no metric {name}"
        if known.get(name) == "counter" or name not in known:
            grown = rf"(rate|increase)\({name}(\{{[^}}]*\}})?\["
            assert re.search(grown, text), f"{where}: {name} without rate()"
    if "histogram_quantile" in text:
        assert re.search(r"sum by \(le[,)]", text), where


# Dashboards


def test_every_query_is_of_metrics_that_exist():
    found = list(queries())
    assert len(found) > 80
    for query in found:
        check(f"{query.board}: {query.panel}", query.filled("1m"))


# Alerts


def test_every_alert_is_explained_in_the_runbook():
    sections = re.findall(r"^## (\w+)$\n\n\*(page|ticket)\.\*", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE)
    assert dict(sections) == {rule["alert"]: rule["labels"]["severity"] for rule in alerts()}
    for rule in alerts():
        check(rule["alert"], rule["expr"])
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"
        assert rule["annotations"]["summary"]


def test_every_alert_is_tried_both_ways():
    tests = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"]
    tried = {(part["alertname"], bool(part["exp_alerts"])) for test in tests for part in test["alert_rule_test"]}
    assert tried == {(rule["alert"], fires) for rule in alerts() for fires in (True, False)}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)")
def test_alerts_fire_when_they_should_and_only_then():
    for arguments in (["check", "config", "prometheus.yml"], ["test", "rules", "alerts_test.yml"]):
        ran = subprocess.run(["promtool", *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
