"""The Helm chart: linted and rendered by Helm itself, valid, and true to the image, the settings and the queue."""

import json

import pytest
import yaml

from ancestral_service import __version__
from ancestral_service.broker.job import Priority, key
from deploy.queries import PROMETHEUS, selectors
from tests.deploy.support import UID, settings
from tests.paths import ROOT

CHART = ROOT / "deploy" / "helm" / "ancestral"
EXAMPLES = sorted((ROOT / "deploy" / "helm" / "values").glob("*.yaml"))
VERSIONS = ("1.29", "1.32")
"""Of Kubernetes."""
OPERATORS = ("keda.sh/", "monitoring.coreos.com/")
"""The groups of resources whose schemas kubernetes-validate has not got."""


helm = pytest.importorskip("helm_python", reason="helm-python-sdk has no wheel for this machine")


def render(values=None, name="ancestral"):
    """What `helm install NAME` would create, by kind and name."""
    with helm.Chart.load(CHART) as chart:
        chart.validate_schema(dict(values or {}))
        files = chart.render(dict(values or {}), name=name, namespace="speech")
    texts = [text for path, text in files.items() if not path.endswith("NOTES.txt")]
    documents = [document for text in texts for document in yaml.safe_load_all(text) if document]
    found = {(document["kind"], document["metadata"]["name"]): document for document in documents}
    assert len(found) == len(documents), "two objects have one name"
    return found


def pod(found, component):
    kind = "StatefulSet" if component == "redis" else "Deployment"
    return found[kind, f"ancestral-{component}"]["spec"]["template"]["spec"]


def variables(found, component):
    """The environment of a container."""
    one = container(found, component)
    assert one["envFrom"] == [{"configMapRef": {"name": "ancestral"}}]
    own = {entry["name"]: entry["value"] for entry in one["env"] if "value" in entry}
    return found["ConfigMap", "ancestral"]["data"] | own


def values_of(path):
    return yaml.safe_load(path.read_text())


def container(found, component):
    """The container of a component that has one."""
    (one,) = pod(found, component)["containers"]
    return one


def mounted(found, component, name):
    """A volume of this name, and where it is."""
    (volume,) = [volume for volume in pod(found, component)["volumes"] if volume["name"] == name]
    (mount,) = [mount for mount in container(found, component)["volumeMounts"] if mount["name"] == name]
    return volume["secret"], mount["mountPath"]


EVERY = pytest.mark.parametrize("values", [{}, *map(values_of, EXAMPLES)], ids=["default", *(p.stem for p in EXAMPLES)])


@EVERY
def test_helm_accepts_it(values):
    validate = pytest.importorskip("kubernetes_validate").validate
    report = helm.lint(CHART, values=values, strict=True)
    assert not report["errors"]
    assert [found for found in report["messages"] if found["severity"] > 1] == []
    for manifest in render(values).values():
        if not manifest["apiVersion"].startswith(OPERATORS):
            for version in VERSIONS:
                validate(manifest, version, strict=True)


OUTSIDE = {"redis": {"enabled": False}, "externalRedis": {"url": "redis://elsewhere:6379/0"}}
CLUSTER = {"redis": {"enabled": False}, "externalRedis": {"url": "redis+cluster://a:6379,b:6379", "address": "a:6379"}}
SENTINEL = CLUSTER | {"externalRedis": {"url": "redis+sentinel://a:26379/mine", "address": "a:6379"}}
BY_PROMETHEUS = {"worker": {"autoscaling": {"prometheus": "http://prometheus:9090"}}}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"api": {"replica": 3}}, "replica"), ({"settings": {"ANCESTRAL_LOG_LEVEL": 1}}, "ANCESTRAL_LOG_LEVEL"),
        ({"settings": {"ANCESTRAL_REDIS_URL": "redis://elsewhere"}}, "ANCESTRAL_REDIS_URL"),
        ({"settings": {"ANCESTRAL_PROVENANCE_KEY": "0" * 32}}, "ANCESTRAL_PROVENANCE_KEY"),
        ({"monitoring": {"enabled": True}, "settings": {"ANCESTRAL_PUBLIC_METRICS": "off"}}, "PUBLIC_METRICS"),
        ({"worker": {"autoscaling": {"minReplicas": 0}}}, "minReplicas"),  # nothing is queued that could start one
        ({"redis": {"enabled": False}}, "externalRedis"),
        ({"apiKeys": {"file": "a b", "existingSecret": "keys"}}, "apiKeys"), (OUTSIDE, r"externalRedis\.address"),
        (CLUSTER, r"worker\.autoscaling\.prometheus"), (SENTINEL, r"worker\.autoscaling\.prometheus"),
        (CLUSTER | BY_PROMETHEUS, r"monitoring\.enabled"),
    ],
)  # fmt: skip
def test_wrong_values_are_refused(values, said):
    with pytest.raises(helm.HelmError, match=said):
        render(values)


