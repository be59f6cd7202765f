"""Dashboards and alerts: up to date, sound PromQL, of metrics that exist; alerts fire when they should (promtool)."""

import json
import re
import shutil
import subprocess

import pytest
import yaml

from deploy.queries import PROMETHEUS, alerts, boards, panels, queries, selectors
from tests.paths import ROOT

GRAFANA = ROOT / "deploy" / "grafana"
REDIS = "uptime_in_seconds memory_used_bytes memory_used_rss_bytes memory_max_bytes db_keys aof_last_write_status"
REDIS += " aof_current_size_bytes connected_clients blocked_clients"
GAUGES = ["up", *(f"process_{name}" for name in ("resident_memory_bytes", "open_fds", "max_fds"))]
GAUGES += [f"redis_{name}" for name in REDIS.split()]
GAUGES += [f"DCGM_FI_DEV_{name}" for name in ("FB_USED", "FB_FREE", "GPU_UTIL", "GPU_TEMP", "POWER_USAGE")]
COUNTERS = [f"redis_{n}_total" for n in ("commands_processed", "net_input_bytes", "net_output_bytes", "evicted_keys")]
FOREIGN = dict.fromkeys(GAUGES, "gauge") | dict.fromkeys([*COUNTERS, "process_cpu_seconds_total"], "counter")
"""Metrics that are not ours: of Prometheus, its Python client, redis_exporter and dcgm-exporter."""
NAMES = ("overview", "speech", "images", "queue", "redis", "gpu")

with_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)")


def metrics():
    """Type of every metric that there is: the documentation has been compared with the processes."""
    text = (ROOT / "docs" / "observability.md").read_text()
    return FOREIGN | dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", text, re.MULTILINE))


def filled():
    """Where it stands, and PromQL, with what Grafana puts in."""
    for query in queries():
        yield f"{query.board}: {query.panel}", query.filled("1m")


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
    found = list(filled())
    assert len(found) > 80
    for where, text in found:
        check(where, text)


@pytest.mark.parametrize(
    "wrong",
    ["rate(ancestral_nothing_total[1m])", "sum(ancestral_tokens_total)", "sum(up", "histogram_quantile(0.5, up)"],
)
def test_a_query_that_is_wrong_would_be_found(wrong):
    with pytest.raises((AssertionError, ValueError)):
        check("here", wrong)


@pytest.mark.parametrize("name", NAMES)
def test_a_dashboard_is_complete(name):
    assert set(boards()) == set(NAMES)
    board = boards()[name]
    assert board["uid"] == f"ancestral-{name}"
    variables = {variable["name"] for variable in board["templating"]["list"]}
    for panel in panels(board):
        if panel["type"] == "text":
            continue
        assert panel["title"], panel
        assert panel["description"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "prometheus"}
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "prometheus"
            assert set(re.findall(r"\$(?!__)(\w+)", target["expr"])) <= variables, target["expr"]
            for window in re.findall(r"\[(.*?)\]", target["expr"]):
                assert window == "$__rate_interval"
    text = json.dumps([panel.get("targets") for panel in panels(board)])
    assert all(f"${variable}" in text for variable in variables)  # each does something
    places = [tuple(panel["gridPos"][side] for side in "xywh") for panel in board["panels"]]
    cells = [(column, row) for x, y, w, h in places for column in range(x, x + w) for row in range(y, y + h)]
    assert len(cells) == len(set(cells)), "panels lie on each other"
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))


def test_every_metric_is_on_a_dashboard_or_in_an_alert():
    shown = " ".join([text for _, text in filled()] + [rule["expr"] for rule in alerts()])
    unseen = {
        "ancestral_build_info",  # what the variable for processes is made of
        "ancestral_websockets_closed_total", "ancestral_worker_ready", "ancestral_worker_slots",
        "ancestral_worker_jobs", "ancestral_sampler_steps_total", "ancestral_model_created_timestamp_seconds",
    }  # fmt: skip
    ours = {name for name in metrics() if name.startswith("ancestral_")}
    assert {name for name in ours if not re.search(rf"{name}\b|{name}_(bucket|count|sum)\b", shown)} == unseen


def test_what_grafana_is_provisioned_with():
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    assert (source["uid"], source["type"]) == ("prometheus", "prometheus")
    assert source["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/ancestral.yml").read_text())["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"


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


@with_promtool
def test_alerts_fire_when_they_should_and_only_then():
    for arguments in (["check", "config", "prometheus.yml"], ["test", "rules", "alerts_test.yml"]):
        ran = subprocess.run(["promtool", *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr


@with_promtool
def test_prometheus_takes_every_query():
    for where, text in filled():
        ran = subprocess.run(["promtool", "--experimental", "promql", "format", text], capture_output=True, check=False)
        assert ran.returncode == 0, (where, ran.stderr)
