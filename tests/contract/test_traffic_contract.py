"""What every adapter of ``Traffic`` has to do, in memory and with a real Envoy."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.builders import endpoint, version
from tests.fakes.traffic import FakeTraffic
from tests.kubernetes import at_hand
from weir.clock import SystemClock
from weir.endpoint import Endpoint, Split
from weir.errors import PermanentError
from weir.kubernetes.traffic import KubernetesTraffic
from weir.kubernetes.workloads import KubernetesWorkloads
from weir.local.gateway import LocalTraffic
from weir.local.supervisor import stop_everything
from weir.ports import Traffic, Workloads
from weir.readiness import wait_until_ready


class Subject:
    """An adapter, and what runs the versions that traffic is sent to."""

    def __init__(self, traffic: Traffic, workloads: Workloads | None = None) -> None:
        self.traffic = traffic
        self._workloads = workloads

    def run(self, endpoint: Endpoint) -> None:
        """The endpoint's versions have ready replicas, where the adapter asks for that."""
        for one in endpoint.versions if self._workloads else ():
            self._workloads.apply(endpoint.name, one.model_copy(update={"image": at_hand.image()}))
            wait_until_ready(
                self._workloads, endpoint.name, one.name, timeout_seconds=30, clock=SystemClock()
            )


@pytest.fixture(params=["fake", "local", "kubernetes"], scope="module")
def subject(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Subject]:
    if request.param == "fake":
        yield Subject(FakeTraffic(now=datetime.now(UTC)))
        return
    if request.param == "kubernetes":
        with at_hand.place() as place:
            api = place.api()
            yield Subject(
                KubernetesTraffic(api, place.settings), KubernetesWorkloads(api, place.settings)
            )
        return
    home: Path = tmp_path_factory.mktemp("home")
    try:
        yield Subject(LocalTraffic(home))
    finally:
        stop_everything(home)


@pytest.fixture
def traffic(subject: Subject) -> Traffic:
    return subject.traffic


@pytest.fixture
def fraud(subject: Subject) -> Iterator[Endpoint]:
    """An endpoint with a gateway and two versions, the control at 100 %."""
    built = subject.traffic.ensure(endpoint("fraud").control("v1").treatment("v2").build())
    subject.run(built)
    subject.traffic.apply(built)
    yield built
    subject.traffic.remove("fraud")


def test_an_endpoint_without_a_gateway_has_neither_split_nor_address(traffic: Traffic) -> None:
    assert traffic.split("nowhere") is None
    assert traffic.scoring_uri("nowhere") is None


def test_a_gateway_needs_no_version(traffic: Traffic) -> None:
    empty = traffic.ensure(endpoint("empty").build())
    try:
        assert empty.port
        assert traffic.split("empty") is None
        uri = traffic.scoring_uri("empty")
        assert uri is not None
        assert uri.startswith("http://")
        assert uri.endswith("/score")
    finally:
        traffic.remove("empty")


def test_ensuring_again_keeps_the_port_and_the_split(traffic: Traffic, fraud: Endpoint) -> None:
    without_port = fraud.model_copy(update={"port": None})
    assert traffic.ensure(without_port).port == fraud.port
    assert traffic.split("fraud") == fraud.split


def test_a_split_is_effective_when_apply_returns(traffic: Traffic, fraud: Endpoint) -> None:
    for percentile in (5, 25, 0.01, 100):
        wanted = Split.of({"v1": round(100 - percentile, 2), "v2": percentile})
        traffic.apply(fraud.with_split(wanted))
        assert traffic.split("fraud") == wanted


def test_the_instant_is_of_this_call_and_knows_its_zone(traffic: Traffic, fraud: Endpoint) -> None:
    at = traffic.apply(fraud.with_split(Split.of({"v1": 50, "v2": 50})))
    assert at.utcoffset() is not None
    assert abs((at - datetime.now(UTC)).total_seconds()) < 5 or isinstance(traffic, FakeTraffic)


def test_applying_twice_is_applying_once(traffic: Traffic, fraud: Endpoint) -> None:
    traffic.apply(fraud)
    traffic.apply(fraud)
    assert traffic.split("fraud") == fraud.split


def test_versions_come_and_go(subject: Subject, traffic: Traffic, fraud: Endpoint) -> None:
    more = fraud.with_version(version("v3")).with_split(Split.of({"v1": 90, "v3": 10}))
    subject.run(more)
    traffic.apply(more)
    assert traffic.split("fraud") == more.split
    fewer = more.with_split(Split.everything_to("v1")).without_version("v3").without_version("v2")
    traffic.apply(fewer)
    assert traffic.split("fraud") == Split.everything_to("v1")


def test_a_version_is_withdrawn_before_it_is_forgotten(traffic: Traffic, fraud: Endpoint) -> None:
    fewer = fraud.without_version("v2")
    for change in (traffic.withdraw, traffic.withdraw, traffic.apply):
        assert change(fewer).utcoffset() is not None
        assert traffic.split("fraud") == Split.everything_to("v1")


def test_keys_stay_and_are_the_endpoints_own(traffic: Traffic, fraud: Endpoint) -> None:
    keys = traffic.keys(fraud.name)
    assert keys == traffic.keys(fraud.name)
    assert keys.primary != keys.secondary
    assert keys.primary not in repr(keys)
    traffic.ensure(endpoint("other").build())
    try:
        assert traffic.keys("other").primary != keys.primary
    finally:
        traffic.remove("other")


def test_a_split_for_an_endpoint_without_a_gateway_is_refused(traffic: Traffic) -> None:
    with pytest.raises(PermanentError) as raised:
        traffic.apply(endpoint("nowhere").control("v1").build())
    assert raised.value.reason == "gateway.unknown"


def test_nobody_else_has_changed_anything(traffic: Traffic, fraud: Endpoint) -> None:
    assert traffic.reclaim("fraud") == ()
    assert traffic.trouble("fraud") == ""


def test_removing_forgets_and_may_be_repeated(traffic: Traffic) -> None:
    traffic.ensure(endpoint("gone").control("v1").build())
    traffic.remove("gone")
    traffic.remove("gone")
    assert traffic.split("gone") is None
    assert traffic.scoring_uri("gone") is None