def test_external_servers_are_used_as_they_are_named():
    outside = {"url": "redis://:a+b@elsewhere:6379/3", "address": "elsewhere:6379", "database": 3}
    found = render(OUTSIDE | {"externalRedis": outside})
    assert found["Secret", "ancestral-redis"]["stringData"] == {"url": outside["url"]}
    triggers = found["ScaledObject", "ancestral-worker"]["spec"]["triggers"]
    asked = {(trigger["metadata"]["address"], trigger["metadata"]["databaseIndex"]) for trigger in triggers}
    assert asked == {("elsewhere:6379", "3")}
    for values in (CLUSTER, SENTINEL):
        found, url = render(values | BY_PROMETHEUS | {"monitoring": {"enabled": True}}), values["externalRedis"]["url"]
        for component in ("api", "worker"):
            assert settings(variables(found, component) | {"ANCESTRAL_REDIS_URL": url}).redis_url == url


@pytest.fixture(scope="module")
def default():
    """What the chart makes with its own values."""
    return render()


def test_balancers_notice_before_the_socket_closes(default):
    probe = container(default, "api")["readinessProbe"]
    notices = (probe["periodSeconds"] + probe["timeoutSeconds"]) * probe["failureThreshold"]
    assert probe["httpGet"]["path"] == "/readyz"
    assert settings(variables(default, "api")).drain_seconds >= notices


