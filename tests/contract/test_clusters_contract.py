"""What every adapter of ports.Clusters does. Azure is the double; the API server is a real one."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest
import yaml

from tests.azure.acr import Acr
from tests.azure.aks import GROUP, REGION, REGISTRY, Aks
from tests.azure.conftest import Site
from tests.azure.double import Double
from tests.azure.inside import Inside
from tests.guard import free_ports
from tests.kubernetes import at_hand
from tests.kubernetes.at_hand import Place
from tests.supervised import kill_supervisor
from weir.azure.cluster_plan import ClusterPlan
from weir.errors import WeirError
from weir.kubernetes.api import Api
from weir.kubernetes.certificates import Certificate, CertifiedClusters
from weir.kubernetes.clusters import KubernetesClusters
from weir.kubernetes.connection import Access, connect
from weir.kubernetes.kinds import NAMESPACE, SECRET
from weir.kubernetes.settings import ClusterSettings
from weir.local.clusters import LocalClusters
from weir.local.home import Home
from weir.local.supervisor import record_file, running_supervisor, stop_everything
from weir.ports import Clusters

PLAN = ClusterPlan(REGION)
ATTACHED = "weir attaches to a Kubernetes cluster that is there, and neither makes nor starts one"
NEEDS_NOTHING = "a home has what it needs: a process is started in it, and nothing is made"


class Subject(Protocol):
    """A place in which what ``ensure`` makes is missing at first."""

    def open(self) -> Clusters:
        """The adapter, as a process that has just begun has it."""

    def made(self) -> object:
        """What has been made or changed by now, seen past the adapter; the same is equal."""

    def stop(self) -> None:
        """What ``ensure`` has started stops, by somebody else's doing."""

    def silent(self) -> Clusters:
        """An adapter that nobody answers."""


class Local:
    def __init__(self, root: Path) -> None:
        self.home = Home(root)

    def open(self) -> Clusters:
        return LocalClusters(self.home.root)

    def made(self) -> object:
        # The supervisor itself writes as long as it runs.
        return running_supervisor(self.home) or sorted(self.home.root.rglob("*"))

    def stop(self) -> None:
        kill_supervisor(self.home)

    def silent(self) -> Clusters:
        self.home.root.mkdir()
        record_file(self.home).write_text('{"pid": ')
        return self.open()


class Kubernetes:
    """By an administrator's access: weir's own account may not make namespaces."""

    def __init__(self, place: Place, namespace: str) -> None:
        self.api = place.admin.in_namespace(namespace)
        self.settings = replace(place.settings, namespace=namespace, create_namespace=True)

    def open(self) -> Clusters:
        return KubernetesClusters(self.api, self.settings)

    def made(self) -> object:
        found = self.api.get(NAMESPACE, self.settings.namespace)
        return found and (found["metadata"]["uid"], found["metadata"]["resourceVersion"])

    def stop(self) -> None:
        pytest.skip(ATTACHED)

    def silent(self) -> Clusters:
        return KubernetesClusters(unanswered(), self.settings)


class Certified(Kubernetes):
    """With a certificate, whose Secret stands in the namespace."""

    certificate = Certificate("tls", "a certificate", "its key")

    def open(self) -> Clusters:
        return CertifiedClusters(super().open(), self.api, self.certificate)

    def made(self) -> object:
        found = self.api.get(SECRET, self.certificate.secret)
        return super().made(), found and found["metadata"]["resourceVersion"]

    def silent(self) -> Clusters:
        return CertifiedClusters(super().silent(), unanswered(), self.certificate)


