"""Containers: compose files, Dockerfile and locks are what the program knows. Dashboards and alerts are PromQL of
metrics that exist; `make observe` tries alerts_test.yml by promtool."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import yaml
from click.testing import CliRunner
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from ancestral.settings import PREFIX
from ancestral_service.cli.local.embedded import _DATA_SAFETY
from ancestral_service.cli.main import ancestral
from deploy.queries import PROMETHEUS, alerts, queries, selectors
from tests.deploy.support import UID, settings
from tests.paths import ROOT

OURS = ("api", "worker")


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


@pytest.mark.parametrize("name", OURS)
def test_a_service_is_started_as_the_program_can_be_and_its_variables_are_settings(services, name):
    command = services[name]["command"]
    assert CliRunner().invoke(ancestral, [*command, "--help"]).exit_code == 0
    own = settings(services[name]["environment"])
    assert all(variable.startswith(PREFIX) for variable in services[name]["environment"])
    assert own.redis_url == "redis://redis:6379/0"
    grace = int(services[name]["stop_grace_period"].removesuffix("s"))
    assert grace > own.drain_seconds + own.shutdown_seconds


def test_the_api_is_published_where_it_listens_and_the_worker_watched_where_it_answers(services):
    port = settings(services["api"]["environment"]).port
    (published,) = services["api"]["ports"]
    assert published.endswith(f":{port}:{port}")
    assert published.startswith("${PUBLISH:-127.0.0.1}")
    assert services["api"]["healthcheck"]["test"] == ["CMD", "probe", "/readyz"]
    worker = services["worker"]
    watched = worker["environment"]["ANCESTRAL_METRICS_PORT"]
    assert worker["healthcheck"]["test"] == ["CMD", "probe", "/healthz", watched]
    assert "ports" not in worker


def test_nothing_can_write_where_it_need_not(services):
    for name, service in services.items():
        assert service["image"].partition(":")[2] not in ("", "latest"), name
        assert service["read_only"] is True, name
        assert service["security_opt"] == ["no-new-privileges:true"]
    for name in OURS:
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["tmpfs"] == ["/tmp"]
        targets = {volume.split(":")[1] for volume in services[name]["volumes"]}
        assert targets == {"/data"}


def test_redis_keeps_what_it_is_given(services):
    words = services["redis"]["command"][1:]
    options = {name.removeprefix("--"): value for name, value in zip(words[::2], words[1::2], strict=True)}
    assert options.pop("maxmemory") == "2gb"
    assert options.items() <= _DATA_SAFETY.items()
    assert {"appendonly", "appendfsync", "maxmemory-policy", "save"} == set(options)
    assert any(volume.endswith(":/data") for volume in services["redis"]["volumes"])


def test_what_is_mounted_is_there_and_asks_who_answers(services):
    for service in services.values():
        for volume in service.get("volumes", ()):
            if volume.startswith("./"):
                assert (ROOT / volume.split(":")[0]).is_dir(), volume
    (mount,) = [volume for volume in services["prometheus"]["volumes"] if volume.startswith("./")]
    scraped = yaml.safe_load((ROOT / mount.split(":")[0] / "prometheus.yml").read_text())["scrape_configs"]
    asked = {job["job_name"]: config for job in scraped for config in job.get("dns_sd_configs", ())}
    ports = {"api": 8000, "worker": int(services["worker"]["environment"]["ANCESTRAL_METRICS_PORT"])}
    for name, port in ports.items():  # every replica: an A record is an address of one
        config = asked[f"ancestral-{name}"]
        assert (config["names"], config["type"], config["port"]) == ([name], "A", port)
    assert asked["redis"]["names"] == ["redis-exporter"]
    assert services["redis-exporter"]["environment"]["REDIS_ADDR"] == "redis://redis:6379"
    assert asked["gpu"]["names"] == ["dcgm-exporter"]
    assert yaml.safe_load((ROOT / "compose.gpu.yml").read_text())["services"].keys() == {"worker", "dcgm-exporter"}


PROBE = ROOT / "deploy" / "container" / "probe.py"


def instructions(stage):
    """The instructions of one stage of the Dockerfile: word and arguments."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    lines = [line.strip().partition(" ") for line in text.splitlines() if line.strip() and not line.startswith("#")]
    own, found = False, []
    for word, _, rest in lines:
        if word == "FROM":
            own = rest.endswith(f" AS {stage}")
        elif own:
            found.append((word, rest.strip()))
    assert found, stage
    return found