@pytest.mark.parametrize("component", ["api", "worker", "redis"])
def test_pods_are_restricted(default, component):
    spec = pod(default, component)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    allowed = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    for container in spec["containers"]:
        assert container["securityContext"] == allowed
        assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
    if component != "redis":
        assert spec["securityContext"]["runAsUser"] == UID
        assert spec["enableServiceLinks"] is False, "variables of the kubelet are not settings"
        mounted = {mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
        assert mounted == {"/data", "/tmp"}


@pytest.mark.parametrize(("component", "setting"), [("api", "port"), ("worker", "metrics_port")])
def test_probes_and_scrapes_use_the_port_that_listens(default, component, setting):
    one = container(default, component)
    (port,) = one["ports"]
    assert port["containerPort"] == getattr(settings(variables(default, component)), setting)
    probes = [value["httpGet"] for key, value in one.items() if key.endswith("Probe")]
    assert len(probes) >= 2
    assert {probe["port"] for probe in probes} == {port["name"]}
    assert {probe["path"] for probe in probes} <= {"/healthz", "/readyz"}
    template = default["Deployment", f"ancestral-{component}"]["spec"]["template"]
    assert template["metadata"]["annotations"]["prometheus.io/port"] == str(port["containerPort"])


def test_selectors_match_the_labels_of_the_pods(default):
    labels = {
        component: default["Deployment", f"ancestral-{component}"]["spec"]["template"]["metadata"]["labels"]
        for component in ("api", "worker")
    }
    for component, found in labels.items():
        name = f"ancestral-{component}"
        for kind in ("Deployment", "PodDisruptionBudget"):
            assert default[kind, name]["spec"]["selector"]["matchLabels"] == found
        assert default["NetworkPolicy", name]["spec"]["podSelector"]["matchLabels"] == found
    assert default["Service", "ancestral-api"]["spec"]["selector"] == labels["api"]
    assert default["HorizontalPodAutoscaler", "ancestral-api"]["spec"]["scaleTargetRef"]["name"] == "ancestral-api"
    assert default["ScaledObject", "ancestral-worker"]["spec"]["scaleTargetRef"]["name"] == "ancestral-worker"


def test_workers_are_scaled_on_the_keys_of_the_queue(default):
    spec = default["ScaledObject", "ancestral-worker"]["spec"]
    followed = {trigger["metadata"]["listName"] for trigger in spec["triggers"]}
    assert followed == {key(part, priority) for priority in Priority for part in ("waiting", "running")}
    formula = spec["advanced"]["scalingModifiers"]
    assert all(trigger["name"] in formula["formula"] for trigger in spec["triggers"])
    assert int(formula["target"]) == 0.75 * settings(variables(default, "worker")).interactive_slots


def test_one_query_counts_the_jobs_of_all_shards():
    found = render(values_of(CHART.parent / "values/cluster.yaml"))
    (trigger,) = found["ScaledObject", "ancestral-worker"]["spec"]["triggers"]
    asked = [
        (each.name, {str(m.name): m.value for m in each.matchers.matchers})
        for each in selectors(trigger["metadata"]["query"])
    ]
    labels = {"namespace": "speech", "service": found["Service", "ancestral-api"]["metadata"]["name"]}
    assert asked == [("ancestral_jobs", {"priority": priority.value, **labels}) for priority in Priority]
    assert trigger["metadata"]["threshold"] == "12"
    assert settings(variables(found, "api")).redis_replicas == 1


@EVERY
@pytest.mark.parametrize("component", ["api", "worker"])
def test_variables_are_settings(values, component):
    found = render(values)
    read = variables(found, component)
    read.pop("ANCESTRAL_API_KEYS_FILE", None)  # it is not on this machine
    own = settings(read)
    assert pod(found, component)["terminationGracePeriodSeconds"] > own.drain_seconds + own.shutdown_seconds
    for name, value in values.get("settings", {}).items():
        assert str(getattr(own, name.removeprefix("ANCESTRAL_").lower())) == value


def test_keys_come_from_a_secret():
    text = "alice " + "0" * 64 + "\n"
    assert render({"apiKeys": {"file": text}})["Secret", "ancestral-keys"]["stringData"] == {"keys": text}
    for values, secret in (({"file": text}, "ancestral-keys"), ({"existingSecret": "mine"}, "mine")):
        found = render({"apiKeys": values})
        source, path = mounted(found, "api", "keys")
        assert source["secretName"] == secret
        assert variables(found, "api")["ANCESTRAL_API_KEYS_FILE"] == f"{path}/keys", "the secret's key is the file"
        assert "ANCESTRAL_API_KEYS_FILE" not in variables(found, "worker")


def test_the_certificate_comes_from_a_secret_and_only_api_processes_have_it():
    found, plain = render({"signing": {"existingSecret": "certificate"}}), render()
    source, path = mounted(found, "api", "signing")
    assert source == {"secretName": "certificate", "defaultMode": 0o440}
    for part, file in (("CERT", "cert.pem"), ("KEY", "key.pem")):
        assert variables(found, "api")[f"ANCESTRAL_SIGNING_{part}"] == f"{path}/{file}"
        for others in (variables(found, "worker"), variables(plain, "api")):
            assert f"ANCESTRAL_SIGNING_{part}" not in others


def test_the_key_of_seeds_comes_from_a_secret():
    found = render({"provenance": {"existingSecret": "seeds"}})
    secret = {"secretKeyRef": {"name": "seeds", "key": "key"}}
    for component in ("api", "worker"):
        assert {"name": "ANCESTRAL_PROVENANCE_KEY", "valueFrom": secret} in container(found, component)["env"]


def test_an_external_redis_needs_no_redis():
    found = render(values_of(CHART.parent / "values/external-redis.yaml"))
    assert not [key for key in found if key[0] == "StatefulSet" or key[1] == "ancestral-redis"]
    for component in ("api", "worker"):
        secret = {"secretKeyRef": {"name": "ancestral-redis", "key": "url"}}
        assert {"name": "ANCESTRAL_REDIS_URL", "valueFrom": secret} in container(found, component)["env"]
        assert found["NetworkPolicy", f"ancestral-{component}"]["spec"]["egress"] == [{"ports": [{"port": 6380}]}]
    for trigger in found["ScaledObject", "ancestral-worker"]["spec"]["triggers"]:
        assert trigger["metadata"]["address"] == "redis.example.net:6380"
        assert trigger["metadata"]["enableTLS"] == "true"


def test_monitors_select_what_serves_metrics():
    found = render(values_of(CHART.parent / "values/public.yaml"))
    service, monitor = found["Service", "ancestral-api"], found["ServiceMonitor", "ancestral-api"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] in [port["name"] for port in service["spec"]["ports"]]
    for kind, component in (("Deployment", "worker"), ("StatefulSet", "redis")):
        template = found[kind, f"ancestral-{component}"]["spec"]["template"]
        pods = found["PodMonitor", f"ancestral-{component}"]["spec"]
        assert pods["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        (port,) = template["spec"]["containers"][-1]["ports"]
        assert pods["podMetricsEndpoints"][0]["port"] == port["name"] == "metrics"
    compose = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    scrapes = [*monitor["spec"]["endpoints"], *found["PodMonitor", "ancestral-worker"]["spec"]["podMetricsEndpoints"]]
    jobs = [rule["replacement"] for scrape in scrapes for rule in scrape["relabelings"]]  # as the alerts select them
    assert jobs == [scrape["job_name"] for scrape in compose["scrape_configs"][:2]]


def test_two_releases_do_not_meet():
    one, other = render(name="one"), render(name="other")
    assert not one.keys() & other.keys()
    for (kind, name), manifest in one.items():
        if kind == "Service":
            selector = manifest["spec"]["selector"]
            for deployed in other.values():
                labels = deployed.get("spec", {}).get("template", {}).get("metadata", {}).get("labels", {})
                assert not selector.items() <= labels.items(), name


def test_its_version_and_schema():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__

    def compare(values, part, path):
        if "properties" in part:
            assert values.keys() == part["properties"].keys() - {"global"}, path
            for name, value in values.items():
                if isinstance(value, dict):
                    compare(value, part["properties"][name], f"{path}.{name}")

    compare(values_of(CHART / "values.yaml"), json.loads((CHART / "values.schema.json").read_text()), "values")
