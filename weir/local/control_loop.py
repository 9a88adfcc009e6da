"""The supervisor's loop over all processes of a home.

Like a kubelet it compares specs with what runs, again and again, and keeps nothing in memory that
it could not find out after its own death: a new supervisor reads specs and statuses, finds the
processes by pid, start time and marker, and goes on with them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from weir.local import pids, process_logs
from weir.local.disk import keep_reserve
from weir.local.draining import Addresses, Gateways, LocalGateways, Publisher
from weir.local.home import Home
from weir.local.launching import Running, marker
from weir.local.processes import ProcessSpec, ProcessStatus, ProcessTable
from weir.local.supervised import Supervised, Surroundings

ROTATE_EVERY_SECONDS = 5.0
TIDY_EVERY_SECONDS = 3600.0
LOG_LIFE_SECONDS = 7 * 86_400.0
"""How long the log of a process that is not wanted any more is kept."""

GATEWAY_SUFFIX = ".gateway"

LOG = "supervisor"
"""Name of the supervisor's own log."""

ROTATE_LOGS_EVERY_SECONDS = 1.0

# A thread is started when none is idle. A probe of a replica that hangs takes as long as its
# scoring timeout, and those of one endpoint must not keep all others waiting.
_PROBING_THREADS = 1024
_DRAINING_THREADS = 64


