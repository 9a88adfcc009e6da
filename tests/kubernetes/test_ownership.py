"""Who owns which field: what others set stays, and what they change is never overwritten."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.builders import endpoint, version
from tests.eventually import eventually
from tests.kubernetes import at_hand
from tests.kubernetes.at_hand import Place
from weir.clock import SystemClock
from weir.endpoint import Endpoint, Split, Version
from weir.errors import PermanentError
from weir.kubernetes import names
from weir.kubernetes.kinds import (
    AUTOSCALER,
    CONFIG_MAP,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    GATEWAY,
    POD,
    ROUTE,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
    Object,
)
from weir.kubernetes.traffic import KubernetesTraffic
from weir.kubernetes.workloads import KubernetesWorkloads
from weir.readiness import wait_until_ready

pytestmark = pytest.mark.kubernetes

V1 = names.of_version("fraud", "v1")
MERGE = "application/merge-patch+json"


class Shop:
    """An endpoint in a namespace of its own, and others who change things there."""

    def __init__(self, place: Place) -> None:
        self.place, self.admin = place, place.admin
        api = place.api()
        self.workloads = KubernetesWorkloads(api, place.settings)
        self.traffic = KubernetesTraffic(api, place.settings)

    def run(self, *versions: Version) -> None:
        for one in versions:
            self.workloads.apply("fraud", one)
            wait_until_ready(
                self.workloads, "fraud", one.name, timeout_seconds=60, clock=SystemClock()
            )

    def opened(self, built: Endpoint) -> Endpoint:
        """The endpoint serves, with its versions ready."""
        ready = self.traffic.ensure(built)
        self.run(*ready.versions)
        self.traffic.apply(ready)
        return ready

    def changed(self, kind: Kind, name: str, change: Object, manager: str, part: str = "") -> None:
        """A merge patch as another field manager."""
        self.admin._json(
            "patch",
            "PATCH",
            kind.path(self.place.namespace, name) + part,
            f"change {name}",
            query=[("fieldManager", manager)],
            body=change,
            content_type=MERGE,
        )

    def there(self, kind: Kind, name: str) -> Object:
        found = self.admin.get(kind, name)
        assert found is not None
        return found

    def replicas(self) -> int:
        return int(self.there(DEPLOYMENT, V1)["spec"]["replicas"])

    def weights(self, *weights: int) -> None:
        """Somebody edits the split by hand."""
        rules = self.there(ROUTE, "fraud")["spec"]["rules"]
        for backend, weight in zip(rules[-1]["backendRefs"], weights, strict=True):
            backend["weight"] = weight
        self.changed(ROUTE, "fraud", {"spec": {"rules": rules}}, "kubectl-edit")


@contextmanager
def shop(**settings: object) -> Iterator[Shop]:
    with at_hand.place(**settings) as place:
        yield Shop(place)


def autoscaled(least: int, most: int = 10) -> Version:
    return version(
        "v1", num_replicas=None, autoscale_min_replicas=least, autoscale_max_replicas=most
    )


def both(first: int, second: int) -> Split:
    return Split.of({"v1": first, "v2": second})


@pytest.mark.parametrize("part", ["", "/scale"])
def test_what_an_autoscaler_has_set_is_left_alone(part: str) -> None:
    with shop() as there:
        there.run(autoscaled(1))
        there.changed(DEPLOYMENT, V1, {"spec": {"replicas": 4}}, "some-autoscaler", part)
        there.workloads.apply("fraud", autoscaled(1))
        assert there.replicas() == 4
        status = there.workloads.status("fraud", "v1")
        assert status is not None
        assert status.desired == 4


def test_an_autoscaled_version_is_ready_with_its_lower_bound_and_no_earlier() -> None:
    with shop() as there:
        there.run(autoscaled(3))
        status = there.workloads.status("fraud", "v1")
        assert status is not None
        assert (status.desired, status.ready()) == (3, 3)


@pytest.mark.slow
def test_the_clusters_own_autoscaler_goes_on_where_weir_began() -> None:
    with shop() as there:
        there.run(autoscaled(2))
        there.workloads.apply("fraud", autoscaled(3))
        there.changed(DEPLOYMENT, V1, {"spec": {"replicas": 1}}, "kubectl", "/scale")
        eventually(lambda: there.replicas() == 3, timeout_seconds=60)
        there.workloads.apply("fraud", autoscaled(3))
        assert there.replicas() == 3


def test_a_fixed_number_that_somebody_scaled_is_a_conflict_that_names_them() -> None:
    with shop() as there:
        there.run(version("v1", num_replicas=2))
        there.changed(DEPLOYMENT, V1, {"spec": {"replicas": 1}}, "kubectl", "/scale")
        with pytest.raises(PermanentError) as raised:
            there.workloads.apply("fraud", version("v1", num_replicas=2))
        assert raised.value.reason == "workload.field_conflict"
        assert "kubectl owns .spec.replicas" in raised.value.message
        assert "managed-fields" in raised.value.remedy
        assert there.replicas() == 1
        (line,) = there.workloads.difference("fraud", version("v1", num_replicas=2))
        assert line.startswith("! ")
        assert "kubectl owns .spec.replicas" in line


def test_a_version_goes_from_a_fixed_number_to_an_autoscaler_without_losing_a_replica() -> None:
    with shop() as there:
        there.run(version("v1", num_replicas=3))
        before = pods_of(there)
        there.workloads.apply("fraud", autoscaled(3))
        assert there.replicas() == 3
        there.run(autoscaled(3))
        assert pods_of(there) == before


def test_a_version_goes_from_an_autoscaler_to_a_fixed_number_and_back_to_another() -> None:
    with shop() as there:
        there.run(autoscaled(2))
        there.changed(
            DEPLOYMENT, V1, {"spec": {"replicas": 4}}, "kube-controller-manager", "/scale"
        )
        there.run(version("v1", num_replicas=3))
        assert there.replicas() == 3
        assert there.admin.get(AUTOSCALER, V1) is None
        there.run(version("v1", num_replicas=2))
        assert there.replicas() == 2


def pods_of(there: Shop) -> set[str]:
    found, _ = there.admin.list(POD, names.version_selector("fraud", "v1"))
    return {one["metadata"]["name"] for one in found if "deletionTimestamp" not in one["metadata"]}


def test_labels_and_annotations_that_others_add_stay() -> None:
    with shop() as there:
        ready = there.opened(endpoint("fraud").control("v1").build())
        added: Object = {"metadata": {"labels": {"team": "risk"}, "annotations": {"budget": "7"}}}
        marked = ((SERVICE, V1), (DEPLOYMENT, V1), (ROUTE, "fraud"), (GATEWAY, "fraud"))
        for kind, name in (*marked, (SECRET, names.of_keys("fraud"))):
            there.changed(kind, name, added, "kubectl-label")
        there.traffic.ensure(ready)
        there.workloads.apply("fraud", ready.versions[0])
        there.traffic.apply(ready)
        there.traffic.rotate_key("fraud", "primary")
        for kind, name in (*marked, (SECRET, names.of_keys("fraud"))):
            metadata = there.there(kind, name)["metadata"]
            assert metadata["labels"]["team"] == "risk"
            assert metadata["annotations"]["budget"] == "7"


def test_a_split_that_somebody_edited_is_shown_and_never_overwritten() -> None:
    with shop() as there:
        ready = there.opened(endpoint("fraud").control("v1").treatment("v2", 10).build())
        there.weights(3000, 7000)
        eventually(lambda: there.traffic.split("fraud") == both(30, 70))
        assert "kubectl-edit" in there.traffic.trouble("fraud")

        with pytest.raises(PermanentError) as raised:
            there.traffic.apply(ready.with_split(both(50, 50)))
        assert raised.value.reason == "gateway.changed_by_others"
        for words in ("kubectl-edit", "v1 30 %, v2 70 %", "v1 50 %, v2 50 %", "Nothing was"):
            assert words in raised.value.message
        assert "weir resume fraud" in raised.value.remedy
        assert there.traffic.split("fraud") == both(30, 70)

        assert there.traffic.reclaim("fraud") == ("kubectl-edit",)
        there.traffic.apply(ready.with_split(both(50, 50)))
        assert there.traffic.split("fraud") == both(50, 50)
        assert there.traffic.trouble("fraud") == ""
        assert there.traffic.reclaim("fraud") == ()


def test_an_edit_right_before_a_change_is_not_overwritten_either() -> None:
    with shop() as there:
        ready = there.opened(endpoint("fraud").control("v1").treatment("v2", 10).build())
        there.weights(3000, 7000)
        with pytest.raises(PermanentError) as raised:
            there.traffic.apply(ready.with_split(both(50, 50)))
        assert raised.value.reason == "gateway.changed_by_others"
        eventually(lambda: there.traffic.split("fraud") == both(30, 70))


def test_a_route_deleted_by_hand_takes_its_gateway_along_and_neither_pods_nor_keys() -> None:
    with shop() as there:
        ready = there.opened(endpoint("fraud").control("v1").treatment("v2", 10).build())
        keys = there.traffic.keys("fraud")
        there.admin.delete(ROUTE, "fraud")
        eventually(lambda: there.admin.get(GATEWAY, "fraud") is None)
        assert there.traffic.split("fraud") is None
        assert there.traffic.scoring_uri("fraud") is None
        assert there.workloads.versions("fraud") == ("v1", "v2")

        there.traffic.ensure(ready)
        assert there.traffic.split("fraud") is None
        there.traffic.apply(ready)
        assert there.traffic.split("fraud") == ready.split
        assert there.traffic.trouble("fraud") == ""
        assert there.traffic.keys("fraud") == keys


def test_removing_everything_of_an_endpoint_leaves_nothing() -> None:
    with shop() as there:
        there.opened(endpoint("fraud").control("v1").treatment("v2", 10).build())
        for name in ("v1", "v2"):
            there.workloads.remove("fraud", name)
        there.traffic.remove("fraud")

        def left() -> list[tuple[str, str]]:
            kinds = (ROUTE, GATEWAY, SECRET, SERVICE, DEPLOYMENT, POD, SERVICE_ACCOUNT)
            kinds = (*kinds, CONFIG_MAP, DISRUPTION_BUDGET)
            return [
                (kind.name, one["metadata"]["name"])
                for kind in kinds
                for one in there.admin.list(kind, {names.ENDPOINT: "fraud"})[0]
            ]

        eventually(lambda: left() == [], every_seconds=0.2)


def test_every_object_says_what_it_is_and_whose() -> None:
    with shop() as there:
        there.opened(
            endpoint("fraud").control("v1", autoscale_enabled=True, num_replicas=None).build()
        )
        ours = {
            ROUTE: "fraud",
            GATEWAY: "fraud",
            SECRET: names.of_keys("fraud"),
        }
        its = (SERVICE, SERVICE_ACCOUNT, CONFIG_MAP, DEPLOYMENT, AUTOSCALER, DISRUPTION_BUDGET)
        pods, _ = there.admin.list(POD, names.version_selector("fraud", "v1"))
        assert pods
        versions = [*(there.there(kind, V1) for kind in its), *pods]
        for one in [*(there.there(kind, name) for kind, name in ours.items()), *versions]:
            labels: dict[str, Any] = one["metadata"]["labels"]
            assert labels["app.kubernetes.io/managed-by"] == "weir"
            assert labels["app.kubernetes.io/part-of"] == "fraud"
            assert labels["app.kubernetes.io/name"]
            assert labels["app.kubernetes.io/instance"]
        for one in versions:
            assert one["metadata"]["labels"]["app.kubernetes.io/version"] == "v1"
            assert one["metadata"]["labels"]["app.kubernetes.io/instance"] == V1
