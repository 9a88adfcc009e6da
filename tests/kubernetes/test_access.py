"""Clusters that do not let weir in, or cannot be reached."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.builders import version
from tests.eventually import eventually
from tests.kubernetes import at_hand
from tests.kubernetes.cluster.certificates import Authority
from tests.kubernetes.refusing import refused
from weir.clock import SystemClock
from weir.errors import PermanentError, UserError, WeirError
from weir.kubernetes.api import Api
from weir.kubernetes.clusters import KubernetesClusters
from weir.kubernetes.connection import Access, connect
from weir.kubernetes.kinds import (
    SERVICE_ACCOUNT,
    Kind,
)
from weir.kubernetes.state import KubernetesState
from weir.kubernetes.workloads import KubernetesWorkloads
from weir.readiness import wait_until_ready

pytestmark = pytest.mark.kubernetes


ROLE = Kind("rbac.authorization.k8s.io/v1", "Role", "roles")


def changed(access: Access, change: Callable[[dict[str, Any], dict[str, Any]], object]) -> Access:
    """The same access with another cluster or user in its kubeconfig."""
    document = yaml.safe_load(access.kubeconfig_text)
    change(document["clusters"][0]["cluster"], document["users"][0]["user"])
    return Access(kubeconfig_text=yaml.safe_dump(document))


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
