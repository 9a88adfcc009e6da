"""The objects of one version, as manifests. Pure; the same input gives the same text."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping

from weir.endpoint import Version
from weir.envoy.guard import GUARD_PORT, GuardSettings, guard_files
from weir.kubernetes import names
from weir.kubernetes.kinds import (
    AUTOSCALER,
    CONFIG_MAP,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
    Object,
)
from weir.kubernetes.pod import MODEL, pod_template
from weir.kubernetes.settings import ClusterSettings

REPLICAS = "weir/replicas"
"""Annotation of a Deployment: the replicas that have to be ready before the version is."""

SERVICE_PORT = 80
_KEPT_REPLICA_SETS = 2


def service(endpoint: str, version: Version) -> Object:
    """The version's root: whatever else belongs to the version is owned by its Service."""
    found = _begun(SERVICE, endpoint, version)
    found["spec"] = {
        "type": "ClusterIP",
        "selector": names.version_selector(endpoint, version.name),
        "ports": [
            {
                "name": "http",
                "port": SERVICE_PORT,
                "targetPort": GUARD_PORT,
                "protocol": "TCP",
                "appProtocol": "http",
            }
        ],
    }
    return found


def dependents(endpoint: str, version: Version, settings: ClusterSettings) -> tuple[Object, ...]:
    """What the Service owns, in the order in which it is made."""
    files = guard_files(
        version,
        GuardSettings(
            endpoint=endpoint,
            path_prefix=settings.path_prefix(endpoint),
            collector=settings.collector,
        ),
    )
    account = _begun(SERVICE_ACCOUNT, endpoint, version)
    account["automountServiceAccountToken"] = False
    configuration = _begun(CONFIG_MAP, endpoint, version)
    configuration["data"] = dict(files)
    scaled = (_autoscaler(endpoint, version),) if version.deployment.autoscales() else ()
    return (
        account,
        configuration,
        _deployment(endpoint, version, settings, _digest(files)),
        *scaled,
        _disruption_budget(endpoint, version),
    )


def owned_by(manifest: Object, owner: Object | None) -> Object:
    """``manifest``, to be removed together with ``owner``, an object that the server has."""
    if owner is None:
        return manifest
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "blockOwnerDeletion": True,
    }
    return {**manifest, "metadata": {**manifest["metadata"], "ownerReferences": [reference]}}


def _deployment(
    endpoint: str, version: Version, settings: ClusterSettings, guard_digest: str
) -> Object:
    deployment = version.deployment
    annotations = {
        REPLICAS: str(deployment.initial_replicas()),
        "weir/release": version.release,
        "weir/model": version.model,
        "weir/description": deployment.description,
        "weir/tags": _as_json(deployment.tags),
        "weir/properties": _as_json(deployment.properties),
    }
    found = DEPLOYMENT.object(
        names.of_version(endpoint, version.name),
        names.version_labels(endpoint, version.name),
        {name: text for name, text in annotations.items() if text},
    )
    found["spec"] = {
        "selector": {"matchLabels": names.version_selector(endpoint, version.name)},
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"},
        },
        "progressDeadlineSeconds": math.ceil(deployment.ready_timeout_seconds),
        "revisionHistoryLimit": _KEPT_REPLICA_SETS,
        "template": pod_template(endpoint, version, settings, guard_digest),
    }
    if deployment.num_replicas is not None:
        # An autoscaler's number is its own.
        found["spec"]["replicas"] = deployment.num_replicas
    return found


def _autoscaler(endpoint: str, version: Version) -> Object:
    """CPU of the model server stands for its utilisation; the cluster's own period is kept."""
    deployment = version.deployment
    name = names.of_version(endpoint, version.name)
    found = _begun(AUTOSCALER, endpoint, version)
    found["spec"] = {
        "scaleTargetRef": {"apiVersion": DEPLOYMENT.version, "kind": DEPLOYMENT.name, "name": name},
        "minReplicas": deployment.autoscale_min_replicas,
        "maxReplicas": deployment.autoscale_max_replicas,
        "metrics": [
            {
                "type": "ContainerResource",
                "containerResource": {
                    "name": "cpu",
                    "container": MODEL,
                    "target": {
                        "type": "Utilization",
                        "averageUtilization": deployment.autoscale_target_utilization,
                    },
                },
            }
        ],
    }
    return found


def _disruption_budget(endpoint: str, version: Version) -> Object:
    """One at a time, also of a single replica: a node could never be drained otherwise."""
    found = _begun(DISRUPTION_BUDGET, endpoint, version)
    found["spec"] = {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": names.version_selector(endpoint, version.name)},
    }
    return found


def _begun(kind: Kind, endpoint: str, version: Version) -> Object:
    name = names.of_version(endpoint, version.name)
    return kind.object(name, names.version_labels(endpoint, version.name))


def _digest(files: Mapping[str, str]) -> str:
    return hashlib.sha256(_as_json(files).encode()).hexdigest()[:16]


def _as_json(pairs: Mapping[str, str]) -> str:
    return json.dumps(dict(pairs), sort_keys=True) if pairs else ""
