"""What the collector's manifests promise, read without running them."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.azure.collector import BUILDER, CONNECTION_STRING, MANIFEST, config, manifest
from weir.envoy.guard import GuardSettings
from weir.kubernetes import names
from weir.kubernetes.settings import ClusterSettings

DOCS = MANIFEST.parents[2] / "docs" / "telemetry.md"


def _pod() -> Any:
    return manifest()["Deployment"]["spec"]["template"]["spec"]


def _container() -> Any:
    (found,) = _pod()["containers"]
    return found


def _port(endpoint: str) -> int:
    return int(endpoint.rpartition(":")[2])


def test_what_is_tested_has_the_version_of_the_pinned_image() -> None:
    image = _container()["image"]
    found = re.fullmatch(r"otel/opentelemetry-collector-contrib:(\d+\.\d+\.\d+)", image)
    assert found is not None, image
    version = found[1]
    built = yaml.safe_load(BUILDER.read_text())
    assert built["dist"]["version"] == version
    modules = [one["gomod"] for kind in built if kind != "dist" for one in built[kind]]
    assert {one for one in modules if not one.endswith(f" v{version}")} == {
        one for one in modules if "/confmap/" in one
    }
    template = manifest()["Deployment"]["spec"]["template"]
    for labelled in (manifest()["Deployment"], template):
        assert labelled["metadata"]["labels"]["app.kubernetes.io/version"] == version


def test_the_connection_string_comes_from_a_secret_alone() -> None:
    (found,) = [one for one in _container()["env"] if one["name"] == CONNECTION_STRING]
    assert found["valueFrom"] == {
        "secretKeyRef": {"name": "weir-collector", "key": "connection-string"}
    }
    exporter = config()["exporters"]["azure_monitor"]
    assert exporter["connection_string"] == f"${{env:{CONNECTION_STRING}}}"
    assert "InstrumentationKey" not in MANIFEST.read_text()
    assert "Secret" not in manifest()


def test_a_pod_may_do_no_more_than_it_has_to() -> None:
    """What the Pod Security Standard "restricted" asks for, and more."""
    pod, container = _pod(), _container()
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    for amounts in (container["resources"]["requests"], container["resources"]["limits"]):
        assert amounts.keys() == {"cpu", "memory"}


def test_spans_are_refused_before_the_container_is_out_of_memory() -> None:
    limits = _container()["resources"]["limits"]
    (collected,) = [one["value"] for one in _container()["env"] if one["name"] == "GOMEMLIMIT"]
    limiter = config()["processors"]["memory_limiter"]
    held, most = int(collected.removesuffix("MiB")), int(limits["memory"].removesuffix("Mi"))
    assert held < limiter["limit_mib"] < most
    assert config()["service"]["pipelines"]["traces"]["processors"][0] == "memory_limiter"


def test_one_replica_serves_while_another_one_moves() -> None:
    spec = manifest()["Deployment"]["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert manifest()["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1


def test_the_guards_reach_the_receiver_by_the_address_that_is_documented() -> None:
    (address,) = re.findall(r"^collector: (\S+)", DOCS.read_text(), re.MULTILINE)
    GuardSettings("fraud", collector=address)
    service = manifest()["Service"]
    (port,) = service["spec"]["ports"]
    host = f"{service['metadata']['name']}.{service['metadata']['namespace']}"
    assert address == f"{host}:{port['port']}"
    ports = {one["name"]: one["containerPort"] for one in _container()["ports"]}
    receiver = config()["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
    assert ports[port["targetPort"]] == _port(receiver) == port["port"] == 4318
    assert ports["health"] == _port(config()["extensions"]["health_check"]["endpoint"])
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert _container()[probe]["httpGet"]["port"] == "health"


def test_only_guards_may_send_spans() -> None:
    policy = manifest()["NetworkPolicy"]["spec"]
    (rule,) = policy["ingress"]
    (sender,) = rule["from"]
    (label,) = sender["podSelector"]["matchExpressions"]
    assert sender.keys() == {"podSelector"}
    assert label == {"key": names.ENDPOINT, "operator": "Exists"}
    assert names.ENDPOINT in names.version_labels("fraud", "v1")
    assert [one["port"] for one in rule["ports"]] == ["otlp-http"]


@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget", "NetworkPolicy"])
def test_whatever_chooses_pods_chooses_the_collectors(kind: str) -> None:
    spec = manifest()[kind]["spec"]
    chosen = spec.get("selector") or spec["podSelector"]
    labels = manifest()["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert (chosen.get("matchLabels") or chosen).items() <= labels.items()


def test_everything_is_in_the_namespace_of_the_versions() -> None:
    namespaces = {thing["metadata"]["namespace"] for thing in manifest().values()}
    assert namespaces == {ClusterSettings().namespace}


def test_every_part_of_the_pipeline_is_configured_and_in_use() -> None:
    found = config()
    (pipeline,) = found["service"]["pipelines"].values()
    for kind in ("receivers", "processors", "exporters"):
        assert sorted(pipeline[kind]) == sorted(found[kind])
    assert found["service"]["extensions"] == list(found["extensions"])
    batch = found["processors"]["batch"]
    assert batch["send_batch_max_size"] == batch["send_batch_size"] <= 1024, "rows of one post"
