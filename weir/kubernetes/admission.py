"""What keeps pods from being made, and made pods from finding a node."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from weir.kubernetes.findings import Finding, because
from weir.kubernetes.objects import (
    Object,
    PodSeen,
    condition,
    current_replica_sets,
    event_at,
    instant,
    is_same,
    part,
    said,
    text,
)

_NO_ACCOUNT = re.compile(r"service ?account.*not found", re.I)
_DENIAL = re.compile(r"forbidden|denied|invalid|violates|quota|must specify", re.I)
_UNREACHABLE = re.compile(
    r"fail(ed|ure) (calling|to call) (a )?webhook|time-?out|timed out|deadline exceeded|refused$",
    re.I,
)
_BESIDES = re.compile(r"( no new claims to deallocate,)? preemption: ")
"""What follows is about other pods and claims."""

_QUOTA = (
    "Lower deployment.num_replicas (or autoscale_min_replicas), cpu_cores, memory_gb or gpu_cores,"
    " or have the ResourceQuota of the namespace raised."
)
_NOT_ADMITTED = (
    (
        re.compile("PodSecurity|pod security", re.I),
        "Have the pod-security level of the namespace lowered, or choose another namespace in the"
        " platform block.",
    ),
    (
        re.compile("must specify", re.I),
        "Give deployment.cpu_cores_limit and memory_gb_limit; the namespace's quota wants them.",
    ),
    (
        re.compile(r"\b(maximum|minimum) \S+ usage per|limit to request ratio", re.I),
        "Keep deployment.cpu_cores, memory_gb and their limits within the LimitRange of the"
        " namespace.",
    ),
)
_NOT_ADMITTED_OTHERWISE = (
    "Meet the rule that the message names, have the namespace exempted from it, or choose another"
    " namespace in the platform block."
)

_FITS = (
    (re.compile(r"Insufficient cpu", re.I), "lower deployment.cpu_cores or add nodes"),
    (re.compile(r"Insufficient memory", re.I), "lower deployment.memory_gb or add nodes"),
    (
        re.compile(r"Insufficient \S*gpu", re.I),
        "lower deployment.gpu_cores or add nodes with graphics processors",
    ),
    (
        re.compile(r"Too many pods|Insufficient pods", re.I),
        "add nodes or allow more pods on each of them",
    ),
    (
        re.compile(r"volume|PersistentVolumeClaim", re.I),
        "see to the volume that the message names",
    ),
    (
        re.compile(r"affinity|selector", re.I),
        "correct node_selector (gpu_node_selector) of the platform block or label nodes so",
    ),
    (
        re.compile(r"taint", re.I),
        "tolerate the taint by tolerations (gpu_tolerations) of the platform block",
    ),
)


def admission_findings(
    deployment: Object,
    replica_sets: Sequence[Object],
    pods: Sequence[Object],
    events: Sequence[Object],
    wanted: int,
) -> Iterator[Finding]:
    """Why pods cannot even be made. ``pods`` are those that were."""
    told = [
        text(failure, "message")
        for each in (deployment, *current_replica_sets(deployment, replica_sets))
        if (failure := condition(each, "ReplicaFailure")).get("status") == "True"
    ]
    progress = condition(deployment, "Progressing")
    if progress.get("status") == "False" and progress.get("reason") == "ReplicaSetCreateError":
        told.append(text(progress, "message"))
    if not told and len(pods) < wanted:
        told.extend(_reported(deployment, replica_sets, pods, events))
    for message in told:
        yield _not_made(message)


def is_unschedulable(pod: Object) -> bool:
    scheduled = condition(pod, "PodScheduled")
    return scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"


def unschedulable_findings(
    seen: PodSeen,
    now: datetime,
    patience_seconds: float,
    watched_seconds: Mapping[str, float] | None = None,
) -> Iterator[Finding]:
    """``watched_seconds`` says of each pod, by its uid, how long it has been seen to find no node.

    Without it the cluster's own time of the pod counts, against ``now``; one that lies ahead of
    ``now`` says nothing.
    """
    if not is_unschedulable(seen.pod):
        return
    scheduled = condition(seen.pod, "PodScheduled")
    whole = text(scheduled, "message")
    message = _BESIDES.split(whole)[0]
    if watched_seconds is None:
        lasting_seconds = _age_seconds(seen.pod, scheduled, now)
    else:
        lasting_seconds = watched_seconds.get(text(seen.pod, "metadata", "uid"), 0.0)
    refused = next(iter(seen.reported("NotTriggerScaleUp")), None)
    coming = next(iter(seen.reported("TriggeredScaleUp", "Nominated")), None)
    if refused and coming and event_at(coming) > event_at(refused):
        refused = None
    has_lasted = lasting_seconds is not None and lasting_seconds >= patience_seconds
    added = f"; no node is added{because(said(text(refused, 'message')))}" if refused else ""
    added = added or ("; a node is on its way" if coming else "")
    yield Finding(
        "workload.unschedulable",
        f"{seen.words} finds no node{because(said(message))}{added}",
        _fitting(message),
        final=refused is not None or (has_lasted and coming is None),
    )


def _age_seconds(pod: Object, scheduled: Object, now: datetime) -> float | None:
    since = instant(scheduled, "lastTransitionTime") or instant(
        pod, "metadata", "creationTimestamp"
    )
    return None if since is None else (now - since).total_seconds()


def _reported(
    deployment: Object,
    replica_sets: Sequence[Object],
    pods: Sequence[Object],
    events: Sequence[Object],
) -> Iterator[str]:
    """The last FailedCreate, unless a pod could be made since."""
    current = current_replica_sets(deployment, replica_sets)
    about = [
        each
        for each in events
        if each.get("reason") == "FailedCreate"
        and part(each, "involvedObject").get("kind") == "ReplicaSet"
        and (
            not replica_sets
            or any(is_same(part(each, "involvedObject"), known) for known in current)
        )
    ]
    if not about:
        return
    last = max(about, key=event_at)
    made = [instant(pod, "metadata", "creationTimestamp") for pod in pods]
    if all(at is None or at <= event_at(last) for at in made):
        yield text(last, "message")


def _not_made(message: str) -> Finding:
    words = f"pods cannot be made{because(said(message))}"
    if "exceeded quota" in message:
        return Finding("workload.quota_exceeded", words, _QUOTA, final=True)
    if _NO_ACCOUNT.search(message):
        remedy = "Wait a moment; if it stays missing, make the service account in the namespace."
        return Finding("workload.not_admitted", words, remedy, final=False)
    if _UNREACHABLE.search(message) or not _DENIAL.search(message):
        remedy = "It is tried again. If it stays so, see to the webhook or server that is named."
        return Finding("workload.not_admitted", words, remedy, final=False)
    remedies = (remedy for pattern, remedy in _NOT_ADMITTED if pattern.search(message))
    remedy = next(remedies, _NOT_ADMITTED_OTHERWISE)
    return Finding("workload.not_admitted", words, remedy, final=True)


def _fitting(message: str) -> str:
    """Every way out that the scheduler's message leaves: nodes differ in what they lack."""
    ways = [way for pattern, way in _FITS if pattern.search(message)]
    if not ways:
        return "Add nodes on which the pod fits, or change what the message names."
    joined = ways[0] if len(ways) == 1 else f"{'; '.join(ways[:-1])}; or {ways[-1]}"
    return f"{joined[0].upper()}{joined[1:]}."
