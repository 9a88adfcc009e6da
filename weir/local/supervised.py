"""One supervised process: from what is wanted and what runs to the next step."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from weir.errors import WeirError
from weir.local import pids
from weir.local.disk import PRIVATE_FILE, write_atomically
from weir.local.draining import Drain, Gateways
from weir.local.home import Home
from weir.local.launching import Running, free_port, is_free, launch
from weir.local.probing import Prober
from weir.local.processes import ProcessSpec, ProcessState, ProcessStatus

FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 30.0
HEALTHY_SECONDS = 60.0
"""A process that was ready for this long starts with the first back-off again."""

_CANNOT_EXECUTE = 127


@dataclass(frozen=True)
class Surroundings:
    """What all processes of a supervisor share. ``ports_in_use`` are the other processes'."""

    home: Home
    probing: Executor
    draining: Executor
    gateways: Gateways
    ports_in_use: Callable[[], Collection[int]]
    say: Callable[[str], None]


@dataclass
class _Stop:
    reason: str
    drain: Drain | None
    kill_at: float | None = None


def backoff_seconds(exits_in_a_row: int) -> float:
    """The pause before the next start after ``exits_in_a_row`` (at least 1) exits."""
    return float(min(FIRST_BACKOFF_SECONDS * 2.0 ** (exits_in_a_row - 1), LONGEST_BACKOFF_SECONDS))


