"""The API server goes away, and kinds with it; a cluster of the tests' own."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator

import pytest

from tests.builders import endpoint, version
from tests.eventually import eventually
from tests.kubernetes.cluster.build import home
from tests.kubernetes.cluster.cluster import Cluster
from weir.clock import SystemClock
from weir.endpoint import Split
from weir.errors import PermanentError
from weir.kubernetes.api import Api
from weir.kubernetes.clusters import KubernetesClusters
from weir.kubernetes.connection import Access, connect
from weir.kubernetes.kinds import NAMESPACE
from weir.kubernetes.settings import ClusterSettings
from weir.kubernetes.traffic import KubernetesTraffic
from weir.kubernetes.workloads import KubernetesWorkloads
from weir.readiness import wait_until_ready

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]

GONE_SECONDS = 60


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if not (home() / "built").is_dir():
        pytest.skip("the cluster's parts are not built: make cluster builds them")
    started = Cluster.start(tmp_path_factory.mktemp("cluster"))
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture
def settings(cluster: Cluster) -> ClusterSettings:
    namespace = f"weir-test-{secrets.token_hex(4)}"
    api_of(cluster, namespace).create(NAMESPACE.object(namespace, {}))
    return ClusterSettings(namespace=namespace, propagation_seconds=0)


def api_of(cluster: Cluster, namespace: str) -> Api:
    return Api(connect(Access(kubeconfig=str(cluster.kubeconfig))), namespace)


def away(cluster: Cluster, seconds: float) -> threading.Thread:
    """The API server is gone when this returns, and comes back after the time."""
    cluster.stop_api_server()
    back = threading.Thread(target=lambda: (time.sleep(seconds), cluster.start_api_server()))
    back.start()
    return back


def test_a_version_becomes_ready_across_an_outage(
    cluster: Cluster, settings: ClusterSettings
) -> None:
    workloads = KubernetesWorkloads(api_of(cluster, settings.namespace), settings)
    one = version("v1").model_copy(update={"image": "registry.example/never-ready:1"})
    workloads.apply("fraud", one)
    backs: list[threading.Thread] = []

    def vanish(_: str) -> None:
        if not backs:
            backs.append(away(cluster, GONE_SECONDS))
            threading.Thread(target=repair).start()

    def repair() -> None:
        # Patient as well: it is carried out when the API server is there again.
        KubernetesWorkloads(api_of_patient, settings).apply("fraud", version("v1"))

    api_of_patient = api_of(cluster, settings.namespace)
    api_of_patient.read("/version", "look")
    began = time.monotonic()
    status = wait_until_ready(
        workloads, "fraud", "v1", timeout_seconds=300, clock=SystemClock(), say=vanish
    )
    backs[0].join()
    assert status.ready() == 1
    assert GONE_SECONDS < time.monotonic() - began < GONE_SECONDS + 60


def test_a_split_is_changed_across_an_outage(cluster: Cluster, settings: ClusterSettings) -> None:
    api = api_of(cluster, settings.namespace)
    traffic, workloads = KubernetesTraffic(api, settings), KubernetesWorkloads(api, settings)
    ready = traffic.ensure(endpoint("fraud").control("v1").treatment("v2").build())
    for one in ready.versions:
        workloads.apply("fraud", one)
        wait_until_ready(workloads, "fraud", one.name, timeout_seconds=60, clock=SystemClock())
    traffic.apply(ready)
    back = away(cluster, GONE_SECONDS)
    began = time.monotonic()
    wanted = Split.of({"v1": 50, "v2": 50})
    traffic.apply(ready.with_split(wanted))
    assert time.monotonic() - began < GONE_SECONDS + 60
    back.join()
    assert traffic.split("fraud") == wanted
    # A controller that has just come back takes a moment to find the address again.
    eventually(lambda: traffic.trouble("fraud") == "")


def test_a_cluster_without_the_gateway_api_says_how_to_have_it(
    cluster: Cluster, settings: ClusterSettings
) -> None:
    kinds = ("gatewayclasses", "gateways", "httproutes", "grpcroutes", "referencegrants")
    names = [f"{kind}.gateway.networking.k8s.io" for kind in kinds]
    cluster.kubectl("delete", "crd", "--ignore-not-found", *names)
    cluster.kubectl(
        "delete", "crd", "--ignore-not-found", "backendtlspolicies.gateway.networking.k8s.io"
    )
    clusters = KubernetesClusters(api_of(cluster, settings.namespace), settings)
    began = time.monotonic()
    with pytest.raises(PermanentError) as raised:
        clusters.ensure()
    assert raised.value.reason == "kubernetes.no_gateway_api"
    assert "az aks update --enable-gateway-api" in raised.value.remedy
    assert time.monotonic() - began < 5
