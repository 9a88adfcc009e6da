"""What keeps containers from running: their configuration, and how they end."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator

from weir.kubernetes.findings import Finding, because
from weir.kubernetes.image_findings import OTHER_ARCHITECTURE, OTHER_NODES, PASSING
from weir.kubernetes.objects import (
    GUARD,
    Container,
    Object,
    PodSeen,
    event_count,
    number,
    said,
    text,
)
from weir.readiness import first_cause

CRASHES = 2
"""Restarts after which an end is no accident."""

_NOT_STARTED = {"CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun"}
_PREPARING = {"", "ContainerCreating", "PodInitializing"}
_STOPPED_BY_KUBELET = {0, 137, 143}
"""Exit codes of a container that was told to end, and was killed when it did not."""

_AS_ROOT = re.compile(r"runAsNonRoot|verify user is non-root|non-root policy|run as root", re.I)
_MISSING = re.compile(r"not found|couldn't find key|non-?existent (config|secret) key", re.I)
_NO_PROGRAM = re.compile(
    r"executable file not found|no such file|permission denied|no command", re.I
)
_CONFIGURATION = re.compile(r"config ?map|secret", re.I)

_LOG = "Its log says why (weir logs); correct it and release again."
_GUARD = "Check guard_image of the platform block; what the guard wrote says more (kubectl logs)."
_ROOT = (
    "Build the image with a numeric USER other than 0 (USER 1000, not USER app) and release again."
)
_GUARD_ROOT = (
    "Name an image whose user is a number other than 0 as guard_image of the platform block."
)
_CONFIG = "Put back what is missing, or release again: weir writes its own ConfigMaps anew."


def config_findings(seen: PodSeen) -> Iterator[Finding]:
    for container in seen.containers:
        if container.waiting == "CreateContainerConfigError":
            yield _config_error(seen, container)
    if not _is_preparing(seen):
        return
    for event in seen.reported("FailedMount"):
        message = text(event, "message")
        if _MISSING.search(message) and _CONFIGURATION.search(message):
            yield Finding(
                "workload.config_missing",
                f"{seen.words} waits for a volume that cannot be mounted: {said(message)}",
                _CONFIG,
                final=event_count(event) > 1,
            )


def crash_findings(seen: PodSeen) -> Iterator[Finding]:
    """A first end is not final, and neither is an end of what runs again."""
    for container in seen.containers:
        if _could_not_start(container):
            yield _not_started(seen, container)
        elif _has_crashed(container) and not (
            is_killed_by_probe(seen, container) and _was_told_to_end(container)
        ):
            yield _crashed(seen, container)
    if _is_preparing(seen):
        for event in seen.reported("FailedCreatePodSandBox", "FailedMount", "FailedAttachVolume"):
            yield Finding(
                "workload.cannot_start",
                f"{seen.words} cannot be started ({said(text(event, 'reason'))})"
                + because(said(text(event, "message"))),
                "It is tried again. If it stays so, look at the network and disks of that node.",
                final=False,
            )


def is_killed_by_probe(seen: PodSeen, container: Container) -> bool:
    """Whether the kubelet ends ``container`` again and again for what a probe says."""
    killed = f"Container {container.name} failed "
    if any(text(each, "message").startswith(killed) for each in seen.reported("Killing")):
        return True
    return container.restarts > 0 and any(
        text(each, "message").startswith("Liveness probe") and is_about(seen, each, container)
        for each in seen.reported("Unhealthy")
    )


def is_about(seen: PodSeen, event: Object, container: Container) -> bool:
    """Whether ``event`` is about ``container``; it need not say so when there is only one."""
    path = text(event, "involvedObject", "fieldPath")
    return f"{{{container.name}}}" in path or (not path and len(seen.containers) == 1)


def exit_words(end: Object) -> str:
    """How a container ended: "exit code 139 (SIGSEGV)"."""
    code = number(end, "exitCode")
    if code is None:
        return "an unknown exit code"
    by_signal = number(end, "signal") or (code - 128 if code > 128 else 0)
    known = {126: "the command cannot be executed", 127: "command not found"}
    note = _signal_name(by_signal) if by_signal else known.get(code, "")
    return f"exit code {code}" + (f" ({note})" if note else "")


def _signal_name(which: int) -> str:
    try:
        return signal.Signals(which).name
    except ValueError:
        return "" if which > signal.NSIG else f"signal {which}"


def _config_error(seen: PodSeen, container: Container) -> Finding:
    message = text(container.status, "state", "waiting", "message")
    words = f"{seen.words_of(container)} cannot be configured{because(said(message))}"
    if _AS_ROOT.search(message):
        remedy = _GUARD_ROOT if container.name == GUARD else _ROOT
        return Finding("workload.runs_as_root", words, remedy, final=True)
    final = _MISSING.search(message) is not None
    return Finding("workload.config_missing", words, _CONFIG, final)


def _is_preparing(seen: PodSeen) -> bool:
    """Whether its volumes and its network are still awaited; what was said of them is past then."""
    return (
        text(seen.pod, "status", "phase") in ("", "Pending")
        and not any(each.has_begun or each.waiting not in _PREPARING for each in seen.containers)
        and not seen.reported("Pulling", "Pulled", "Created", "Started")
    )


def _could_not_start(container: Container) -> bool:
    last = text(container.end, "reason")
    return container.waiting in _NOT_STARTED or (not container.is_running and last in _NOT_STARTED)


def _not_started(seen: PodSeen, container: Container) -> Finding:
    waiting = text(container.status, "state", "waiting", "message")
    message = waiting if container.waiting in _NOT_STARTED else text(container.end, "message")
    if OTHER_ARCHITECTURE.search(message):
        remedy = OTHER_NODES
    elif container.name == GUARD:
        remedy = _GUARD
    elif _NO_PROGRAM.search(message):
        remedy = "Correct inference.command: its program has to be in the image and executable."
    else:
        remedy = f"Correct what the message names and release again; it was tried {_place(seen)}."
    return Finding(
        "workload.cannot_start",
        f"{seen.words_of(container)} cannot be started{because(said(message))}",
        remedy,
        final=not PASSING.search(message),
    )


def _place(seen: PodSeen) -> str:
    node = said(text(seen.pod, "spec", "nodeName"))
    return f"on node {node}" if node else "on a node"


def _has_crashed(container: Container) -> bool:
    if container.waiting == "CrashLoopBackOff":
        return True
    return bool(container.end) and not container.is_ready


def _was_told_to_end(container: Container) -> bool:
    is_short_of_memory = text(container.end, "reason") == "OOMKilled"
    return number(container.end, "exitCode") in _STOPPED_BY_KUBELET and not is_short_of_memory


def _crashed(seen: PodSeen, container: Container) -> Finding:
    where, end, times = seen.words_of(container), container.end, container.restarts
    restarted = f", restarted {times} time{'' if times == 1 else 's'}" if times else ""
    final = container.waiting == "CrashLoopBackOff" or (container.has_ended and times >= CRASHES)
    if text(end, "reason") == "OOMKilled":
        words = f"{where} ran out of memory and was killed ({exit_words(end)}){restarted}"
        return Finding("workload.out_of_memory", words, _memory_remedy(container), final)
    waiting = text(container.status, "state", "waiting", "message")
    told = said(_last_words(text(end, "message")) if end else waiting)
    ended = f"ended with {exit_words(end)}" if end else "ends again and again"
    words = f"{where} {ended}{restarted}{because(told)}"
    return Finding("workload.crashed", words, _crash_remedy(container), final)


def _last_words(message: str) -> str:
    """What a container left behind; where that is the end of its log, the cause stands last."""
    lines = [line for line in message.splitlines() if line.strip()]
    return first_cause(lines) or (lines[-1] if lines else "")


def _memory_remedy(container: Container) -> str:
    if container.name == GUARD:
        return (
            "Lower deployment.replica_max_concurrent_requests or the size of requests; the guard's"
            " memory is not yours to set."
        )
    return "Raise deployment.memory_gb_limit (and memory_gb), or let the model use less memory."


def _crash_remedy(container: Container) -> str:
    if container.name == GUARD:
        return _GUARD
    code = number(container.end, "exitCode")
    if code in (126, 127):
        return "Correct inference.command: its program has to be in the image and executable."
    if code == 0:
        return "Correct inference.command: the server may not end by itself, and not run detached."
    if code == 137:
        return (
            "It was killed from outside: look at the memory and the events of its node. If its log"
            " (weir logs) says more, correct it and release again."
        )
    return _LOG
