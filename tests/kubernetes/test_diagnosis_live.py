"""What is wrong with a version, as a real control plane tells it; kwok plays the nodes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.builders import version
from tests.eventually import eventually
from tests.kubernetes import at_hand
from tests.kubernetes.at_hand import Place
from weir.clock import SystemClock
from weir.endpoint import Version
from weir.errors import PermanentError, VersionUnhealthy
from weir.kubernetes.kinds import DEPLOYMENT, NAMESPACE, POD, Kind
from weir.kubernetes.names import of_version, version_selector
from weir.kubernetes.settings import Toleration
from weir.kubernetes.workloads import KubernetesWorkloads
from weir.ports import WorkloadStatus
from weir.readiness import wait_until_ready

pytestmark = pytest.mark.kubernetes

QUOTA = Kind("v1", "ResourceQuota", "resourcequotas")
GOOD = "registry.example/model:1"


class Trial:
    """A namespace in which a version is tried."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.workloads = KubernetesWorkloads(place.api(), place.settings)
        self.said: list[tuple[float, str]] = []
        self.seconds = 0.0

    def start(
        self, image: str = GOOD, *, timeout_seconds: float = 60, **deployment: Any
    ) -> WorkloadStatus:
        """The version is applied and awaited; ``seconds`` is how long that took."""
        began = time.monotonic()
        try:
            self.workloads.apply("fraud", made(image, **deployment))
            return wait_until_ready(
                self.workloads,
                "fraud",
                "v1",
                timeout_seconds=timeout_seconds,
                clock=SystemClock(),
                say=lambda words: self.said.append((time.monotonic() - began, words)),
            )
        finally:
            self.seconds = time.monotonic() - began

    def failure(self, image: str = GOOD, **more: Any) -> VersionUnhealthy:
        with pytest.raises(VersionUnhealthy) as raised:
            self.start(image, **more)
        return raised.value

    def quota(self, **hard: str) -> None:
        """A ResourceQuota that the controller has taken up."""
        admin = self.place.admin
        path = QUOTA.path(self.place.namespace)
        body = {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "tight"},
            "spec": {"hard": hard},
        }
        admin._json("create", "POST", path, "make a quota", body=body)

        def is_counted() -> bool:
            found = admin.get(QUOTA, "tight")
            return found is not None and bool(found.get("status", {}).get("used"))

        eventually(is_counted)


def made(image: str = GOOD, **deployment: Any) -> Version:
    return version("v1", **deployment).model_copy(update={"image": image})


@contextmanager
def trial(**settings: object) -> Iterator[Trial]:
    with at_hand.place(**settings) as place:
        yield Trial(place)


def test_an_image_that_cannot_be_pulled_is_named_within_seconds() -> None:
    with trial() as tried:
        error = tried.failure("registry.example/image-not-there:7")
    assert error.reason == "workload.image_pull"
    assert "registry.example/image-not-there:7" in error.message
    assert "inference.image" in error.remedy
    assert tried.seconds < 10


def test_a_crash_loop_is_told_with_the_last_words_of_the_model_server() -> None:
    with trial() as tried:
        error = tried.failure("registry.example/crash-loop:1")
    assert error.reason == "workload.crashed"
    assert "exit code 1" in error.message
    assert "restarted 3 times" in error.message
    assert "no such model" in error.message
    assert "weir logs" in error.remedy
    assert tried.seconds < 10


def test_a_version_that_is_never_ready_is_told_of_at_once_and_given_its_time() -> None:
    with trial() as tried:
        error = tried.failure("registry.example/never-ready:1", timeout_seconds=8)
    assert tried.said, "nothing was said while it was waited for"
    at, words = tried.said[0]
    assert at < 6
    assert "readiness probe" in words
    assert error.reason == "workload.probe_failing"
    assert "0 of 1 replicas" in error.message
    assert "503" in error.message
    assert "ready_timeout_seconds" in error.remedy
    assert 8 <= tried.seconds < 11


def test_a_version_too_large_for_every_node_names_the_field_to_lower() -> None:
    with trial(unschedulable_patience_seconds=1) as tried:
        error = tried.failure(cpu_cores=1000)
    assert error.reason == "workload.unschedulable"
    assert "Insufficient cpu" in error.message
    assert "0/3 nodes are available" in error.message
    assert "deployment.cpu_cores" in error.remedy
    assert tried.seconds < 8


def test_a_node_selector_that_no_node_has_leads_to_the_platform_block() -> None:
    with trial(unschedulable_patience_seconds=1, node_selector={"pool": "none"}) as tried:
        error = tried.failure()
    assert error.reason == "workload.unschedulable"
    assert "selector" in error.message
    assert "node_selector" in error.remedy
    assert tried.seconds < 8


def test_a_version_with_a_graphics_processor_runs_where_there_are_some() -> None:
    with trial() as tried:
        tried.start(gpu_cores=1)
        pods, _ = tried.place.admin.list(POD, version_selector("fraud", "v1"))
    assert [pod["spec"]["nodeName"] for pod in pods] == ["aks-gpu-0"]


def test_without_its_toleration_the_taint_of_the_gpu_node_is_what_is_to_be_tolerated() -> None:
    with trial(
        unschedulable_patience_seconds=1, gpu_tolerations=(Toleration("other", "x"),)
    ) as tried:
        error = tried.failure(gpu_cores=1)
    assert error.reason == "workload.unschedulable"
    assert "untolerated taint" in error.message
    assert "Insufficient nvidia.com/gpu" in error.message
    assert "preemption" not in error.message
    assert "claims" not in error.message
    assert "gpu_tolerations" in error.remedy
    assert tried.seconds < 8


def test_a_quota_on_pods_is_told_within_seconds() -> None:
    with trial() as tried:
        tried.quota(pods="0")
        error = tried.failure()
    assert error.reason == "workload.quota_exceeded"
    assert "exceeded quota: tight" in error.message
    assert "num_replicas" in error.remedy
    assert tried.seconds < 10


def test_a_quota_on_services_is_told_by_the_first_write() -> None:
    with trial() as tried:
        tried.quota(services="0")
        began = time.monotonic()
        with pytest.raises(PermanentError) as raised:
            tried.workloads.apply("fraud", made())
    assert raised.value.reason == "kubernetes.quota_exceeded"
    assert "exceeded quota: tight" in raised.value.message
    assert time.monotonic() - began < 10


def test_pods_are_admitted_where_only_restricted_ones_are() -> None:
    with trial() as tried:
        tried.place.admin.patch(
            NAMESPACE,
            tried.place.namespace,
            {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}},
        )
        assert tried.start().is_ready()


def test_a_deployment_that_somebody_deletes_meanwhile_is_missed_at_once() -> None:
    with trial() as tried:

        def delete() -> None:
            eventually(lambda: tried.said)
            tried.place.admin.delete(DEPLOYMENT, of_version("fraud", "v1"))

        somebody = threading.Thread(target=delete)
        somebody.start()
        error = tried.failure("registry.example/never-ready:1")
        somebody.join()
    assert error.reason == "workload.missing"
    assert "somebody removed it" in error.message
    assert tried.seconds < 10
