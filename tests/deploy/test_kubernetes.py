"""The manifests: valid, and of one mind with the image, the settings and the queue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ancestral.service.broker import PREFIX
from ancestral.service.broker.job import Priority
from tests.deploy.support import ROOT, UID, run_tool, settings

BASE = ROOT / "deploy" / "kubernetes" / "base"
VERSIONS = ("1.29", "1.32")
Manifest = dict[str, Any]


def manifests(directory: Path = BASE) -> list[Manifest]:
    """All that a kustomization lists, as it is written."""
    names = yaml.safe_load((directory / "kustomization.yaml").read_text())["resources"]
    return [document for name in names for document in yaml.safe_load_all((directory / name).read_text())]


def the(kind: str, name: str) -> Manifest:
    (found,) = [m for m in manifests() if (m["kind"], m["metadata"]["name"]) == (kind, name)]
    return found


def pod(name: str) -> Manifest:
    spec: Manifest = the("StatefulSet" if name == "redis" else "Deployment", name)["spec"]["template"]["spec"]
    return spec


def variables(name: str) -> dict[str, str]:
    """The environment of a container, without what the config map adds."""
    (container,) = pod(name)["containers"]
    own = {variable["name"]: variable["value"] for variable in container["env"]}
    (generated,) = yaml.safe_load((BASE / "kustomization.yaml").read_text())["configMapGenerator"]
    assert container["envFrom"] == [{"configMapRef": {"name": generated["name"]}}]
    return own | dict(literal.split("=", 1) for literal in generated["literals"])


@pytest.mark.parametrize("version", VERSIONS)
def test_they_are_valid(version: str) -> None:
    validate = pytest.importorskip("kubernetes_validate").validate
    checked = [m for m in manifests() if not m["apiVersion"].startswith("keda.sh/")]
    assert len(checked) == len(manifests()) - 1
    for manifest in checked:
        validate(manifest, version, strict=True)


@pytest.mark.parametrize("overlay", ["base", "gpu"])
def test_kustomize_builds_them(overlay: str) -> None:
    validate = pytest.importorskip("kubernetes_validate").validate
    built = run_tool("kustomize", "build", f"deploy/kubernetes/{overlay}")
    assert built.returncode == 0, built.stderr
    found = {(m["kind"], m["metadata"]["name"]): m for m in yaml.safe_load_all(built.stdout)}
    for (kind, _), manifest in found.items():
        if kind != "ScaledObject":
            validate(manifest, VERSIONS[-1], strict=True)
    spec = found["Deployment", "worker"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    gpu = overlay == "gpu"
    assert container["image"] == ("ancestral:gpu" if gpu else "ancestral:cpu")
    assert container["resources"]["limits"].get("nvidia.com/gpu") == (1 if gpu else None)
    assert ("nodeSelector" in spec) == gpu


@pytest.mark.parametrize("name", ["api", "worker"])
def test_variables_are_settings(name: str) -> None:
    own = settings(variables(name))
    assert own.redis_url == "redis://redis:6379/0"


@pytest.mark.parametrize("name", ["api", "worker"])
def test_there_is_time_to_end(name: str) -> None:
    own = settings(variables(name))
    assert pod(name)["terminationGracePeriodSeconds"] > own.drain_seconds + own.shutdown_seconds


def test_balancers_notice_before_the_socket_closes() -> None:
    (container,) = pod("api")["containers"]
    probe = container["readinessProbe"]
    notices = (probe["periodSeconds"] + probe["timeoutSeconds"]) * probe["failureThreshold"]
    assert probe["httpGet"]["path"] == "/readyz"
    assert settings(variables("api")).drain_seconds >= notices


@pytest.mark.parametrize("name", ["api", "worker", "redis"])
def test_pods_may_do_nothing_that_they_need_not(name: str) -> None:
    spec = pod(name)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    (container,) = spec["containers"]
    allowed = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert container["securityContext"] == allowed
    assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
    if name != "redis":
        assert spec["securityContext"]["runAsUser"] == UID
        mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounted == {"/data", "/tmp", "/var/cache/ancestral"}


@pytest.mark.parametrize(("name", "setting"), [("api", "port"), ("worker", "metrics_port")])
def test_probes_ask_where_it_listens(name: str, setting: str) -> None:
    (container,) = pod(name)["containers"]
    (port,) = container["ports"]
    assert port["containerPort"] == getattr(settings(variables(name)), setting)
    probes = [value for key, value in container.items() if key.endswith("Probe")]
    assert len(probes) >= 2
    for probe in probes:
        assert probe["httpGet"]["port"] == port["name"]
        assert probe["httpGet"]["path"] in ("/healthz", "/readyz")
    scraped = the("Deployment", name)["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"]
    assert scraped == str(port["containerPort"])


def test_whoever_selects_finds() -> None:
    assert the("Service", "api")["spec"]["selector"] == {"app.kubernetes.io/component": "api"}
    for name in ("api", "worker"):
        template = the("Deployment", name)["spec"]["template"]["metadata"]["labels"]
        assert the("Deployment", name)["spec"]["selector"]["matchLabels"] == template
        assert the("PodDisruptionBudget", name)["spec"]["selector"]["matchLabels"] == template
        assert the("NetworkPolicy", name)["spec"]["podSelector"]["matchLabels"] == template
    assert the("HorizontalPodAutoscaler", "api")["spec"]["scaleTargetRef"]["name"] == "api"
    assert the("ScaledObject", "worker")["spec"]["scaleTargetRef"]["name"] == "worker"


def test_workers_follow_the_queue() -> None:
    spec = the("ScaledObject", "worker")["spec"]
    followed = {trigger["metadata"]["listName"] for trigger in spec["triggers"]}
    assert followed == {f"{PREFIX}{part}:{priority}" for priority in Priority for part in ("waiting", "running")}
    formula = spec["advanced"]["scalingModifiers"]
    assert all(trigger["name"] in formula["formula"] for trigger in spec["triggers"])
    assert int(formula["target"]) == 0.75 * settings(variables("worker")).interactive_slots
