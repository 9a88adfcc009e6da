"""Waiting until a version is ready, saying in its own words why it is not, or until it is idle."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import timedelta

from weir.endpoint import Endpoint
from weir.errors import VersionUnhealthy
from weir.polling import POLL_SECONDS
from weir.ports import Clock, Platform, ReplicaState, Workloads, WorkloadStatus
from weir.spec.text import printable_line

SHOWN_LINES = 20
LONGEST_LINE = 300

_SEARCHED_LINES = 80
_TRACEBACK = "Traceback (most recent call last)"
_RAISED = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Exit|Interrupt|Warning)\b.*")


def wait_until_ready(
    workloads: Workloads,
    endpoint: str,
    version: str,
    *,
    timeout_seconds: float,
    clock: Clock,
    say: Callable[[str], object] = lambda _: None,
) -> WorkloadStatus:
    """The status once every wanted replica is ready. ``say`` is told what it waits for meanwhile.

    Raises VersionUnhealthy with the last log lines as soon as a replica will not become ready
    without a change, with the platform's own reason (``workload.crashed`` where it has no better
    one), ``workload.missing`` when nothing runs of the version, ``workload.not_ready_in_time``
    after ``timeout_seconds``.
    """
    deadline = clock.now() + timedelta(seconds=timeout_seconds)
    told = ""
    with workloads.watch(endpoint, version) as watch:
        while True:
            status = watch.status()
            if status is None:
                raise _missing(endpoint, version)
            if status.is_ready():
                return status
            if status.failed:
                raise _failed(workloads, endpoint, status)
            remaining = (deadline - clock.now()).total_seconds()
            if remaining <= 0:
                raise _late(workloads, endpoint, status, timeout_seconds)
            if status.hint and status.hint != told:
                told = status.hint
                say(f"{status.ready()} of {status.desired} replicas ready; {told}")
            watch.wait(remaining, clock)


def _missing(endpoint: str, version: str) -> VersionUnhealthy:
    return VersionUnhealthy(
        "workload.missing",
        f"version {version} does not run here any more; somebody removed it.",
        remedy="Release it again.",
        where=f"endpoint {endpoint}",
    )


def _failed(workloads: Workloads, endpoint: str, status: WorkloadStatus) -> VersionUnhealthy:
    version = status.version
    # Who has a remedy of its own has no log of a version that is gone, as this one soon is.
    remedy = status.remedy or (
        f"Correct it and release again; all output: weir logs {endpoint} {version}."
    )
    return VersionUnhealthy(
        status.reason,
        f"version {version} does not start: {status.failed}."
        + _last_words(workloads, endpoint, version),
        remedy=remedy,
        where=f"endpoint {endpoint}",
    )


def _late(
    workloads: Workloads, endpoint: str, status: WorkloadStatus, timeout_seconds: float
) -> VersionUnhealthy:
    why = status.hint or _states(status)
    hint = f"{status.remedy.rstrip('.')}; or raise" if status.hint and status.remedy else "Raise"
    return VersionUnhealthy(
        status.reason if status.hint else "workload.not_ready_in_time",
        f"{status.ready()} of {status.desired} replicas of version {status.version} were ready"
        f" after {timeout_seconds:g} s ({why})." + _last_words(workloads, endpoint, status.version),
        remedy=f"{hint} deployment.ready_timeout_seconds if it only needs longer to start.",
        where=f"endpoint {endpoint}",
    )


def await_idle(platform: Platform, endpoint: Endpoint, version: str) -> bool:
    """Return when ``version``, which takes no traffic any more, has answered all it was given.

    Waits no longer than its requests may take; False when some are still under way then.
    """
    known = endpoint.version(version)
    if known is None:
        return True
    limits = known.deployment
    longest = timedelta(milliseconds=limits.scoring_timeout_ms + limits.max_request_wait_time)
    deadline = platform.clock.now() + longest
    while platform.traffic.in_flight(endpoint.name).get(version, 0):
        if platform.clock.now() >= deadline:
            return False
        platform.clock.sleep(POLL_SECONDS)
    return True


def _states(status: WorkloadStatus) -> str:
    return ", ".join(
        f"{replica.name} {replica.state}" + (f": {replica.message}" if replica.message else "")
        for replica in status.replicas
        if replica.state is not ReplicaState.READY
    )


def _last_words(workloads: Workloads, endpoint: str, version: str) -> str:
    """The last lines of a replica that wrote any; all replicas run the same code."""
    for name, lines in sorted(workloads.logs(endpoint, version, _SEARCHED_LINES).items()):
        if lines:
            readable = [_cut(printable_line(line)) for line in lines]
            cause = first_cause(readable)
            shown = "".join(f"\n    {line}" for line in readable[-SHOWN_LINES:])
            return (f" Cause: {cause}." if cause else "") + f" Last lines of {name}:{shown}\n"
    return ""


def _cut(line: str) -> str:
    return line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 1] + "…"


def first_cause(lines: Sequence[str]) -> str:
    """What the first exception of the last Python traceback says; empty without one.

    A server wraps what an entry script raises: the first of a chain is the entry script's.
    """
    starts = [number for number, line in enumerate(lines) if _TRACEBACK in line]
    while starts and _is_chained(lines, starts[-1]):
        starts.pop()
    if not starts:
        return ""
    return next((line for line in lines[starts[-1] + 1 :] if _RAISED.fullmatch(line)), "")


def _is_chained(lines: Sequence[str], start: int) -> bool:
    """Whether the traceback follows "The above exception …" or "During handling …"."""
    before = [line for line in lines[:start] if line.strip()][-1:]
    return any(line.startswith(("The above exception", "During handling")) for line in before)
