"""The processes of this machine that weir started, and which of them run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import psutil

from weir.local.home import Home
from weir.process_identity import boot, is_alive, started_at

__all__ = [
    "MARKER",
    "boot",
    "ephemeral_marker",
    "in_session",
    "is_alive",
    "is_in_use",
    "is_leader",
    "marked",
    "marker_of",
    "port_of",
    "started_at",
]

MARKER = "WEIR_PROCESS"
"""Environment variable of every process weir starts: <home digest>/<name>/<generation>."""


EPHEMERAL = "prefect.ephemeral"
"""Name of a server that a command started for its own run: the generation is the command's pid."""


def ephemeral_marker(home: Home, command: int) -> str:
    return f"{home.digest}/{EPHEMERAL}/{command}"


def is_in_use(marker: str) -> bool:
    """Whether ``marker`` is of an ephemeral server whose command still runs."""
    _, name, generation = marker.split("/")
    return name == EPHEMERAL and generation.isdigit() and started_at(int(generation)) is not None


def marker_of(pid: int) -> str | None:
    """The process's marker; None when it has none, has ended, or belongs to somebody else."""
    try:
        return psutil.Process(pid).environ().get(MARKER)
    except (psutil.Error, OSError):
        return None


def port_of(pid: int) -> int | None:
    """The port that weir gave the process, from its environment."""
    try:
        return int(psutil.Process(pid).environ()["PORT"])
    except (psutil.Error, OSError, KeyError, ValueError):
        return None


def marked(prefix: str) -> Iterator[tuple[int, str]]:
    """Every running process of this user whose marker begins with ``prefix``: pid and marker."""
    for pid in psutil.pids():
        marker = marker_of(pid)
        if marker is not None and marker.startswith(prefix) and started_at(pid) is not None:
            yield pid, marker


def in_session(leader: int) -> Iterator[int]:
    """Every process of the session that ``leader`` began, but not itself."""
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            if pid != leader and os.getsid(pid) == leader:
                yield pid


def is_leader(pid: int) -> bool:
    """Whether ``pid`` leads its session: it was started by weir itself, not by a child."""
    try:
        return os.getsid(pid) == pid
    except OSError:
        return False