class ControlLoop:
    """Steps every process of one home. At most one at a time may exist: see ``supervisor``."""

    def __init__(
        self, home: Home, gateways: Gateways | None = None, say: Callable[[str], None] = print
    ) -> None:
        self._home = home
        self._folder = home.processes
        self._table = ProcessTable(home)
        self._gateways = gateways or LocalGateways(home)
        self._probing = ThreadPoolExecutor(_PROBING_THREADS, thread_name_prefix="weir-probe")
        self._draining = ThreadPoolExecutor(_DRAINING_THREADS, thread_name_prefix="weir-drain")
        self._publisher = Publisher(self._gateways, say)
        self.say = say
        self._processes: dict[str, Supervised] = {}
        self._specs: dict[str, ProcessSpec] = {}
        self._files: dict[str, tuple[int, int, int]] = {}
        self._rotate_at = 0.0
        self._rotate_logs_at = 0.0
        self._tidy_at = 0.0
        self._halting = False
        self._around = Surroundings(
            home, self._probing, self._draining, self._gateways, self._ports, say
        )

    def adopt(self, now: float) -> None:
        """Take over what an earlier supervisor started; end what no status knows of."""
        marked: dict[str, list[int]] = {}
        for pid, mark in pids.marked(f"{self._home.digest}/"):
            marked.setdefault(mark, []).append(pid)
        for name in self._table.names():
            seen = self._table.recorded(name)
            if seen is None:
                continue
            own = {m: pids_ for m, pids_ in marked.items() if m.split("/")[1] == name}
            running = _find(seen, marker(self._home, name, seen.generation), own)
            if running is not None:
                marked.pop(running.marker, None)
            self._processes[name] = Supervised(name, self._around, seen, running, now)
        for mark, orphans in marked.items():
            if pids.is_in_use(mark):
                continue
            self.say(f"ending what is left of {mark}: {orphans}")
            for pid in orphans:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)

    def step(self, now: float) -> None:
        """Everything that is due now. Never blocks."""
        self._read_specs()
        for name in self._specs.keys() - self._processes.keys():
            if not self._halting:
                self._processes[name] = Supervised(name, self._around, now=now)
        for process in list(self._processes.values()):
            process.want(self._wanted(process))
            process.forget = process.name not in self._specs
            try:
                process.step(now, self._may_replace(process))
            except Exception as error:  # noqa: BLE001 the other processes still need their steps
                self.say(f"{process.name}: this step failed: {error!r}")
            if process.gone:
                del self._processes[process.name]
        self._publisher.publish(self._addresses())
        if now >= self._rotate_logs_at:
            self._rotate_logs_at = now + ROTATE_LOGS_EVERY_SECONDS
            for name in (LOG, *self._processes):
                process_logs.rotate(self._home.log(name))
        if now >= self._rotate_at:
            self._rotate_at = now + ROTATE_EVERY_SECONDS
            self._rotate_access_logs()
        if now >= self._tidy_at and not self._halting:
            self._tidy_at = now + TIDY_EVERY_SECONDS
            kept = {LOG, *self._specs, *self._processes}
            process_logs.remove_old(self._home.logs, kept, time.time() - LOG_LIFE_SECONDS)
            keep_reserve(self._home.reserve)

    def halt(self) -> None:
        """From now on nothing is wanted; specs stay, so that a later supervisor restores all."""
        self._halting = True

    def abandon(self) -> None:
        """Kill every process at once: the home is gone, nobody could find them again."""
        for pid, _ in pids.marked(f"{self._home.digest}/"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    @property
    def is_done(self) -> bool:
        return self._halting and not self._processes

    def close(self) -> None:
        for executor in (self._probing, self._draining):
            executor.shutdown(wait=False, cancel_futures=True)

    def _wanted(self, process: Supervised) -> ProcessSpec | None:
        if not self._halting:
            return self._specs.get(process.name)
        # Replicas first, while their gateways can still finish requests.
        if process.replica_of is None and any(p.replica_of for p in self._processes.values()):
            return self._specs.get(process.name)
        return None

    def _may_replace(self, process: Supervised) -> bool:
        """Whether a changed replica may go now: one at a time, the unready ones first."""
        if process.replica_of is None or process.status.state != "ready":
            return True
        siblings = [
            other
            for other in self._processes.values()
            if other is not process and other.replica_of == process.replica_of and other.wanted
        ]
        return all(other.status.state == "ready" for other in siblings)

    def _read_specs(self) -> None:
        found = set()
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or not entry.name.endswith(".json"):
                    continue
                if entry.name.endswith(".status.json"):
                    continue
                name = entry.name.removesuffix(".json")
                found.add(name)
                with contextlib.suppress(FileNotFoundError):
                    self._read_spec(name, entry.stat())
        for name in self._specs.keys() - found:
            del self._specs[name], self._files[name]

    def _read_spec(self, name: str, file: os.stat_result) -> None:
        identity = (file.st_mtime_ns, file.st_ino, file.st_size)
        if self._files.get(name) == identity:
            return
        spec = self._table.spec(name)
        if spec is None:
            self.say(f"{name}: its spec is unreadable; what runs stays as it is")
            return
        self._specs[name], self._files[name] = spec, identity

    def _addresses(self) -> dict[tuple[str, str], Addresses]:
        wanted: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for process in self._processes.values():
            if process.replica_of is not None:
                addresses = wanted.setdefault(process.replica_of, [])
                if process.published is not None:
                    addresses.append(process.published)
        return {key: tuple(sorted(addresses)) for key, addresses in wanted.items()}

    def _ports(self) -> set[int]:
        specs = (spec.port for spec in self._specs.values())
        statuses = (process.status.port for process in self._processes.values())
        return {port for port in (*specs, *statuses) if port}

    def _rotate_access_logs(self) -> None:
        for name in self._processes:
            if name.endswith(GATEWAY_SUFFIX) and name in self._specs:
                try:
                    self._gateways.rotate_access_log(name.removesuffix(GATEWAY_SUFFIX))
                except Exception as error:  # noqa: BLE001 logs must not stop the processes
                    self.say(f"{name}: cannot rotate the access log: {error!r}")


def _find(seen: ProcessStatus, mark: str, marked: Mapping[str, Sequence[int]]) -> Running | None:
    """The process of a status, when it still runs; ``marked`` has all of its name by marker."""
    if seen.pid is not None and pids.is_alive(seen.pid, seen.process_started_at, seen.boot):
        found = pids.marker_of(seen.pid)
        if found is None or found == mark:
            return Running(seen.pid, seen.process_started_at, mark)
    # The supervisor may have died between the start and writing the pid down, or the disk was
    # full when it restarted the process. Generations are times of start.
    for each in sorted(marked, key=lambda m: (m == mark, m), reverse=True):
        leader = next((pid for pid in marked[each] if pids.is_leader(pid)), None)
        if leader is not None:
            return Running(leader, pids.started_at(leader), each)
    return None
