"""Who holds a release, and whether that process still works on it."""

from __future__ import annotations

import getpass
import os
import socket
from datetime import datetime, timedelta

from weir import process_identity
from weir.document import Holder

HEARTBEAT_LIFE = timedelta(seconds=100)
"""How long a holder elsewhere counts as alive after its last heartbeat: three may be missed
(``release.heartbeat.BEAT_SECONDS``)."""


def this_process(run: str, now: datetime) -> Holder:
    """This process as a holder. ``run`` names the orchestrator's run, or is empty."""
    return Holder(
        host=socket.gethostname(),
        pid=os.getpid(),
        process_started_at=process_identity.own_start(),
        boot=process_identity.boot(),
        machine=process_identity.machine(),
        pid_namespace=process_identity.pid_namespace(),
        user=user(),
        since=now,
        heartbeat_at=now,
        run=run,
    )


def beating(holder: Holder, now: datetime) -> Holder:
    """``holder`` with a heartbeat at ``now``; never one before its last."""
    beat = max(now, holder.heartbeat_at)
    return holder.model_copy(update={"heartbeat_at": beat})


def same_process(one: Holder, other: Holder) -> bool:
    """Whether both were taken by the same process."""
    return _identity(one) == _identity(other)


def _identity(holder: Holder) -> tuple[object, ...]:
    return (
        *(holder.host, holder.boot, holder.pid_namespace),
        *(holder.pid, holder.process_started_at),
    )


def is_here(holder: Holder) -> bool:
    """Whether the holder's pid means a process of this machine that this process could see.

    A host's name proves nothing: many a laptop or CI runner has the same. The boot does, and in
    a container nobody sees the pids of another.
    """
    return (
        holder.host == socket.gethostname()
        and holder.boot != ""
        and holder.boot == process_identity.boot()
        and holder.pid_namespace == process_identity.pid_namespace()
    )


def is_alive(holder: Holder, now: datetime) -> bool:
    """Whether the holder's process runs.

    Where it can be seen by pid and start time, because a pid alone may have been given to another
    process; elsewhere by a heartbeat younger than ``HEARTBEAT_LIFE``, unless this machine was the
    holder's own and has booted since.
    """
    if is_here(holder):
        return process_identity.is_alive(holder.pid, holder.process_started_at, holder.boot)
    return not _was_before_a_boot(holder) and now - holder.heartbeat_at < HEARTBEAT_LIFE


def _was_before_a_boot(holder: Holder) -> bool:
    return (
        holder.host == socket.gethostname()
        and holder.machine != ""
        and holder.machine == process_identity.machine()
        and "" not in (holder.boot, process_identity.boot())
        and holder.boot != process_identity.boot()
    )


def user() -> str:
    """Who runs this process, by name, or by number where there is no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())