def environment(stage):
    """The variables that a stage sets."""
    words = [word for name, rest in instructions(stage) if name == "ENV" for word in shlex.split(rest)]
    return dict(word.split("=", 1) for word in words)


def is_sent(path):
    """Whether .dockerignore lets a path at the top through, whatever it says of what lies deeper."""
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert patterns[0] == "*"
    kept = [pattern[1:].rstrip("/") for pattern in patterns if pattern[0] == "!"]
    return any(path == name or path.startswith(f"{name}/") for name in kept)


def test_it_does_not_run_as_root():
    runtime = instructions("runtime")
    assert ("USER", f"{UID}:{UID}") in runtime
    after = runtime[runtime.index(("USER", f"{UID}:{UID}")) + 1 :] + instructions("cpu") + instructions("gpu")
    assert not {"RUN", "USER"} & {word for word, _ in after}


def test_what_it_copies_is_there_and_is_sent_to_the_builder():
    for stage in ("build", "runtime"):
        for word, rest in instructions(stage):
            if word == "COPY":
                sources = [source for source in rest.split()[:-1] if not source.startswith("--")]
                assert sources
                for source in sources:
                    assert (ROOT / source).exists(), source
                    assert is_sent(source.rstrip("/")), source
    assert not any(map(is_sent, (".git", ".venv", "data", "shared", "tests", "docs")))


def test_its_environment_means_something():
    variables = environment("runtime")
    own = settings({name: value for name, value in variables.items() if name.startswith(PREFIX)})
    assert own.host == "0.0.0.0"
    assert ("EXPOSE", str(own.port)) in instructions("runtime")
    (volumes,) = [json.loads(rest) for word, rest in instructions("runtime") if word == "VOLUME"]
    assert volumes == [str(own.data_dir)]
    for kind in ("cpu", "gpu"):
        assert ("RUN", f"assemble {kind}") in instructions(f"build-{kind}")
        assert (ROOT / "requirements" / f"{kind}.txt").exists()


class Answering(BaseHTTPRequestHandler):
    """Is well on one path alone."""

    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 503)
        self.end_headers()

    def log_message(self, *arguments):
        pass


def probe(*arguments, **environment):
    command = [sys.executable, str(PROBE), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, timeout=30).returncode


def test_the_probe_tells_well_from_unwell_and_from_nobody():
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever).start()
        port = str(server.server_port)
        assert probe("/healthz", port) == 0
        assert probe("/healthz", ANCESTRAL_PORT=port) == 0
        assert probe("/readyz", port) == 1
        server.shutdown()
    assert probe("/healthz", port) == 1


FORBIDDEN = {"torch", "triton", "piper-tts"}
PYTHONS = ("3.11", "3.12", "3.13")


def locked(name):
    """The entries of a lock, and how many hashes each has."""
    entries = re.sub(r"\\\n\s*", "", (ROOT / "requirements" / f"{name}.txt").read_text()).splitlines()
    lines = [entry for entry in entries if entry and not entry.startswith("#")]
    assert lines
    return [(Requirement(line.split("--hash")[0].strip()), line.count("--hash=sha256:")) for line in lines]


def pinned(name, python):
    """What a lock installs on a version of Python."""
    marked = {"python_version": python, "python_full_version": f"{python}.9"}
    return {
        canonicalize_name(found.name): Version(next(iter(found.specifier)).version)
        for found, _ in locked(name)
        if found.marker is None or found.marker.evaluate(marked)
    }


