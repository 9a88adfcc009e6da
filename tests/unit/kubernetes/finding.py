"""What diagnosis finds in the objects of a test."""

from __future__ import annotations

from typing import Any

from tests.unit.kubernetes.objects import (
    NOW,
    SECRET_VALUE,
    Json,
    ago,
    condition,
    deployment,
    pod,
)
from weir.kubernetes.diagnosis import Finding, diagnose


def found(
    *pods: Json,
    of: Json | None = None,
    replica_sets: tuple[Json, ...] = (),
    events: tuple[Json, ...] = (),
    patience_seconds: float = 20,
    watched_seconds: dict[str, float] | None = None,
) -> Finding | None:
    return diagnose(
        deployment() if of is None else of,
        replica_sets,
        pods,
        events,
        now=NOW,
        unschedulable_patience_seconds=patience_seconds,
        unschedulable_seconds=watched_seconds,
    )


def finding(*pods: Json, **given: Any) -> Finding:
    it = found(*pods, **given)
    assert it is not None
    assert it.words
    assert not it.words.endswith(".")
    assert "\n" not in it.words
    assert it.remedy.endswith(".")
    assert SECRET_VALUE not in it.words + it.remedy
    return it


def unschedulable(
    message: str = "0/3 nodes are available: 3 Insufficient cpu.", **more: Any
) -> Json:
    given = {"lastTransitionTime": ago(30), **more}
    return pod(conditions=[condition("PodScheduled", "False", "Unschedulable", message, **given)])