class Azure:
    def __init__(self, azure: Double) -> None:
        self.azure = azure
        aks, inside = Aks(azure.ca_bundle), Inside(azure.directory)
        azure.serve(aks)
        azure.serve(inside)
        azure.serve(Acr(azure.directory))
        self.site = Site(azure, aks, inside, [])

    def open(self) -> Clusters:
        settings = ClusterSettings(namespace="models", create_namespace=True)
        return self.site.clusters(PLAN, registry=REGISTRY, settings=settings)

    def made(self) -> object:
        """Every request that was to change something, in ARM and in the cluster."""
        reading = ("oauth2/v2.0/token", "listClusterUserCredential")
        return [
            (one.method, one.path)
            for one in self.azure.requests
            if one.method not in ("GET", "HEAD") and not one.path.endswith(reading)
        ]

    def stop(self) -> None:
        self.site.aks.clusters[GROUP, "prod"]["properties"]["powerState"] = {"code": "Stopped"}

    def silent(self) -> Clusters:
        self.azure.hang_up("managedClusters", times=1000)
        return self.open()


@contextmanager
def local(folder: Path) -> Iterator[Local]:
    subject = Local(folder / "home")
    try:
        yield subject
    finally:
        stop_everything(subject.home)


@contextmanager
def kubernetes(_: Path, kind: type[Kubernetes] = Kubernetes) -> Iterator[Kubernetes]:
    namespace = f"weir-test-{secrets.token_hex(4)}"
    with at_hand.place() as place:
        try:
            yield kind(place, namespace)
        finally:
            place.admin.delete(NAMESPACE, namespace)


def kubernetes_with_certificate(folder: Path) -> AbstractContextManager[Kubernetes]:
    return kubernetes(folder, Certified)


@contextmanager
def azure(folder: Path) -> Iterator[Azure]:
    with Double(folder) as double:
        yield Azure(double)


def unanswered() -> Api:
    """A kubeconfig that leads to a port at which nobody listens."""
    (port,) = free_ports(1)
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"https://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    text = yaml.safe_dump(document)
    return Api(connect(Access(kubeconfig_text=text)), "weir", patience_seconds=0.5)


@pytest.fixture(
    params=[local, kubernetes, kubernetes_with_certificate, azure],
    ids=lambda make: make.__name__,
)
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    with request.param(tmp_path) as found:
        yield found


def changes(clusters: Clusters) -> list[str]:
    """What ``check`` tells of what is to be made or changed; its other lines are notes."""
    return [line for line in clusters.check() if line.startswith(("+", "~"))]


def test_a_platform_that_is_missing_is_not_ready_and_says_why(subject: Subject) -> None:
    if isinstance(subject, Kubernetes):
        pytest.skip(ATTACHED)
    status = subject.open().status()
    assert not status.ready
    assert status.message


def test_a_platform_that_does_not_answer_is_not_ready_and_says_why(subject: Subject) -> None:
    status = subject.silent().status()
    assert not status.ready
    assert status.name
    assert status.message


def test_whoever_only_looks_changes_nothing(subject: Subject) -> None:
    before = subject.made()
    clusters = subject.open()
    clusters.status()
    clusters.check()
    assert subject.made() == before
    clusters.ensure()
    ensured = subject.made()
    clusters.status()
    clusters.check()
    assert subject.made() == ensured


def test_what_ensure_would_make_is_told_before_and_not_afterwards(subject: Subject) -> None:
    if isinstance(subject, Local):
        pytest.skip(NEEDS_NOTHING)
    clusters = subject.open()
    assert changes(clusters)
    clusters.ensure()
    assert changes(clusters) == []
    assert changes(subject.open()) == []


def test_another_certificate_in_kubernetes_is_told_before_it_is_written(tmp_path: Path) -> None:
    with kubernetes(tmp_path, Certified) as subject:
        subject.open().ensure()
        subject.certificate = Certificate("tls", "the next certificate", "its key")
        assert changes(subject.open()) == ["~ Secret tls: another certificate"]
        subject.open().ensure()
        assert changes(subject.open()) == []


def test_ensure_returns_when_the_platform_is_ready(subject: Subject) -> None:
    clusters = subject.open()
    assert clusters.ensure().ready
    assert clusters.status().ready
    assert subject.open().status().ready


