"""Why a version does not become ready, from what the cluster says of its objects.

The most telling finding is one that will not pass by itself; among those, the one that stands
first on a pod's way into service.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from weir.kubernetes.admission import admission_findings, unschedulable_findings
from weir.kubernetes.container_findings import (
    config_findings,
    crash_findings,
    is_about,
    is_killed_by_probe,
)
from weir.kubernetes.findings import Finding, because
from weir.kubernetes.image_findings import image_findings
from weir.kubernetes.objects import (
    GUARD,
    Container,
    Object,
    PodSeen,
    condition,
    is_leaving,
    is_of_template,
    is_ready,
    number,
    part,
    said,
    text,
)
from weir.kubernetes.replicas import replica_of

__all__ = ["Finding", "diagnose", "is_of_template", "replica_of"]

_PROBE = re.compile(r"(Liveness|Startup|Readiness) probe (?:failed|errored)[^:]*:?\s*(.*)", re.S)
_LOST = ("NodeNotReady", "NodeLost")
_DEADLINE = "the Deployment made no progress within its deadline"


def diagnose(
    deployment: Mapping[str, Any],
    replica_sets: Sequence[Mapping[str, Any]],
    pods: Sequence[Mapping[str, Any]],
    events: Sequence[Mapping[str, Any]],
    *,
    now: datetime,
    unschedulable_patience_seconds: float,
    unschedulable_seconds: Mapping[str, float] | None = None,
) -> Finding | None:
    """What keeps the version from being ready; None when nothing is wrong (yet).

    ``pods`` may be all of the version's: those of an older template and those on their way out
    do not count. Nothing is known of a change that the cluster has not taken up yet.
    ``unschedulable_seconds``: how long each pod, by its uid, was seen to find no node; who has not
    watched goes by the cluster's times, and ``now`` has to be the cluster's as well.
    """
    current = [
        pod for pod in pods if not is_leaving(pod) and is_of_template(pod, deployment, replica_sets)
    ]
    given = number(deployment, "spec", "replicas")
    wanted = 1 if given is None else given
    if not _is_observed(deployment) or sum(map(is_ready, current)) >= wanted:
        return None
    ended = [pod for pod in current if _has_ended(pod)]
    living = [pod for pod in current if not _has_ended(pod)]
    unready = [PodSeen.of(pod, events) for pod in living if not is_ready(pod)]
    found = [
        *(each for seen in unready for each in image_findings(seen)),
        *(each for seen in unready for each in config_findings(seen)),
        *(each for seen in unready for each in crash_findings(seen)),
        *admission_findings(deployment, replica_sets, living, events, wanted),
        *(
            each
            for seen in unready
            for each in unschedulable_findings(
                seen, now, unschedulable_patience_seconds, unschedulable_seconds
            )
        ),
        *(each for seen in unready for each in _probe_findings(seen)),
        *(each for seen in unready for each in _node_findings(seen)),
        *(_gone(PodSeen.of(pod, events)) for pod in ended),
    ]
    telling = next((each for each in found if each.final), next(iter(found), None))
    return _within_deadline(deployment, telling)


def _is_observed(deployment: Object) -> bool:
    wanted = number(deployment, "metadata", "generation")
    seen = number(deployment, "status", "observedGeneration")
    return wanted is None or seen is None or seen >= wanted


def _has_ended(pod: Object) -> bool:
    return text(pod, "status", "phase") in ("Failed", "Succeeded")


def _within_deadline(deployment: Object, telling: Finding | None) -> Finding | None:
    """What is wrong is final once the deadline has passed, whatever it is."""
    progress = condition(deployment, "Progressing")
    is_over = progress.get("status") == "False" and (
        progress.get("reason") == "ProgressDeadlineExceeded"
    )
    if not is_over or (telling and telling.final):
        return telling
    if telling:
        return dataclasses.replace(telling, words=f"{telling.words}; {_DEADLINE}", final=True)
    return Finding(
        "workload.deadline",
        f"{_DEADLINE}{because(said(text(progress, 'message')))}",
        "Raise deployment.ready_timeout_seconds if it only needs longer to start; its log (weir"
        " logs) says what it was doing.",
        final=True,
    )


def _probe_findings(seen: PodSeen) -> Iterator[Finding]:
    for container in seen.containers:
        if container.is_ready:
            continue
        failing: dict[str, str] = {}
        for event in seen.reported("Unhealthy"):
            match = _PROBE.match(text(event, "message"))
            if match and is_about(seen, event, container):
                failing.setdefault(match.group(1).lower(), match.group(2))
        is_killed = is_killed_by_probe(seen, container)
        for kind in ("liveness", "startup", "readiness"):
            if kind in failing:
                final = is_killed and kind != "readiness"
                yield _probe_failing(seen, container, kind, failing[kind], final)


def _probe_failing(
    seen: PodSeen, container: Container, kind: str, message: str, final: bool
) -> Finding:
    asked = _asked(part(container.spec, f"{kind}Probe"))
    kill = " and it is restarted for that" if final else ""
    words = f"the {kind} probe of {seen.words_of(container)}{asked} fails{kill}"
    return Finding(
        "workload.probe_failing",
        words + because(said(message)),
        _probe_remedy(container, kind),
        final,
    )


def _asked(probe: Object) -> str:
    """What a probe asks for: " (GET /healthz, port 5001)". Headers stay where they are."""
    web = part(probe, "httpGet")
    where = web or part(probe, "tcpSocket") or part(probe, "grpc")
    port = where.get("port")
    known = [f"GET {said(text(web, 'path')) or '/'}"] if web else []
    if isinstance(port, int | str):
        known.append(f"port {said(str(port))}")
    return f" ({', '.join(known)})" if known else ""


def _probe_remedy(container: Container, kind: str) -> str:
    if container.name == GUARD:
        return "Check guard_image of the platform block; what the guard wrote says more."
    if kind == "readiness":
        return "Correct inference.health_path, or what the model server answers there."
    return (
        "Raise deployment.liveness.initial_delay_seconds if it only needs longer to start"
        " (timeout_seconds if it answers slowly); otherwise correct inference.health_path."
    )


def _node_findings(seen: PodSeen) -> Iterator[Finding]:
    """A node that is lost takes the pod's Ready away, while its containers seem to be well."""
    ready = condition(seen.pod, "Ready")
    named = text(ready, "reason") in _LOST or text(seen.pod, "status", "reason") in _LOST
    seems_well = bool(seen.containers) and all(
        each.is_ready for each in seen.containers if each.lasts
    )
    if named or (seems_well and ready.get("status") == "False" and seen.reported(*_LOST)):
        message = said(text(ready, "message") or text(seen.pod, "status", "message"))
        yield Finding(
            "workload.node_lost",
            f"the node of {seen.words} does not answer{because(message)}",
            "Wait: the pod is replaced on another node. See to that node.",
            final=False,
        )


def _gone(seen: PodSeen) -> Finding:
    reason = said(text(seen.pod, "status", "reason"))
    message = said(text(seen.pod, "status", "message"))
    if reason in _LOST:
        words = f"the node of {seen.words} does not answer{because(message)}"
        remedy = "Wait: the pod is replaced on another node. See to that node."
        return Finding("workload.node_lost", words, remedy, final=False)
    how = "was evicted" if reason == "Evicted" else f"has ended ({reason or 'no reason given'})"
    return Finding(
        "workload.evicted",
        f"{seen.words} {how} and is replaced{because(message)}",
        "Wait for the pod that replaces it. If it happens again, raise deployment.memory_gb to what"
        " the version needs, or add nodes.",
        final=False,
    )
