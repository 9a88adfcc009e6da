"""The kinds of objects that weir works with, and where the API server has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

Object = dict[str, Any]
"""An object as the API gives and takes it: JSON, camelCase."""


@dataclass(frozen=True)
class Kind:
    """``version`` is the API version as in a manifest: v1, apps/v1."""

    version: str
    name: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str, name: str = "") -> str:
        """The path of the collection, or of one object in it."""
        root = f"/apis/{self.version}" if "/" in self.version else f"/api/{self.version}"
        inside = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced else ""
        return f"{root}{inside}/{self.plural}" + (f"/{quote(name, safe='')}" if name else "")

    def object(
        self, name: str, labels: Mapping[str, str], annotations: Mapping[str, str] | None = None
    ) -> Object:
        """The beginning of a manifest."""
        metadata: Object = {"name": name, "labels": dict(labels)}
        if annotations:
            metadata["annotations"] = dict(annotations)
        return {"apiVersion": self.version, "kind": self.name, "metadata": metadata}


NAMESPACE = Kind("v1", "Namespace", "namespaces", namespaced=False)
SERVICE = Kind("v1", "Service", "services")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
SECRET = Kind("v1", "Secret", "secrets")
POD = Kind("v1", "Pod", "pods")
EVENT = Kind("v1", "Event", "events")
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
REPLICA_SET = Kind("apps/v1", "ReplicaSet", "replicasets")
AUTOSCALER = Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
DISRUPTION_BUDGET = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
GATEWAY_API = "gateway.networking.k8s.io"
"""What not every cluster has."""

GATEWAY_CLASS = Kind(f"{GATEWAY_API}/v1", "GatewayClass", "gatewayclasses", namespaced=False)
GATEWAY = Kind(f"{GATEWAY_API}/v1", "Gateway", "gateways")
ROUTE = Kind(f"{GATEWAY_API}/v1", "HTTPRoute", "httproutes")

_ALL = (
    *(NAMESPACE, SERVICE, SERVICE_ACCOUNT, CONFIG_MAP, SECRET, POD, EVENT, DEPLOYMENT),
    *(REPLICA_SET, AUTOSCALER, DISRUPTION_BUDGET, GATEWAY_CLASS, GATEWAY, ROUTE),
)
_BY_NAME = {(kind.version, kind.name): kind for kind in _ALL}


def kind_of(manifest: Mapping[str, Any]) -> Kind:
    """The kind of a manifest. Raises KeyError for one that weir does not make."""
    return _BY_NAME[manifest["apiVersion"], manifest["kind"]]


def name_of(thing: Mapping[str, Any]) -> str:
    return str(thing["metadata"]["name"])


def labels_text(labels: Mapping[str, str]) -> str:
    """A label selector."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def version_number(thing: Mapping[str, Any]) -> int:
    """The resourceVersion, to tell the newer of two states of one object."""
    text = str(thing.get("metadata", {}).get("resourceVersion", ""))
    return int(text) if text.isdigit() else 0