def test_ensured_again_nothing_changes(subject: Subject) -> None:
    clusters = subject.open()
    clusters.ensure()
    ensured = subject.made()
    assert clusters.ensure().ready
    assert subject.open().ensure().ready
    assert subject.made() == ensured


def test_a_platform_has_one_name(subject: Subject) -> None:
    clusters = subject.open()
    names = [clusters.ensure().name for _ in range(2)]
    names += [clusters.status().name, subject.open().ensure().name]
    assert len({*names}) == 1


def test_who_waits_is_told_what_for(subject: Subject) -> None:
    said: list[str] = []
    subject.open().ensure(said.append)
    assert said
    assert all(said)


def test_what_has_stopped_is_started_again_by_whoever_comes_next(subject: Subject) -> None:
    subject.open().ensure()
    subject.stop()
    clusters = subject.open()
    status = clusters.status()
    assert not status.ready
    assert status.message
    assert clusters.ensure().ready
    assert clusters.status().ready
    assert changes(clusters) == []


def test_two_that_come_at_once_make_it_once(subject: Subject) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: subject.open().ensure(), range(2)))
    assert [one.ready for one in both] == [True, True]
    ensured = subject.made()
    subject.open().ensure()
    assert subject.made() == ensured
    if isinstance(subject, Azure):
        assert len(subject.site.aks.clusters) == 1
        assert len(subject.site.aks.grants) == 1


def _without_a_namespace(folder: Path) -> Iterator[Clusters]:
    with kubernetes(folder) as subject:
        settings = replace(subject.settings, create_namespace=False)
        yield KubernetesClusters(subject.api, settings)


def _without_its_class(folder: Path) -> Iterator[Clusters]:
    with kubernetes(folder) as subject:
        settings = replace(subject.settings, gateway_class="nobodys")
        yield KubernetesClusters(subject.api, settings)


def _without_a_plan(folder: Path) -> Iterator[Clusters]:
    with azure(folder) as subject:
        yield subject.site.clusters()


def _too_small(folder: Path) -> Iterator[Clusters]:
    with azure(folder) as subject:
        yield subject.site.clusters(replace(PLAN, agent_count=1))


def _being_deleted(folder: Path) -> Iterator[Clusters]:
    with azure(folder) as subject:
        there = subject.site.aks.there_is("prod")
        there["properties"]["provisioningState"] = "Deleting"
        yield subject.site.clusters(PLAN)


def _unlike_the_cluster_inside(folder: Path) -> Iterator[Clusters]:
    with azure(folder) as subject:
        subject.site.aks.there_is("prod")
        yield subject.site.clusters(settings=ClusterSettings(namespace="missing"))


@pytest.mark.parametrize(
    ("unfit", "reason"),
    [
        pytest.param(_without_a_namespace, "kubernetes.namespace_missing", id="kubernetes-1"),
        pytest.param(_without_its_class, "gateway.class_missing", id="kubernetes-2"),
        pytest.param(_without_a_plan, "cluster.missing", id="azure-1"),
        pytest.param(_too_small, "cluster.too_small", id="azure-2"),
        pytest.param(_being_deleted, "cluster.deleting", id="azure-3"),
        pytest.param(_unlike_the_cluster_inside, "kubernetes.namespace_missing", id="azure-4"),
    ],
)
def test_what_ensure_refuses_is_refused_by_check_in_the_same_words(
    unfit: Callable[[Path], Iterator[Clusters]], reason: str, tmp_path: Path
) -> None:
    with contextmanager(unfit)(tmp_path) as clusters:
        clusters.status()
        with pytest.raises(WeirError) as checked:
            clusters.check()
        with pytest.raises(WeirError) as ensured:
            clusters.ensure()
    assert checked.value.reason == ensured.value.reason == reason
    assert checked.value.message == ensured.value.message
    assert checked.value.remedy == ensured.value.remedy