class Supervised:
    """Drives one process; ``step`` never blocks.

    ``wanted`` is what has to run (``want`` sets it), None to end it; ``gone`` is True when it is
    neither wanted nor running. ``forget`` says whether its status file then goes as well.
    """

    def __init__(
        self,
        name: str,
        surroundings: Surroundings,
        seen: ProcessStatus | None = None,
        running: Running | None = None,
        now: float = 0.0,
    ) -> None:
        self.name = name
        self.wanted: ProcessSpec | None = None
        self._digest = ""
        self.forget = True
        self.gone = False
        self.status = seen or ProcessStatus(name, "stopped")
        if self.status.state == "stopped":
            self.status = dataclasses.replace(self.status, failed_starts=0)
        self._around = surroundings
        self._running = running
        self._stop: _Stop | None = None
        self._readiness: Prober | None = None
        self._liveness: Prober | None = None
        self._ready_since = now if self.status.state in ("ready", "unready") else None
        self._exits_in_a_row = self.status.failed_starts
        self._start_at = 0.0
        if running is not None:
            self._say(f"adopted, pid {running.pid}")
            state: ProcessState = "ready" if self.status.state == "ready" else "starting"
            self._record(
                state,
                pid=running.pid,
                process_started_at=running.process_started_at,
                boot=pids.boot(),
                generation=running.marker.split("/")[2],
                port=pids.port_of(running.pid) or self.status.port,
            )

    def want(self, spec: ProcessSpec | None) -> None:
        if spec is not self.wanted:
            self.wanted, self._digest = spec, spec.digest() if spec else ""

    def step(self, now: float, may_replace: bool = True) -> None:
        """Do what is due. ``may_replace`` False puts off replacing a running process."""
        if self._running is None:
            self._step_without_process(now)
        elif self._running.has_ended():
            self._take_exit(self._running, now)
        elif self._stop is not None:
            self._continue_stop(self._stop, self._running, now)
        elif self.wanted is None:
            self._begin_stop("stopping", now)
        elif self._digest != self.status.spec:
            if may_replace:
                self._begin_stop("being replaced", now)
        else:
            self._watch(self.wanted, now)

    @property
    def replica_of(self) -> tuple[str, str] | None:
        """Endpoint and version, when the process is a replica."""
        labels = self.status.labels
        if "endpoint" in labels and "version" in labels:
            return labels["endpoint"], labels["version"]
        return None

    @property
    def published(self) -> tuple[str, str] | None:
        """Address and health as the gateway has to know them; None when it must not use it."""
        if self._running is None or not self.status.address:
            return None
        if self.status.state == "ready":
            return self.status.address, "HEALTHY"
        if self._stop is not None and self._stop.drain is not None:
            return self.status.address, "DRAINING"
        return None

    def _step_without_process(self, now: float) -> None:
        if self.wanted is None:
            if self.forget:
                self._around.home.process_status(self.name).unlink(missing_ok=True)
            elif self.status.state != "stopped":
                self._record("stopped", message="")
            self.gone = True
            return
        if self._digest != self.status.spec:
            self._start_at = self._exits_in_a_row = 0
            self._record("starting", failed_starts=0, restarts=0, last_exit=None, message="")
        if now >= self._start_at:
            self._start(self.wanted, now)

    def _start(self, spec: ProcessSpec, now: float) -> None:
        first = self.status.spec != self._digest or not self.status.generation
        try:
            port = self._choose_port(spec)
        except OSError:
            where = f"port {spec.port}" if spec.port else "every port weir uses"
            self._record("backing_off", spec=self._digest, message=f"{where} is taken")
            self._exits_in_a_row += 1
            self._start_at = now + min(backoff_seconds(self._exits_in_a_row), 2.0)
            return
        generation = f"{time.time_ns():x}"
        # Written before the start: whoever finds this status after a crash in between looks for
        # a process with this marker instead of starting a second one.
        self._record(
            "starting",
            message="",
            port=port,
            spec=self._digest,
            generation=generation,
            restarts=0 if first else self.status.restarts + 1,
            grace_seconds=spec.grace_seconds,
            labels=dict(spec.labels),
        )
        try:
            self._running = launch(spec, self._around.home, port, generation)
        except OSError as error:
            self._back_off(now, _CANNOT_EXECUTE, f"cannot start {spec.argv[0]}: {error.strerror}")
            return
        except WeirError as error:
            self._back_off(now, _CANNOT_EXECUTE, str(error))
            return
        self._ready_since = None
        self._ask_from(spec, port, now)
        self._say(f"started, pid {self._running.pid}, port {port}")
        self._record(
            "starting" if spec.readiness else "ready",
            pid=self._running.pid,
            process_started_at=self._running.process_started_at,
            boot=pids.boot(),
        )

    def _choose_port(self, spec: ProcessSpec) -> int | None:
        if spec.port is not None:
            if not is_free(spec.port):
                raise OSError(f"port {spec.port} is taken")
            return spec.port
        if spec.needs_port:
            return free_port(self._around.ports_in_use(), kept=self.status.port)
        return None

    def _ask_from(self, spec: ProcessSpec, port: int | None, now: float) -> None:
        executor = self._around.probing
        self._readiness = self._liveness = None
        if spec.readiness is not None:
            self._readiness = Prober(spec.readiness, port, executor, now, impatient=True)
        if spec.liveness is not None:
            self._liveness = Prober(spec.liveness, port, executor, now)
            if self._ready_since is not None:
                self._liveness.hurry(now)

    def _watch(self, spec: ProcessSpec, now: float) -> None:
        if self._readiness is None and self._liveness is None:
            self._ask_from(spec, self.status.port, now)
        ready, reason = True, ""
        if self._readiness is not None:
            self._readiness.step(now)
            ready, reason = bool(self._readiness.well), self._readiness.reason
            if self._readiness.well is None and self.status.state == "ready":
                return  # adopted: what was last known holds until the first answers
        if ready and self._ready_since is None:
            self._ready_since = now
            if self._liveness is not None:
                self._liveness.hurry(now)
        if ready:
            self._record("ready", message="", failed_starts=0)
        else:
            self._record("starting" if self._ready_since is None else "unready", message=reason)
        if self._liveness is not None:
            self._liveness.step(now)
            if self._liveness.well is False:
                self._begin_stop(f"not alive: {self._liveness.reason}", now, drain=False)

    def _begin_stop(self, reason: str, now: float, drain: bool = True) -> None:
        replica, address = self.replica_of, self.status.address
        draining = None
        if drain and replica and address:
            draining = Drain(
                self._around.gateways,
                self._around.draining,
                self.status.labels,
                address,
                now,
                self.status.grace_seconds,
            )
        self._say(reason)
        self._stop = _Stop(reason, draining)
        self._record("stopping", message=reason)

    def _continue_stop(self, stop: _Stop, running: Running, now: float) -> None:
        if stop.kill_at is None:
            if stop.drain is None or stop.drain.is_over(now):
                running.terminate()
                stop.kill_at = now + self.status.grace_seconds
        elif now >= stop.kill_at:
            running.kill()

    def _take_exit(self, running: Running, now: float) -> None:
        running.kill_rest()
        self._running = self._readiness = self._liveness = None
        stop, self._stop = self._stop, None
        code = running.exit_code
        if self.wanted is None or self._digest != self.status.spec:
            self._say(f"ended, exit {code}")
            self._record("stopping", pid=None, process_started_at=None, last_exit=code)
            return
        how = "ended" if code is None else describe_exit(code)
        self._back_off(now, code, f"{stop.reason}; {how}" if stop else how)

    def _back_off(self, now: float, code: int | None, message: str) -> None:
        healthy = self._ready_since is not None and now - self._ready_since >= HEALTHY_SECONDS
        self._exits_in_a_row = 1 if healthy else self._exits_in_a_row + 1
        was_ready = self._ready_since is not None
        failed = 0 if was_ready else self.status.failed_starts + 1
        first = was_ready and self._exits_in_a_row == 1
        pause = 0.0 if first else backoff_seconds(self._exits_in_a_row)
        self._start_at = now + pause
        self._say(f"{message}; next start in {pause:g} s")
        self._record(
            "backing_off",
            pid=None,
            process_started_at=None,
            last_exit=code,
            failed_starts=failed,
            message=message,
        )

    def _record(self, state: ProcessState, **changes: Any) -> None:
        status = dataclasses.replace(self.status, state=state, **changes)
        if status == self.status:
            return
        self.status = dataclasses.replace(status, changed_at=time.time())
        try:
            write_atomically(
                self._around.home.process_status(self.name),
                self.status.to_json(),
                PRIVATE_FILE,
                durable=False,
            )
        except WeirError as error:
            # Going on is safe: a process that no file knows of is found by its marker.
            self._say(f"cannot write the status: {error}")

    def _say(self, message: str) -> None:
        self._around.say(f"{self.name}: {message}")


def describe_exit(code: int) -> str:
    """An exit code, negative for a signal, in words."""
    return f"exited with code {code}" if code >= 0 else f"killed by signal {-code}"
