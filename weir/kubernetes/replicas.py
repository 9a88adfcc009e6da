"""A pod as a replica."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from weir.kubernetes.objects import (
    Container,
    condition,
    containers_of,
    instant,
    is_leaving,
    is_ready,
    name_of,
    number,
    part,
    said,
    text,
)
from weir.ports import Replica, ReplicaState

_NEVER = datetime.min.replace(tzinfo=UTC)


def replica_of(pod: Mapping[str, Any]) -> Replica:
    containers = containers_of(pod)
    state = _state(pod, containers)
    return Replica(
        name=name_of(pod),
        state=state,
        address=text(pod, "status", "podIP"),
        restarts=sum(each.restarts for each in containers),
        last_exit=_last_exit(containers),
        message=_message(pod, containers, state),
    )


def _state(pod: Mapping[str, Any], containers: tuple[Container, ...]) -> ReplicaState:
    if is_leaving(pod):
        return ReplicaState.STOPPING
    if is_ready(pod):
        return ReplicaState.READY
    if any(each.waiting.endswith("BackOff") for each in containers):
        return ReplicaState.BACKING_OFF
    if text(pod, "status", "phase") in ("Failed", "Succeeded", "Unknown"):
        return ReplicaState.UNREADY
    is_unready = any(_is_unready(pod, each) for each in containers if each.lasts)
    return ReplicaState.UNREADY if is_unready else ReplicaState.STARTING


def _is_unready(pod: Mapping[str, Any], container: Container) -> bool:
    """Whether a running container is beyond its start.

    It was ready before when the pod's Ready condition changed after the container started (it is
    false from the beginning); it has started when it passed its startup probe.
    """
    if not container.is_running:
        return False
    ready = condition(pod, "Ready")
    lost_at = instant(ready, "lastTransitionTime") if ready.get("status") == "False" else None
    started_at = instant(container.status, "state", "running", "startedAt")
    if lost_at and started_at and lost_at > started_at:
        return True
    has_started = container.status.get("started") is True and bool(
        part(container.spec, "startupProbe")
    )
    return has_started and not container.is_ready


def _last_exit(containers: tuple[Container, ...]) -> int | None:
    """The exit code of what ended last, of the init containers that failed only."""
    ends = [each.end for each in containers if number(each.end, "exitCode") is not None]
    if not ends:
        return None
    return number(max(ends, key=lambda end: instant(end, "finishedAt") or _NEVER), "exitCode")


def _message(pod: Mapping[str, Any], containers: tuple[Container, ...], state: ReplicaState) -> str:
    """A few words; ``diagnose`` has the sentence."""
    if state in (ReplicaState.READY, ReplicaState.STOPPING):
        return ""
    reason = text(pod, "status", "reason")
    if reason:
        return said(reason)
    waiting = [each for each in containers if each.waiting]
    waiting.sort(key=lambda each: each.waiting in ("ContainerCreating", "PodInitializing"))
    if waiting:
        return said(f"{waiting[0].name}: {waiting[0].waiting}")
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return said(text(scheduled, "reason"))
    unready = [each for each in containers if each.lasts and not each.is_ready]
    return said(f"{unready[0].name}: not ready") if unready else ""
