"""Who holds a release, and whether that process still works on it."""

from __future__ import annotations

import getpass
import os
import socket
from datetime import datetime, timedelta

from weir import process_identity
from weir.document import Holder

HEARTBEAT_LIFE = timedelta(seconds=100)
"""How long a holder on another host counts as alive after its last heartbeat: three may be missed
(``release.heartbeat.BEAT_SECONDS``)."""


def this_process(run: str, now: datetime) -> Holder:
    """This process as a holder. ``run`` names the orchestrator's run, or is empty."""
    return Holder(
        host=socket.gethostname(),
        pid=os.getpid(),
        process_started_at=process_identity.own_start(),
        boot=process_identity.boot(),
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
    return (one.host, one.pid, one.boot, one.process_started_at) == (
        other.host,
        other.pid,
        other.boot,
        other.process_started_at,
    )


def is_alive(holder: Holder, now: datetime) -> bool:
    """Whether the holder's process runs.

    On this host by pid and start time, because a pid alone may have been given to another
    process; elsewhere by a heartbeat younger than ``HEARTBEAT_LIFE``.
    """
    if holder.host != socket.gethostname():
        return now - holder.heartbeat_at < HEARTBEAT_LIFE
    return process_identity.is_alive(holder.pid, holder.process_started_at, holder.boot)


def user() -> str:
    """Who runs this process, by name, or by number where there is no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())
