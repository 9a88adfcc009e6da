"""Clusters that are not as weir needs them: what a person reads, and how soon."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.builders import endpoint, version
from tests.kubernetes import at_hand
from tests.kubernetes.at_hand import Place
from tests.kubernetes.refusing import refused
from weir.clock import SystemClock
from weir.endpoint import Split
from weir.errors import TemporaryError
from weir.kubernetes import names
from weir.kubernetes.clusters import KubernetesClusters
from weir.kubernetes.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    GATEWAY,
    GATEWAY_CLASS,
    NAMESPACE,
    ROUTE,
    name_of,
)
from weir.kubernetes.settings import ClusterSettings, SharedGateway
from weir.kubernetes.traffic import KubernetesTraffic
from weir.kubernetes.workloads import KubernetesWorkloads
from weir.readiness import wait_until_ready

pytestmark = pytest.mark.kubernetes


@contextmanager
def gateway_class(place: Place, controller: str) -> Iterator[str]:
    """A GatewayClass that is the test's own."""
    name = f"weir-test-{secrets.token_hex(4)}"
    manifest = GATEWAY_CLASS.object(name, {"weir-test": "yes"})
    place.admin.create({**manifest, "spec": {"controllerName": controller}})
    try:
        yield name
    finally:
        place.admin.delete(GATEWAY_CLASS, name)


@contextmanager
def shared_gateway(place: Place, **listener: object) -> Iterator[SharedGateway]:
    """A Gateway in another namespace, as its administrator has set it up."""
    namespace = f"weir-test-{secrets.token_hex(4)}"
    admin = place.admin.in_namespace(namespace)
    admin.create(NAMESPACE.object(namespace, {"weir-test": "yes"}))
    try:
        manifest = GATEWAY.object("shared", {})
        manifest["spec"] = {
            "gatewayClassName": "approuting-istio",
            "listeners": [{"name": "web", "port": 80, "protocol": "HTTP", **listener}],
        }
        admin.create(manifest)
        yield SharedGateway("shared", namespace)
    finally:
        admin.delete(NAMESPACE, namespace)


def settings_of(place: Place, **changes: Any) -> ClusterSettings:
    return ClusterSettings(**{**vars(place.settings), **changes})


def test_a_cluster_as_it_should_be_is_ready_at_once() -> None:
    with at_hand.place() as place:
        began = time.monotonic()
        clusters = KubernetesClusters(place.api(), place.settings)
        assert clusters.ensure().ready
        assert clusters.status().message.startswith("Kubernetes v1.")
        assert time.monotonic() - began < 3


def test_a_gateway_class_that_is_missing_names_those_there_are() -> None:
    with at_hand.place(gateway_class="nginx") as place:
        error = refused(KubernetesClusters(place.api(), place.settings).ensure, within=3)
    assert error.reason == "gateway.class_missing"
    assert "no GatewayClass nginx" in error.message
    assert "approuting-istio" in error.message
    assert "gateway_class" in error.remedy


