"""What must not go wrong when somebody else, or another block, has its hands in the cluster."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.builders import endpoint
from tests.eventually import eventually
from tests.kubernetes.test_ownership import both, shop
from weir.endpoint import Split
from weir.errors import PermanentError, StateConflict, TemporaryError
from weir.kubernetes import names
from weir.kubernetes.kinds import DEPLOYMENT, GATEWAY, ROUTE, SECRET, SERVICE, Object
from weir.kubernetes.settings import SharedGateway
from weir.kubernetes.traffic import KubernetesTraffic

pytestmark = pytest.mark.kubernetes

HALF = endpoint("fraud").control("v1").treatment("v2", 50).build()
BACK = HALF.with_split(Split.everything_to("v1"))


def applied_by(manager: str, **parts: object) -> tuple[Object, dict[str, object]]:
    """A part of the route as another field manager would have it."""
    manifest: Object = {"apiVersion": ROUTE.version, "kind": ROUTE.name}
    return {**manifest, **parts}, {"manager": manager, "force": True}


@pytest.mark.parametrize(
    "other",
    [
        {"shared_gateway": SharedGateway("public", "infra")},
        {"host_suffix": "models.example.com"},
        {"token_issuer": "https://issuer.example", "token_audiences": ("a",), "token_jwks": "{}"},
        {"gateway_class": "another"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_block_cannot_take_callers_away(other: dict[str, object]) -> None:
    with shop() as there:
        there.opened(HALF)
        before = there.there(ROUTE, "fraud")["spec"], there.there(SECRET, "fraud.keys")["data"]
        stranger = KubernetesTraffic(there.place.api(), replace(there.place.settings, **other))
        for act in (stranger.apply, stranger.ensure):
            with pytest.raises(PermanentError) as raised:
                act(BACK)
            assert raised.value.reason == "platform.differs"
            assert next(iter(other)).removeprefix("shared_").split("_")[0] in raised.value.message
        after = there.there(ROUTE, "fraud")["spec"], there.there(SECRET, "fraud.keys")["data"]
        assert after == before


def test_objects_of_the_name_that_are_somebody_elses_are_neither_taken_nor_removed() -> None:
    with shop() as there:
        theirs = {"metadata": {"name": "fraud"}, "spec": {"parentRefs": [{"name": "public"}]}}
        route, how = applied_by("them", **theirs)
        there.admin.apply(route, **how)
        with pytest.raises(PermanentError) as raised:
            there.traffic.ensure(HALF)
        assert raised.value.reason == "gateway.name_taken"
        assert there.traffic.scoring_uri("fraud") is None
        there.traffic.remove("fraud")
        assert there.there(ROUTE, "fraud")["spec"]["parentRefs"][0]["name"] == "public"
        there.admin.delete(ROUTE, "fraud")

        gateway = GATEWAY.object("fraud", {})
        listener = {"name": "http", "port": 80, "protocol": "HTTP"}
        gateway["spec"] = {"gatewayClassName": "approuting-istio", "listeners": [listener]}
        there.admin.apply(gateway, manager="them")
        with pytest.raises(PermanentError) as raised:
            there.traffic.ensure(HALF)
        assert raised.value.reason == "gateway.name_taken"
        there.traffic.remove("fraud")
        assert there.there(GATEWAY, "fraud")["spec"]["listeners"][0]["name"] == "http"


def test_labels_and_parents_of_others_do_not_keep_a_split_from_changing() -> None:
    with shop() as there:
        there.opened(HALF)
        label, how = applied_by(
            "argocd",
            metadata={"name": "fraud", "labels": {"app.kubernetes.io/instance": "shop"}},
        )
        there.admin.apply(label, **how)
        there.traffic.apply(BACK)
        assert str(there.traffic.split("fraud")) == "v1 100 %"


def test_a_rollback_goes_through_without_the_keys_secret() -> None:
    with shop() as there:
        there.opened(HALF)
        there.admin.delete(SECRET, "fraud.keys")
        fresh = KubernetesTraffic(there.place.api(), there.place.settings)
        fresh.apply(BACK)
        assert str(fresh.split("fraud")) == "v1 100 %"
        assert "keys' Secret is gone" in fresh.trouble("fraud")


def test_a_rollback_goes_through_without_the_treatments_service() -> None:
    with shop() as there:
        there.opened(HALF)
        there.admin.delete(SERVICE, names.of_version("fraud", "v2"))
        eventually(lambda: there.workloads.versions("fraud") == ("v1",))
        there.traffic.apply(BACK)
        assert str(there.traffic.split("fraud")) == "v1 100 %"
        assert there.traffic.trouble("fraud") == ""


def test_a_control_without_replicas_gets_traffic_on_a_persons_word_only() -> None:
    with shop() as there:
        there.opened(HALF)
        name = names.of_version("fraud", "v1")
        there.admin.patch(DEPLOYMENT, name, {"spec": {"replicas": 0}})
        eventually(lambda: not there.there(DEPLOYMENT, name)["status"].get("availableReplicas"))
        with pytest.raises(TemporaryError) as raised:
            there.traffic.apply(BACK)
        assert raised.value.reason == "version.not_ready"
        assert there.traffic.split("fraud") == both(50, 50)
        there.traffic.reclaim("fraud")
        there.traffic.apply(BACK)
        assert str(there.traffic.split("fraud")) == "v1 100 %"


def test_a_process_that_slept_cannot_undo_what_a_later_document_wanted() -> None:
    with shop() as there:
        there.opened(HALF)
        there.traffic.apply(HALF, 12)
        sleeper = KubernetesTraffic(there.place.api(), there.place.settings)
        with pytest.raises(StateConflict) as raised:
            sleeper.apply(BACK, 7)
        assert raised.value.reason == "gateway.told_by_newer"
        assert there.traffic.split("fraud") == both(50, 50)
        sleeper.apply(BACK, 13)
        assert str(sleeper.split("fraud")) == "v1 100 %"