PROJECTS = {
    "cpu": {"pyproject.toml": ["serve", "aac", "provenance"]},
    "gpu": {"pyproject.toml": ["serve", "aac", "provenance", "gpu"]},
    "dev": {
        "pyproject.toml": ["serve", "aac", "cpu", "batch", "dev", "ship", "docs", "browser", "provenance", "otel"],
        "training/pyproject.toml": ["gpl-teacher", "evaluate"],
        "integrations/pyproject.toml": ["mcp", "wyoming"],
    },
}
"""For each lock, the projects and extras that it is of."""


def project(name):
    """What these depend on, without the library itself and torch, which is in no lock."""
    found = list[Requirement]()
    for path, extras in PROJECTS[name].items():
        asked = tomllib.loads((ROOT / path).read_text())["project"]
        for texts in (asked["dependencies"], *(asked["optional-dependencies"][extra] for extra in extras)):
            found += map(Requirement, texts)
    return [each for each in found if each.name not in ("ancestral", "torch")]


@pytest.mark.parametrize("name", ["build", "cpu", "gpu"])
def test_everything_is_pinned_and_hashed(name):
    for requirement, hashes in locked(name):
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], requirement
        assert hashes, requirement


@pytest.mark.parametrize("name", PROJECTS)
@pytest.mark.parametrize("python", PYTHONS)
def test_a_lock_has_what_the_project_asks_for(name, python):
    versions = pinned(name, python)
    for wanted in project(name):
        version = versions.get(canonicalize_name(wanted.name))
        assert version is not None, f"{wanted}: `make lock`"
        assert version in wanted.specifier, f"{wanted} is locked at {version}: `make lock`"


@pytest.mark.parametrize("name", ["build", "cpu", "gpu"])
@pytest.mark.parametrize("python", PYTHONS)
def test_what_is_tested_is_what_the_images_have(name, python):
    shipped, tested = pinned(name, python), pinned("dev", python)
    assert {found: tested.get(found, version) for found, version in shipped.items()} == shipped


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_torch_stays_out(name):
    names = {canonicalize_name(found.name) for found, _ in locked(name)}
    assert not names & FORBIDDEN
    assert any(found.startswith("nvidia-") for found in names) == (name == "gpu")


@pytest.mark.parametrize("folder", ["integrations", "training"])
def test_every_distribution_carries_the_licence(folder):
    assert (ROOT / folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_list_of_licences_is_of_what_ships():
    table = re.findall(r"^\| ([\w.-]+) +\| ([^|]+?) +\|", (ROOT / "docs" / "licences.md").read_text(), re.MULTILINE)
    licences = {canonicalize_name(name): licence for name, licence in table if name != "Name" and name[0] != "-"}
    assert licences.keys() == pinned("cpu", "3.11").keys(), "`make licences`"
    assert not [name for name, licence in licences.items() if licence in ("UNKNOWN", "")]
    copyleft = {name for name, licence in licences.items() if "GPL" in licence}
    assert not copyleft, "is NOTICE still right?"


# Dashboards and alerts


REDIS = "uptime_in_seconds memory_used_bytes memory_used_rss_bytes memory_max_bytes db_keys aof_last_write_status"
REDIS += " aof_current_size_bytes connected_clients blocked_clients"
GAUGES = ["up", *(f"process_{name}" for name in ("resident_memory_bytes", "open_fds", "max_fds"))]
GAUGES += [f"redis_{name}" for name in REDIS.split()]
GAUGES += [f"DCGM_FI_DEV_{name}" for name in ("FB_USED", "FB_FREE", "GPU_UTIL", "GPU_TEMP", "POWER_USAGE")]
COUNTERS = [f"redis_{n}_total" for n in ("commands_processed", "net_input_bytes", "net_output_bytes", "evicted_keys")]
FOREIGN = dict.fromkeys(GAUGES, "gauge") | dict.fromkeys([*COUNTERS, "process_cpu_seconds_total"], "counter")
"""Metrics that are not ours: of Prometheus, its Python client, redis_exporter and dcgm-exporter."""


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


def test_every_query_is_of_metrics_that_exist():
    found = list(queries())
    assert len(found) > 80
    for query in found:
        check(f"{query.board}: {query.panel}", query.filled("1m"))


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
