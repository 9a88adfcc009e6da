"""Processes that a supervisor keeps, as its tests start and await them."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace

from tests.eventually import eventually
from tests.fakes import backend
from weir.local.home import Home
from weir.local.processes import Probe, ProcessSpec, ProcessStatus, ProcessTable
from weir.local.supervisor import ensure_supervisor, running_supervisor

PROBE = Probe("http", "/", period_seconds=0.2, timeout_seconds=1, failure_threshold=2)
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


def server(name: str, **changes: object) -> ProcessSpec:
    spec = ProcessSpec(
        name=name,
        argv=(sys.executable, backend.__file__, name, "{port}"),
        needs_port=True,
        readiness=PROBE,
        grace_seconds=3,
    )
    return replace(spec, **changes)


def start(home: Home, *specs: ProcessSpec) -> ProcessTable:
    table = ProcessTable(home)
    for spec in specs:
        table.put(spec)
    ensure_supervisor(home)
    return table


def ready(table: ProcessTable, name: str, other_than: int | None = None) -> ProcessStatus:
    def look() -> ProcessStatus | None:
        status = table.status(name)
        return status if status and status.state == "ready" and status.pid != other_than else None

    return eventually(look)


def state(table: ProcessTable, name: str, wanted: str) -> ProcessStatus:
    def look() -> ProcessStatus | None:
        status = table.status(name)
        return status if status and status.state == wanted else None

    return eventually(look)


def kill_supervisor(home: Home) -> None:
    pid = running_supervisor(home)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: running_supervisor(home) is None)


def pid_of(status: ProcessStatus) -> int:
    assert status.pid is not None
    return status.pid
