"""What runs of a version, read off its Deployment and pods. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from weir.kubernetes.diagnosis import diagnose, replica_of
from weir.kubernetes.kinds import Object, name_of
from weir.kubernetes.version_manifests import REPLICAS
from weir.ports import WorkloadStatus


def status_of(
    version: str,
    deployment: Mapping[str, Any] | None,
    pods: Sequence[Object],
    *,
    replica_sets: Sequence[Object] = (),
    events: Sequence[Object] = (),
    now: datetime,
    unschedulable_patience_seconds: float,
    unschedulable_seconds: Mapping[str, float] | None = None,
) -> WorkloadStatus | None:
    """None without a Deployment and pods; without a Deployment the pods are leaving.

    ``now`` is the cluster's time; ``unschedulable_seconds`` as for ``diagnose``.
    """
    replicas = tuple(replica_of(pod) for pod in sorted(pods, key=name_of))
    if deployment is None:
        return WorkloadStatus(version, 0, replicas) if replicas else None
    desired = desired_replicas(deployment)
    if is_rolled_out(deployment):
        return WorkloadStatus(version, desired, replicas)
    finding = diagnose(
        deployment,
        replica_sets,
        pods,
        events,
        now=now,
        unschedulable_patience_seconds=unschedulable_patience_seconds,
        unschedulable_seconds=unschedulable_seconds,
    )
    if finding is None:
        return WorkloadStatus(version, desired, replicas, settled=False)
    return WorkloadStatus(
        version,
        desired,
        replicas,
        failed=finding.words if finding.final else "",
        reason=finding.reason,
        remedy=finding.remedy,
        hint=finding.words,
        settled=False,
    )


def desired_replicas(deployment: Mapping[str, Any]) -> int:
    """Replicas that the version has to have now: an autoscaler may want more than it began with."""
    annotations = deployment["metadata"].get("annotations") or {}
    least = str(annotations.get(REPLICAS, ""))
    wanted = deployment.get("spec", {}).get("replicas")
    return max(int(least) if least.isdigit() else 0, 1 if wanted is None else int(wanted))


def is_rolled_out(deployment: Mapping[str, Any]) -> bool:
    """Whether the controller has seen the newest template, and all its replicas are available.

    Those of an earlier template are available as well, and may be all that are: they have to be
    gone from the count.
    """
    status = deployment.get("status") or {}
    desired = desired_replicas(deployment)
    generation = int(deployment["metadata"].get("generation", 0))
    updated = int(status.get("updatedReplicas") or 0)
    return (
        int(status.get("observedGeneration") or 0) >= generation
        and int(status.get("replicas") or 0) <= updated
        and updated >= desired
        and int(status.get("availableReplicas") or 0) >= desired
    )


def cannot_make_pods(deployment: Mapping[str, Any] | None) -> bool:
    """Whether the API server refuses the version's pods, a quota or an admission rule perhaps."""
    conditions = ((deployment or {}).get("status") or {}).get("conditions") or ()
    return any(
        one.get("type") == "ReplicaFailure" and one.get("status") == "True" for one in conditions
    )
