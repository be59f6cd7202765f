"""The InferenceService: its pod is valid, and of one mind with the image and the settings."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.deploy.support import ROOT, UID, settings

MANIFEST = ROOT / "deploy" / "kserve" / "inference-service.yaml"
REPLICAS = ("minReplicas", "maxReplicas")
"""What a predictor has beside the fields of a pod."""


def predictor() -> dict[str, Any]:
    manifest = yaml.safe_load(MANIFEST.read_text())
    assert (manifest["apiVersion"], manifest["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    spec: dict[str, Any] = manifest["spec"]["predictor"]
    return spec


def test_its_pod_is_valid() -> None:
    validate = pytest.importorskip("kubernetes_validate").validate
    spec = {name: value for name, value in predictor().items() if name not in REPLICAS}
    validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": spec}, "1.32", strict=True)
    assert spec["securityContext"]["runAsUser"] == UID


def test_it_fits_the_program() -> None:
    spec = predictor()
    (container,) = spec["containers"]
    read = {variable["name"]: variable["value"] for variable in container["env"]}
    own = settings(read)
    assert spec["terminationGracePeriodSeconds"] > own.drain_seconds + own.shutdown_seconds
    assert container["name"] == "kserve-container", "the container that KServe calls the predictor"
    (port,) = container["ports"]
    assert port["containerPort"] == own.port
    probes = {key: value["httpGet"] for key, value in container.items() if key.endswith("Probe")}
    assert {probe["port"] for probe in probes.values()} == {own.port}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startupProbe": "/v2/health/ready",
        "livenessProbe": "/v2/health/live",
        "readinessProbe": "/v2/health/ready",
    }
    assert own.redis_url is not None or spec["maxReplicas"] == 1, "replicas must share a Redis"
