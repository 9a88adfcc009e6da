"""The cluster itself: reached, new enough, with the Gateway API and a namespace to work in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from weir.errors import PermanentError, WeirError
from weir.kubernetes.api import Api
from weir.kubernetes.kinds import GATEWAY_CLASS, NAMESPACE
from weir.kubernetes.objects import condition_said
from weir.kubernetes.route_manifests import condition, namespace
from weir.kubernetes.settings import ClusterSettings
from weir.ports import ClusterStatus, Say, unsaid

OLDEST = (1, 30)
"""Sidecars that end after the model server, and a pause before its end, are there since then."""


class KubernetesClusters:
    """Implements ``Clusters``: attaches to a cluster that is there. It makes no cluster."""

    def __init__(self, api: Api, settings: ClusterSettings) -> None:
        self._api, self._settings = api, settings
        self._is_fit = False

    def status(self) -> ClusterStatus:
        try:
            version = self._version()
        except WeirError as error:
            return ClusterStatus(self._api.where, ready=False, message=str(error))
        return ClusterStatus(self._api.where, ready=True, message=f"Kubernetes {version}")

    def check(self) -> tuple[str, ...]:
        """See Clusters. Raises what ``ensure`` raises."""
        self._require_fit()
        if self._has_namespace():
            return ()
        return (f"+ Namespace {self._settings.namespace}",)

    def ensure(self, say: Say = unsaid) -> ClusterStatus:
        """See Clusters; the namespace is made when the settings say so.

        What does not change while a process lives is looked at once. Raises PermanentError
        ``kubernetes.too_old``, ``kubernetes.no_gateway_api``, ``gateway.class_missing``,
        ``gateway.class_refused``, ``kubernetes.namespace_missing`` or
        ``kubernetes.namespace_terminating``.
        """
        if not self._is_fit:
            say(f"looking whether the {self._api.where} is fit")
            self._require_fit()
            self._is_fit = True
        if not self._has_namespace():
            self._api.apply(namespace(self._settings))
        return ClusterStatus(self._api.where, ready=True)

    def _require_fit(self) -> None:
        self._require_version()
        if self._settings.shared_gateway is None:
            self._require_class()
        else:
            self._require_gateway_api()

    def _version(self) -> str:
        return str(self._api.read("/version", "read its version").get("gitVersion", ""))

    def _require_version(self) -> None:
        version = self._version()
        found = re.match(r"v?(\d+)\.(\d+)", version)
        if found is not None and (int(found[1]), int(found[2])) < OLDEST:
            raise PermanentError(
                "kubernetes.too_old",
                f"the cluster runs Kubernetes {version}, {OLDEST[0]}.{OLDEST[1]} or newer is"
                " needed.",
                remedy="Upgrade the cluster.",
                where=self._api.where,
            )

    def _require_gateway_api(self) -> None:
        """A question that any answer but 404 is good enough for."""
        self._api.get(GATEWAY_CLASS, self._settings.gateway_class)

    def _require_class(self) -> None:
        wanted = self._settings.gateway_class
        found = self._api.get(GATEWAY_CLASS, wanted)
        if found is None:
            there, _ = self._api.list(GATEWAY_CLASS)
            known = ", ".join(str(one["metadata"]["name"]) for one in there) or "none"
            raise PermanentError(
                "gateway.class_missing",
                f"the cluster has no GatewayClass {wanted}; there is {known}.",
                remedy="Correct gateway_class in the platform block, or install the class; on AKS"
                " the application routing add-on brings approuting-istio.",
                where=self._api.where,
            )
        accepted = condition(found, "Accepted")
        if accepted is not None and accepted.get("status") == "False":
            raise PermanentError(
                "gateway.class_refused",
                f"GatewayClass {wanted} is refused by its controller: {condition_said(accepted)}.",
                remedy="Correct the class, or choose another one in the platform block.",
                where=self._api.where,
            )

    def _has_namespace(self) -> bool:
        """False where it is to be made."""
        found = self._found_namespace()
        if found is not None and found.get("status", {}).get("phase") == "Terminating":
            raise PermanentError(
                "kubernetes.namespace_terminating",
                f"namespace {self._settings.namespace} is being deleted.",
                remedy="Wait until it is gone, then release again; or choose another namespace in"
                " the platform block.",
                where=self._api.where,
            )
        if found is None and not self._settings.create_namespace:
            raise PermanentError(
                "kubernetes.namespace_missing",
                f"there is no namespace {self._settings.namespace}.",
                remedy=f"Make it (kubectl create namespace {self._settings.namespace}), or set"
                " create_namespace in the platform block.",
                where=self._api.where,
            )
        return found is not None

    def _found_namespace(self) -> Mapping[str, Any] | None:
        """The namespace; an empty one where weir may not look, and so takes it to be there."""
        try:
            return self._api.get(NAMESPACE, self._settings.namespace)
        except WeirError as error:
            if error.reason == "kubernetes.forbidden":
                return {}
            raise
