"""Which process a pid means: a pid alone is not enough, it may have been given to another.

A process is told by its pid, its start and the boot of the machine. On Linux the start is counted
in seconds since that boot, so that no step of the clock moves it; elsewhere it is what the
operating system says, in seconds since the epoch.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from pathlib import Path

import psutil

_OWN = Path("/proc/self/stat")
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_MACHINE = Path("/etc/machine-id")
_PIDS = Path("/proc/self/ns/pid")
_HOSTS_OWN_PIDS = "4026531836"
"""Number of the pid namespace that a kernel begins with (PROC_PID_INIT_INO): no container's."""

_STATE, _START = 0, 19
"""Fields 3 and 22 of /proc/<pid>/stat, counted from the first one after the name."""

_COUNTED_FROM_BOOT = _OWN.exists()
# Ticks are whole. The epoch start is computed from the boot time on some systems, which clock
# corrections move a little.
_SAME_START_SECONDS = 0.001 if _COUNTED_FROM_BOOT else 2.0


@functools.cache
def boot() -> str:
    """Names this boot of the machine; empty where the operating system has no name for it."""
    return _text(_BOOT) if _COUNTED_FROM_BOOT else _darwin_boot()


@functools.cache
def machine() -> str:
    """Names this machine, whatever it is called and however often it boots; empty if unknown.

    Empty in a container as well: the file there came with the image.
    """
    return _text(_MACHINE) if pid_namespace() == _HOSTS_OWN_PIDS else ""


@functools.cache
def pid_namespace() -> str:
    """Names what pids are counted in; empty where there is only one such thing on a machine."""
    try:
        return str(_PIDS.stat().st_ino)
    except OSError:
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _darwin_boot() -> str:
    """What macOS calls ``kern.bootsessionuuid``; empty elsewhere."""
    if sys.platform != "darwin":
        return ""
    found = ctypes.create_string_buffer(64)
    size = ctypes.c_size_t(len(found))
    name = b"kern.bootsessionuuid"
    nothing = ctypes.c_size_t(0)
    failed = ctypes.CDLL(None).sysctlbyname(name, found, ctypes.byref(size), None, nothing)
    return "" if failed else found.value.decode()


def started_at(pid: int) -> float | None:
    """When ``pid`` started, in seconds, see above; None unless it runs. A zombie does not."""
    if _COUNTED_FROM_BOOT:
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError:
            return None
        # The name may hold spaces and parentheses.
        fields = stat.rpartition(b")")[2].split()
        if fields[_STATE] in (b"Z", b"X"):
            return None
        return int(fields[_START]) / os.sysconf("SC_CLK_TCK")
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def own_start() -> float:
    """When this process started; the same number however often it is asked for."""
    return _own_start(os.getpid())


@functools.cache
def _own_start(pid: int) -> float:
    return started_at(pid) or 0.0


def is_same_start(one: float, other: float) -> bool:
    return abs(one - other) < _SAME_START_SECONDS


def is_alive(pid: int, process_started_at: float | None, boot_then: str = "") -> bool:
    """Whether ``pid`` runs and is still the process that started then (any, if None).

    Nothing of another boot is alive; an empty ``boot_then`` is not compared.
    """
    if boot_then and boot_then != boot():
        return False
    now = started_at(pid)
    return now is not None and (
        process_started_at is None or is_same_start(now, process_started_at)
    )
