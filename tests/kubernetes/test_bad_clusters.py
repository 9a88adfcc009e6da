"""Clusters that are not as weir needs them: what a person reads, and how soon."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.builders import endpoint, version
from tests.eventually import eventually
from tests.kubernetes import at_hand
from tests.kubernetes.at_hand import Place
from tests.kubernetes.cluster.certificates import Authority
from weir.clock import SystemClock
from weir.endpoint import Split
from weir.errors import PermanentError, TemporaryError, UserError, WeirError
from weir.kubernetes import names
from weir.kubernetes.api import Api
from weir.kubernetes.clusters import KubernetesClusters
from weir.kubernetes.connection import Access, connect
from weir.kubernetes.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    GATEWAY,
    GATEWAY_CLASS,
    NAMESPACE,
    ROUTE,
    SERVICE_ACCOUNT,
    Kind,
    name_of,
)
from weir.kubernetes.settings import ClusterSettings, SharedGateway
from weir.kubernetes.state import KubernetesState
from weir.kubernetes.traffic import KubernetesTraffic
from weir.kubernetes.workloads import KubernetesWorkloads
from weir.readiness import wait_until_ready

pytestmark = pytest.mark.kubernetes

ROLE = Kind("rbac.authorization.k8s.io/v1", "Role", "roles")


def refused(call: Callable[[], object], within: float) -> WeirError:
    """The error of ``call``, which comes within the time."""
    began = time.monotonic()
    with pytest.raises(WeirError) as raised:
        call()
    taken = time.monotonic() - began
    assert taken < within, f"{taken:.1f} s until {raised.value}"
    return raised.value


def changed(access: Access, change: Callable[[dict[str, Any], dict[str, Any]], object]) -> Access:
    """The same access with another cluster or user in its kubeconfig."""
    document = yaml.safe_load(access.kubeconfig_text)
    change(document["clusters"][0]["cluster"], document["users"][0]["user"])
    return Access(kubeconfig_text=yaml.safe_dump(document))


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


def test_a_token_that_is_no_good_is_told_at_once() -> None:
    with at_hand.place() as place:
        wrong = changed(place.access, lambda _, user: user.update(token="nonsense"))
        api = Api(connect(wrong), place.namespace)
        error = refused(lambda: KubernetesState(api).read("fraud"), within=3)
        assert error.reason == "kubernetes.unauthorized"
        assert "nonsense" not in str(error)
        with KubernetesWorkloads(api, place.settings).watch("fraud", "v1") as watch:
            watched = refused(watch.status, within=3)
        assert watched.reason == "kubernetes.unauthorized"


def test_a_token_that_ends_in_the_midst_of_it_is_told_after_the_patience() -> None:
    with at_hand.place() as place:
        state = KubernetesState(place.api(patience_seconds=3))
        assert state.read("fraud") is None
        place.admin.delete(SERVICE_ACCOUNT, at_hand.ACCOUNT)

        def ended() -> WeirError | None:
            try:
                state.read("fraud")
            except WeirError as error:
                return error
            return None

        # The API server keeps the good word of a token for some seconds.
        error = eventually(ended)
        assert error.reason == "kubernetes.unauthorized"
        assert "sign in again" in error.remedy


@pytest.mark.parametrize(
    ("resource", "verb"), [("deployments", "patch"), ("pods", "watch"), ("services", "patch")]
)
def test_a_right_that_is_missing_is_named(resource: str, verb: str) -> None:
    with at_hand.place() as place:
        role = place.admin._json("get", "GET", ROLE.path(place.namespace, "weir"), "read the role")
        for rule in role["rules"]:
            if resource in rule["resources"]:
                rule["resources"] = [one for one in rule["resources"] if one != resource] or ["x"]
        role["metadata"].pop("managedFields")
        place.admin._json(
            "put", "PUT", ROLE.path(place.namespace, "weir"), "change the role", body=role
        )
        workloads = KubernetesWorkloads(place.api(), place.settings)

        def lacking() -> WeirError | None:
            try:
                workloads.apply("fraud", version("v1"))
                wait_until_ready(workloads, "fraud", "v1", timeout_seconds=20, clock=SystemClock())
            except WeirError as error:
                return error
            return None

        began = time.monotonic()
        error = eventually(lacking)
        assert time.monotonic() - began < 6
    assert error.reason == "kubernetes.forbidden"
    assert f'resource "{resource}"' in error.message
    said = verb if verb != "watch" else "list"
    assert f"cannot {said} resource" in error.message
    assert "rbac.yaml" in error.remedy


def test_an_address_where_nobody_listens_is_told_soon() -> None:
    with at_hand.place() as place:
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            nowhere = f"https://127.0.0.1:{held.getsockname()[1]}"
            access = changed(place.access, lambda cluster, _: cluster.update(server=nowhere))
            api = Api(connect(access), place.namespace)
            error = refused(KubernetesClusters(api, place.settings).ensure, within=12)
        assert error.reason == "kubernetes.unreachable"
        assert nowhere in str(error)
        assert "can be reached" in error.remedy


def test_a_certificate_of_another_authority_is_told_at_once(tmp_path: Path) -> None:
    with at_hand.place() as place:
        other = at_hand_certificate(tmp_path)
        access = changed(
            place.access, lambda cluster, _: cluster.update({"certificate-authority-data": other})
        )
        api = Api(connect(access), place.namespace)
        error = refused(KubernetesClusters(api, place.settings).ensure, within=3)
        with KubernetesWorkloads(api, place.settings).watch("fraud", "v1") as watch:
            assert refused(watch.status, within=3).reason == "kubernetes.certificate"
    assert error.reason == "kubernetes.certificate"
    assert isinstance(error, PermanentError)
    assert "certificate" in error.message
    assert "certificate-authority" in error.remedy


def at_hand_certificate(folder: Path) -> str:
    import base64

    return base64.b64encode(Authority(folder / "pki").own.certificate.read_bytes()).decode()


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


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "just words",
        "a: b",
        "apiVersion: v1\nkind: Config\nclusters: 7\ncontexts: x\ncurrent-context: y",
        "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: [{name: a}]\ncurrent-context: a",
        "\x00\x01",
        "",
    ],
)
@pytest.mark.parametrize("is_text", [True, False])
def test_a_kubeconfig_that_is_none_is_the_users_to_correct(
    text: str, is_text: bool, tmp_path: Path
) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    if is_text and not text:
        pytest.skip("an empty text means that there is none")
    access = Access(kubeconfig_text=text) if is_text else Access(kubeconfig=str(path))
    with pytest.raises(UserError) as raised:
        connect(access)
    assert raised.value.reason == "kubernetes.kubeconfig"
    assert "platform block" in raised.value.remedy


def test_a_kubeconfig_that_is_not_there_names_its_path(tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        connect(Access(kubeconfig=str(tmp_path / "nowhere")))
    assert raised.value.reason == "kubernetes.kubeconfig"
    assert "nowhere" in str(raised.value)


def test_a_context_that_is_not_there_is_named() -> None:
    path = at_hand.require_cluster()
    with pytest.raises(UserError) as raised:
        connect(Access(kubeconfig=str(path), context="staging"))
    assert raised.value.reason == "kubernetes.kubeconfig"
    assert "staging" in raised.value.message
