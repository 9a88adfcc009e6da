"""Objects of a cluster, as its API gives them in JSON, with what a test is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
IMAGE = "shop.azurecr.io/weir/fraud:abc"
POD = "fraud--v2-7d9-x2k"
SECRET_VALUE = "value-of-an-environment-variable"
Json = dict[str, Any]


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def condition(kind: str, status: str, reason: str = "", message: str = "", **more: Any) -> Json:
    return {"type": kind, "status": status, "reason": reason, "message": message, **more}


def deployment(*conditions: Json, replicas: int = 1, **status: Any) -> Json:
    return {
        "metadata": {
            "name": "fraud--v2",
            "generation": 2,
            "annotations": {"deployment.kubernetes.io/revision": "2"},
        },
        "spec": {"replicas": replicas},
        "status": {"observedGeneration": 2, "conditions": list(conditions), **status},
    }


def replica_set(*conditions: Json, name: str = "fraud--v2-7d9", revision: str = "2") -> Json:
    return {
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "annotations": {"deployment.kubernetes.io/revision": revision},
        },
        "status": {"conditions": list(conditions)},
    }


def waiting(reason: str, message: str = "", name: str = "model", **more: Any) -> Json:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"name": name, "image": IMAGE, "ready": False, "restartCount": 0, "state": state, **more}


def running(name: str = "model", ready: bool = False, **more: Any) -> Json:
    state = {"running": {"startedAt": ago(50)}}
    return {"name": name, "image": IMAGE, "ready": ready, "restartCount": 0, "state": state, **more}


def end(code: int, reason: str = "Error", message: str = "", **more: Any) -> Json:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message, **more}}


def ended(code: int, reason: str = "Error", message: str = "", **more: Any) -> Json:
    return {
        "name": "model",
        "image": IMAGE,
        "ready": False,
        "restartCount": 0,
        "state": end(code, reason, message),
        **more,
    }


def looping(code: int, reason: str = "Error", message: str = "", **more: Any) -> Json:
    """A container in CrashLoopBackOff that ended so before."""
    told = "back-off 40s restarting failed container"
    given = {"restartCount": 3, "lastState": end(code, reason, message), **more}
    return waiting("CrashLoopBackOff", told, **given)


def pod(
    *containers: Json,
    inits: Sequence[Json] = (),
    conditions: Sequence[Json] = (),
    phase: str = "Pending",
    name: str = POD,
    node: str = "aks-1",
    owner: str = "fraud--v2-7d9",
    sidecars: Sequence[str] = ("guard",),
    probes: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    **status: Any,
) -> Json:
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": ago(60),
            "ownerReferences": [{"kind": "ReplicaSet", "name": owner, "uid": f"uid-{owner}"}],
            **(metadata or {}),
        },
        "spec": {
            "nodeName": node,
            "initContainers": [
                {
                    "name": each["name"],
                    "image": each["image"],
                    **({"restartPolicy": "Always"} if each["name"] in sidecars else {}),
                }
                for each in inits
            ],
            "containers": [
                {
                    "name": each["name"],
                    "image": each["image"],
                    "env": [{"name": "TOKEN", "value": SECRET_VALUE}],
                    **(probes or {}),
                }
                for each in containers
            ],
        },
        "status": {
            "phase": phase,
            "conditions": list(conditions),
            "initContainerStatuses": list(inits),
            "containerStatuses": list(containers),
            **status,
        },
    }


def ready_pod(**given: Any) -> Json:
    ready = [condition("Ready", "True")]
    return pod(running(ready=True), conditions=ready, phase="Running", **given)


def event(
    reason: str,
    message: str = "",
    *,
    kind: str = "Pod",
    name: str = POD,
    container: str = "",
    seconds_ago: float = 10,
    count: int = 1,
) -> Json:
    path = {"fieldPath": f"spec.containers{{{container}}}"} if container else {}
    return {
        "involvedObject": {"kind": kind, "name": name, **path},
        "reason": reason,
        "message": message,
        "count": count,
        "lastTimestamp": ago(seconds_ago),
    }