def test_a_gateway_class_that_its_controller_refuses_is_not_used() -> None:
    with at_hand.place() as place, gateway_class(place, "example.org/nobody") as name:
        words = {
            "type": "Accepted",
            "status": "False",
            "reason": "InvalidParameters",
            "message": "no such parameters",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        place.admin._json(
            "patch",
            "PATCH",
            f"{GATEWAY_CLASS.path('', name)}/status",
            "refuse the class",
            body={"status": {"conditions": [words]}},
            content_type="application/merge-patch+json",
        )
        settings = settings_of(place, gateway_class=name)
        error = refused(KubernetesClusters(place.api(), settings).ensure, within=3)
    assert error.reason == "gateway.class_refused"
    assert "InvalidParameters" in error.message
    assert "no such parameters" in error.message


def test_a_gateway_that_no_controller_takes_up_is_told_with_its_conditions() -> None:
    with at_hand.place() as place, gateway_class(place, "example.org/nobody") as name:
        settings = settings_of(place, gateway_class=name, gateway_timeout_seconds=2)
        assert KubernetesClusters(place.api(), settings).ensure().ready
        traffic = KubernetesTraffic(place.api(), settings)
        error = refused(lambda: traffic.ensure(endpoint("fraud").build()), within=4)
    assert error.reason == "gateway.not_programmed"
    assert "Waiting for controller" in error.message
    assert "within 2 s" in error.message
    assert "controller runs" in error.remedy


def test_a_shared_gateway_that_is_missing_is_told_at_once() -> None:
    shared = SharedGateway("shared", "default")
    with at_hand.place(shared_gateway=shared) as place:
        traffic = KubernetesTraffic(place.api(), place.settings)
        error = refused(lambda: traffic.ensure(endpoint("fraud").build()), within=4)
    assert error.reason == "gateway.missing"
    assert "default/shared" in error.message
    assert "shared_gateway" in error.remedy


@pytest.mark.parametrize(
    ("listener", "words"),
    [
        ({"allowedRoutes": {"namespaces": {"from": "Same"}}}, "NotAllowedByListeners"),
        (
            {"allowedRoutes": {"namespaces": {"from": "All"}}, "hostname": "other.example"},
            "NoMatchingListenerHostname",
        ),
    ],
)
def test_a_shared_gateway_that_refuses_the_route_is_quoted(listener: Any, words: str) -> None:
    with at_hand.place() as place, shared_gateway(place, **listener) as shared:
        settings = settings_of(place, shared_gateway=shared, host_suffix="shop.example")
        traffic = KubernetesTraffic(place.api(), settings)
        built = traffic.ensure(endpoint("fraud").build())
        error = refused(lambda: traffic.apply(built), within=10)
        assert words in traffic.trouble("fraud")
    assert error.reason == "gateway.route_refused"
    assert words in error.message


def test_endpoints_behind_one_shared_gateway_are_told_apart_by_path() -> None:
    listener = {"allowedRoutes": {"namespaces": {"from": "All"}}}
    with at_hand.place() as place, shared_gateway(place, **listener) as shared:
        traffic = KubernetesTraffic(place.api(), settings_of(place, shared_gateway=shared))
        for name in ("fraud", "churn"):
            traffic.apply(traffic.ensure(endpoint(name).build()))
            assert traffic.trouble(name) == ""
            uri = traffic.scoring_uri(name)
            assert uri is not None
            assert uri.endswith(f"/{name}/score")
        traffic.remove("fraud")
        assert place.admin.in_namespace(shared.namespace).get(GATEWAY, shared.name) is not None
        assert traffic.trouble("churn") == ""


def test_a_namespace_that_is_missing_is_made_only_when_that_is_wanted() -> None:
    name = f"weir-test-{secrets.token_hex(4)}"
    with at_hand.place() as place:
        admin = place.admin.in_namespace(name)
        settings = settings_of(place, namespace=name)
        error = refused(KubernetesClusters(admin, settings).ensure, within=3)
        assert error.reason == "kubernetes.namespace_missing"
        assert name in error.message
        assert "create_namespace" in error.remedy
        write = refused(
            lambda: KubernetesWorkloads(admin, settings).apply("fraud", version("v1")), within=3
        )
        assert write.reason == "kubernetes.namespace_missing"

        try:
            made = settings_of(place, namespace=name, create_namespace=True)
            assert KubernetesClusters(admin, made).ensure().ready
            found = admin.get(NAMESPACE, name)
            assert found is not None
            assert found["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "weir"
        finally:
            admin.delete(NAMESPACE, name)


def test_an_account_that_may_not_make_the_namespace_is_told_so() -> None:
    name = f"weir-test-{secrets.token_hex(4)}"
    with at_hand.place() as place:
        settings = settings_of(place, namespace=name, create_namespace=True)
        error = refused(KubernetesClusters(place.api(), settings).ensure, within=3)
    assert error.reason == "kubernetes.forbidden"
    assert '"namespaces"' in error.message


def test_a_namespace_that_is_being_deleted_takes_nothing_new() -> None:
    with at_hand.place() as place:
        kept = CONFIG_MAP.object("kept", {})
        kept["metadata"]["finalizers"] = ["weir.test/hold"]
        place.admin.create(kept)
        place.admin.delete(NAMESPACE, place.namespace)
        try:
            clusters = KubernetesClusters(place.admin, place.settings)
            error = refused(clusters.ensure, within=3)
            assert error.reason == "kubernetes.namespace_terminating"
            assert "another namespace" in error.remedy
            workloads = KubernetesWorkloads(place.admin, place.settings)
            write = refused(lambda: workloads.apply("fraud", version("v1")), within=3)
            assert write.reason == "kubernetes.namespace_terminating"
        finally:
            place.admin.patch(CONFIG_MAP, "kept", {"metadata": {"finalizers": None}})


def test_more_traffic_for_a_version_without_a_replica_is_refused() -> None:
    with at_hand.place() as place:
        api = place.api()
        traffic = KubernetesTraffic(api, place.settings)
        workloads = KubernetesWorkloads(api, place.settings)
        built = endpoint("fraud").control("v1").treatment("v2").build()
        ready = traffic.ensure(built)
        unready = ready.versions[1].model_copy(update={"image": "registry.example/never-ready:1"})
        workloads.apply("fraud", unready)
        workloads.apply("fraud", ready.versions[0])
        wait_until_ready(workloads, "fraud", "v1", timeout_seconds=30, clock=SystemClock())
        traffic.apply(ready)
        wanted = Split.of({"v1": 95, "v2": 5})
        error = refused(lambda: traffic.apply(ready.with_split(wanted)), within=3)
        assert error.reason == "version.not_ready"
        assert isinstance(error, TemporaryError)
        assert "version v2 has no available replica" in error.message
        assert traffic.split("fraud") == ready.split


def test_endpoints_and_versions_that_could_be_confused_live_side_by_side() -> None:
    long = "a" * 62
    pairs = [("a-b", "c"), ("a", "b-c"), ("a--b", "c"), ("a", "b--c"), ("1st", "1"), ("x", "1st")]
    pairs += [(f"{long}b", f"{long}c"), (f"{long}c", f"{long}b"), (f"{long}b", f"{long}d")]
    with at_hand.place() as place:
        api = place.api()
        traffic = KubernetesTraffic(api, place.settings)
        workloads = KubernetesWorkloads(api, place.settings)
        for name in sorted({name for name, _ in pairs}):
            traffic.ensure(endpoint(name).build())
        for name, one in pairs:
            workloads.apply(name, version(one))
        for name, one in pairs:
            wait_until_ready(workloads, name, one, timeout_seconds=30, clock=SystemClock())
        for name in {name for name, _ in pairs}:
            its = tuple(sorted(one for other, one in pairs if other == name))
            assert workloads.versions(name) == its
            shares = {one: 100 if one == its[0] else 0 for one in its}
            built = endpoint(name)
            for one in its:
                built = built.control(one) if one == its[0] else built.treatment(one)
            traffic.apply(built.build())
            assert traffic.split(name) == Split.of(shares)
        deployments, _ = place.admin.list(DEPLOYMENT, {"app.kubernetes.io/name": "weir-version"})
        assert len(deployments) == len(pairs)
        routes, _ = place.admin.list(ROUTE)
        assert len(routes) == len({name for name, _ in pairs})
        workloads.remove("a", "b-c")
        traffic.remove("a-b")
        assert workloads.versions("a") == ("b--c",)
        assert place.admin.get(DEPLOYMENT, names.of_version("a--b", "c")) is not None
        assert name_of(place.admin.list(ROUTE, {names.ENDPOINT: "a"})[0][0]) == "a"
