"""The compose files: what they start is what the program knows, and they agree with the image."""

import pytest
import yaml
from click.testing import CliRunner

from ancestral.service.cli.local.embedded import _DATA_SAFETY
from ancestral.service.cli.main import ancestral
from ancestral.service.settings import PREFIX
from tests.deploy.support import ROOT, run_tool, settings

FILES = ("docker-compose.yml", "compose.gpu.yml")
OURS = ("api", "worker")


@pytest.fixture(scope="module")
def services():
    found = yaml.safe_load((ROOT / FILES[0]).read_text())["services"]
    return found


def seconds(text):
    return int(text.removesuffix("s"))


@pytest.mark.parametrize("files", [FILES[:1], FILES])
def test_compose_takes_them(files):
    result = run_tool("docker-compose", *(word for file in files for word in ("--file", file)), "config", "--quiet")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", OURS)
def test_a_service_is_started_as_the_program_can_be(services, name):
    command = services[name]["command"]
    assert CliRunner().invoke(ancestral, [*command, "--help"]).exit_code == 0
    assert CliRunner().invoke(ancestral, [*command, "--no-such-option"]).exit_code == 2


@pytest.mark.parametrize("name", OURS)
def test_a_services_variables_are_settings(services, name):
    own = settings(services[name]["environment"])
    assert all(variable.startswith(PREFIX) for variable in services[name]["environment"])
    assert own.redis_url == "redis://redis:6379/0"
    assert seconds(services[name]["stop_grace_period"]) > own.drain_seconds + own.shutdown_seconds


def test_the_api_is_published_where_it_listens(services):
    port = settings(services["api"]["environment"]).port
    (published,) = services["api"]["ports"]
    assert published.endswith(f":{port}:{port}")
    assert published.startswith("${PUBLISH:-127.0.0.1}")
    assert services["api"]["healthcheck"]["test"] == ["CMD", "probe", "/readyz"]


def test_the_worker_is_watched_where_it_answers(services):
    worker = services["worker"]
    port = worker["environment"]["ANCESTRAL_METRICS_PORT"]
    assert worker["healthcheck"]["test"] == ["CMD", "probe", "/healthz", port]
    assert "ports" not in worker


def test_nothing_can_write_where_it_need_not(services):
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["security_opt"] == ["no-new-privileges:true"]
    for name in OURS:
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["tmpfs"] == ["/tmp"]
        targets = {volume.split(":")[1] for volume in services[name]["volumes"]}
        assert targets == {"/data", "/var/cache/ancestral"}


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


def test_images_are_of_one_version(services):
    for name, service in services.items():
        _, _, tag = service["image"].partition(":")
        assert tag not in ("", "latest"), name


def test_the_gpu_file_gives_gpus_to_workers_and_their_exporter():
    changed = yaml.safe_load((ROOT / FILES[1]).read_text())["services"]
    assert list(changed) == ["worker", "dcgm-exporter"]
    assert changed["worker"]["build"]["target"] == "gpu"
    for service in changed.values():
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
