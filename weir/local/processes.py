"""Desired and observed processes: what an adapter asks for, and what the supervisor reports.

An adapter writes specs and reads statuses, both files below ``<home>/processes``; only the
supervisor (``weir.local.supervisor``) starts and stops anything.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from weir.errors import TemporaryError
from weir.local.disk import PRIVATE_FILE, write_atomically
from weir.local.home import Home
from weir.local.pids import is_alive

ProcessState = Literal["starting", "ready", "unready", "backing_off", "stopping", "stopped"]

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,180}[a-z0-9])?")
_STATUS_SUFFIX = ".status.json"


@dataclass(frozen=True)
class Probe:
    """How the supervisor asks a process whether it is well; thresholds count in a row.

    ``http`` wants a status of 200 to 399 from ``target`` on the process's port, ``unix_http`` the
    same on ``socket_path`` and ``wanted_text`` in the answer, ``tcp`` a connection to the port.
    """

    kind: Literal["http", "tcp", "unix_http"]
    target: str = "/"
    socket_path: str = ""
    wanted_text: str = ""
    period_seconds: float = 1.0
    timeout_seconds: float = 2.0
    initial_delay_seconds: float = 0.0
    failure_threshold: int = 3
    success_threshold: int = 1


@dataclass(frozen=True)
class ProcessSpec:
    """A process that has to run. ``{port}`` in ``argv`` and ``env`` becomes its port.

    ``port`` fixes the port; ``needs_port`` has the supervisor choose a free one and keep it over
    restarts. A ready process that stops answering ``readiness`` is unready; one that fails
    ``liveness`` is restarted. Beside ``env`` a process inherits only locale, proxy, certificate,
    path and user settings; the package index settings (``PIP_*``, ``UV_*``) too with the label
    ``inherits: package-index``. No place for secrets: specs are kept in files (mode 0600).
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    port: int | None = None
    needs_port: bool = False
    readiness: Probe | None = None
    liveness: Probe | None = None
    grace_seconds: float = 10.0
    labels: Mapping[str, str] = field(default_factory=dict)

    def digest(self) -> str:
        """Changes exactly when the process has to be replaced."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> ProcessSpec:
        """Raises ValueError, KeyError or TypeError for anything that ``to_json`` did not write."""
        data: dict[str, Any] = json.loads(text)
        for probe in ("readiness", "liveness"):
            if data.get(probe) is not None:
                data[probe] = Probe(**data[probe])
        data["argv"] = tuple(data["argv"])
        return cls(**data)


@dataclass(frozen=True)
class ProcessStatus:
    """What the supervisor last saw of a process.

    ``last_exit`` is the exit code, negative for a signal, None when none was seen.
    ``process_started_at`` and ``boot`` tell the process from a later one with its pid, see
    ``weir.process_identity``; ``changed_at`` is in seconds since the epoch. ``failed_starts``
    counts exits in a row without having been ready. ``spec`` is the digest of the spec that runs,
    ``generation`` the start it belongs to; ``grace_seconds`` and ``labels`` are that spec's.
    """

    name: str
    state: ProcessState
    pid: int | None = None
    process_started_at: float | None = None
    boot: str = ""
    port: int | None = None
    restarts: int = 0
    last_exit: int | None = None
    message: str = ""
    changed_at: float = 0.0
    failed_starts: int = 0
    spec: str = ""
    generation: str = ""
    grace_seconds: float = 10.0
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Host and port, empty without a port."""
        return f"127.0.0.1:{self.port}" if self.port else ""

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ProcessStatus:
        return cls(**json.loads(text))


class ProcessTable:
    """The processes of one home. Cheap to make; holds nothing but the path."""

    def __init__(self, home: Path | Home) -> None:
        self.home = home if isinstance(home, Home) else Home(home)

    def put(self, spec: ProcessSpec) -> bool:
        """Ask for ``spec`` to run; False when exactly that was asked for already.

        A changed spec replaces the running process: drain, stop, start. Raises PermanentError
        ``disk.*``.
        """
        if not _NAME.fullmatch(spec.name) or spec.name.endswith(".status"):
            raise ValueError(f"{spec.name!r} is no process name")
        wanted = self.spec(spec.name)
        if wanted is not None and wanted.digest() == spec.digest():
            return False
        write_atomically(self.home.process_spec(spec.name), spec.to_json(), PRIVATE_FILE)
        return True

    def remove(self, name: str) -> None:
        """Ask for the process to end; idempotent. ``wait_gone`` tells when it has."""
        self.home.process_spec(name).unlink(missing_ok=True)

    def spec(self, name: str) -> ProcessSpec | None:
        """What was asked for; None when nothing was, or when the file is unreadable."""
        text = _read(self.home.process_spec(name))
        if text is None:
            return None
        try:
            return ProcessSpec.from_json(text)
        except (ValueError, KeyError, TypeError):
            return None

    def status(self, name: str) -> ProcessStatus | None:
        """What runs, corrected for what the supervisor cannot have seen yet; None if nothing."""
        spec, seen = self.spec(name), self.recorded(name)
        if seen is None:
            return None if spec is None else ProcessStatus(name, "starting", message="not started")
        if spec is None:
            return dataclasses.replace(seen, state="stopping")
        if seen.spec != spec.digest():
            return dataclasses.replace(
                seen, state="starting", failed_starts=0, message="being replaced"
            )
        if seen.state in ("ready", "unready", "starting") and not _runs(seen):
            return dataclasses.replace(seen, state="unready", message="the process has ended")
        return seen

    def recorded(self, name: str) -> ProcessStatus | None:
        """The supervisor's last word, as written."""
        text = _read(self.home.process_status(name))
        if text is None:
            return None
        try:
            return ProcessStatus.from_json(text)
        except (ValueError, TypeError):
            return None

    def names(self, prefix: str = "") -> tuple[str, ...]:
        """Names of processes that are wanted or not gone yet, sorted."""
        found = set()
        for path in self.home.processes.iterdir():
            if path.name.startswith(".") or not path.name.endswith(".json"):
                continue
            name = path.name.removesuffix(_STATUS_SUFFIX).removesuffix(".json")
            if name.startswith(prefix):
                found.add(name)
        return tuple(sorted(found))

    def wait_gone(self, name: str, timeout_seconds: float) -> None:
        """Return when a removed process has ended and is forgotten.

        Raises TemporaryError ``process.not_gone`` after ``timeout_seconds``.
        """
        deadline = time.monotonic() + timeout_seconds
        while self.recorded(name) is not None or self.spec(name) is not None:
            if time.monotonic() > deadline:
                raise TemporaryError(
                    "process.not_gone",
                    f"{name} has not ended within {timeout_seconds:g} s.",
                    remedy="Run the command again; weir down ends everything.",
                    where=str(self.home.process_status(name)),
                )
            time.sleep(0.05)


def _runs(status: ProcessStatus) -> bool:
    if status.pid is None:
        # Between the decision to start and the start itself.
        return status.state == "starting"
    return is_alive(status.pid, status.process_started_at, status.boot)


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None
