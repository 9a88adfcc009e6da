"""The processes of this machine that weir started, and which of them run."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psutil

from weir.process_identity import boot, is_alive, started_at

__all__ = ["MARKER", "boot", "is_alive", "is_leader", "marked", "marker_of", "started_at"]

MARKER = "WEIR_PROCESS"
"""Environment variable of every process weir starts: <home digest>/<name>/<generation>."""


def marker_of(pid: int) -> str | None:
    """The process's marker; None when it has none, has ended, or belongs to somebody else."""
    try:
        return psutil.Process(pid).environ().get(MARKER)
    except (psutil.Error, OSError):
        return None


def marked(prefix: str) -> Iterator[tuple[int, str]]:
    """Every running process of this user whose marker begins with ``prefix``: pid and marker."""
    for pid in psutil.pids():
        marker = marker_of(pid)
        if marker is not None and marker.startswith(prefix) and started_at(pid) is not None:
            yield pid, marker


def is_leader(pid: int) -> bool:
    """Whether ``pid`` leads its session: it was started by weir itself, not by a child."""
    try:
        return os.getsid(pid) == pid
    except OSError:
        return False
