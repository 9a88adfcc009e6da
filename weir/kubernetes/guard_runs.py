"""Which runs of a guard's container a window needs, from what the pod says of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from weir.kubernetes.kinds import Object, name_of
from weir.kubernetes.pod import GUARD

END_SECONDS = 2.0
"""A pod's instants are whole seconds, and a guard writes its last lines until it ends."""


@dataclass(frozen=True)
class Run:
    """From one start of a guard's container to its end.

    ``is_previous`` says how the API server calls it: only the latest run and the one before have
    a log there. ``key`` is the run's own among all of the cluster.
    """

    pod: str
    key: str
    began: datetime
    ended: datetime | None
    is_previous: bool


@dataclass(frozen=True)
class GuardRuns:
    """``lost_until`` is set where runs of the window have no log any more: until that instant."""

    runs: tuple[Run, ...]
    lost_until: datetime | None = None


def runs_of(pod: Object, start: datetime) -> GuardRuns:
    """The runs of this pod's guard that may have answered something at ``start`` or later.

    No runs for a pod without a guard, or whose guard has not begun yet.
    """
    status = _guard_status(pod)
    state, last_state = status.get("state") or {}, status.get("lastState") or {}
    latest = state.get("running") or state.get("terminated")
    # While the container waits, the log of its last run is the latest that there is.
    told = ((latest, False), (last_state.get("terminated"), bool(latest)))
    known = [run for one, is_previous in told if one and (run := _run(pod, one, is_previous))]
    margin = timedelta(seconds=END_SECONDS)
    needed = tuple(run for run in known if run.ended is None or run.ended >= start - margin)
    begun = int(status.get("restartCount") or 0) + 1
    lost_until = None
    if known and len(needed) == len(known) < begun and known[-1].began > start:
        lost_until = known[-1].began
    return GuardRuns(needed, lost_until)


def _guard_status(pod: Object) -> Object:
    status = pod.get("status") or {}
    containers = (
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    )
    return next((one for one in containers if one.get("name") == GUARD), {})


def _run(pod: Object, told: dict[str, Any], is_previous: bool) -> Run | None:
    began, ended = _instant(told.get("startedAt")), _instant(told.get("finishedAt"))
    if began is None:
        # It never ran: the image is not there, or the node was lost.
        return None
    key = f"{pod['metadata'].get('uid', name_of(pod))}/{began.isoformat()}"
    return Run(name_of(pod), key, began, ended, is_previous)


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
