"""The collector's manifests on a real API server, whose nodes may be played."""

from __future__ import annotations

from typing import Any

from kubernetes import utils

from tests.azure.collector import KEY, manifest
from tests.eventually import eventually
from tests.kubernetes import at_hand
from weir.kubernetes.kinds import DEPLOYMENT, NAMESPACE, POD, SECRET

NAME = "weir-collector"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
"""Pods that ask for more than the Pod Security Standard allows are refused."""


def test_a_strict_cluster_takes_the_manifests_and_starts_two_replicas() -> None:
    at_hand.require_cluster()
    at_hand.require_played_nodes()
    with at_hand.place() as place:
        place.admin.patch(NAMESPACE, place.namespace, {"metadata": {"labels": RESTRICTED}})
        secret = SECRET.object(NAME, {})
        place.admin.create(
            {**secret, "stringData": {"connection-string": f"InstrumentationKey={KEY}"}}
        )
        for thing in manifest().values():
            thing["metadata"]["namespace"] = place.namespace
            utils.create_from_dict(place.connection, thing, field_validation="Strict")

        def ready() -> Any:
            found = place.admin.get(DEPLOYMENT, NAME)
            return found and found.get("status", {}).get("readyReplicas") == 2

        eventually(ready)
        labels = manifest()["Service"]["spec"]["selector"]
        pods, _ = place.admin.list(POD, labels)
        assert len(pods) == 2
