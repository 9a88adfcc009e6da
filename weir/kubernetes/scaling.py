"""Who says how many replicas a version has: its release file, or an autoscaler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weir.kubernetes import names
from weir.kubernetes.api import Api
from weir.kubernetes.kinds import AUTOSCALER, DEPLOYMENT, Object, name_of
from weir.spec.deployment import Deployment


class Scaling:
    """Hands the number of replicas from one to the other; no replica ends for that.

    An autoscaler's number is not weir's: another field manager says it, once, and only raises it.
    """

    def __init__(self, api: Api) -> None:
        self._api = api

    def prepare(self, name: str, wanted: Deployment) -> None:
        """Before the Deployment is applied: its present number outlasts a change of its owner."""
        if wanted.autoscales():
            present = self._api.get(DEPLOYMENT, name)
            if present is not None and _owns_number(present, names.MANAGER):
                self._say(name, max(_number(present), wanted.initial_replicas()))
        elif self._autoscaler(name) is not None:
            self._say(name, wanted.initial_replicas())

    def complete(self, applied: Object, wanted: Deployment) -> None:
        """After it: an autoscaled version has its lower bound, a fixed one no autoscaler."""
        name = name_of(applied)
        if wanted.autoscales():
            if _number(applied) < wanted.initial_replicas():
                # The autoscaler would come to it by itself, but a quarter of a minute later.
                self._say(name, wanted.initial_replicas())
            return
        if _owns_number(applied, names.STARTER):
            self._say(name, None)
        if self._autoscaler(name) is not None:
            self._api.delete(AUTOSCALER, name)

    def _autoscaler(self, name: str) -> Object | None:
        """The one that weir made."""
        found = self._api.get(AUTOSCALER, name)
        is_ours = found is not None and names.VERSION in found["metadata"].get("labels", {})
        return found if is_ours else None

    def _say(self, name: str, replicas: int | None) -> None:
        """The number, or nothing about it any more."""
        manifest: Object = {
            "apiVersion": DEPLOYMENT.version,
            "kind": DEPLOYMENT.name,
            "metadata": {"name": name},
        }
        if replicas is not None:
            manifest["spec"] = {"replicas": replicas}
        self._api.apply(manifest, force=True, manager=names.STARTER)


def _number(deployment: Mapping[str, Any]) -> int:
    return int(deployment["spec"].get("replicas", 1))


def _owns_number(deployment: Mapping[str, Any], manager: str) -> bool:
    return any(
        entry.get("manager") == manager
        and "f:replicas" in (entry.get("fieldsV1") or {}).get("f:spec", {})
        for entry in deployment["metadata"].get("managedFields") or ()
    )
