"""Workloads in memory, for flows and for code that only needs the port."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from weir.endpoint import Version
from weir.polling import PolledWatch
from weir.ports import Replica, ReplicaState, WorkloadStatus


class FakeWorkloads:
    """Replicas become ready at the ``ready_after``-th look at their status.

    A version in ``broken`` never does: its replicas fail at once, with these log lines.
    """

    def __init__(
        self, ready_after: int = 1, broken: Mapping[str, tuple[str, ...]] | None = None
    ) -> None:
        self.applied: list[tuple[str, Version]] = []
        self.removed: list[tuple[str, str]] = []
        self.ready_after = ready_after
        self.broken = dict(broken or {})
        self._running: dict[tuple[str, str], Version] = {}
        self._looks: dict[tuple[str, str], int] = {}
        self._logs: dict[tuple[str, str], dict[str, tuple[str, ...]]] = {}

    def apply(self, endpoint: str, version: Version) -> None:
        key = (endpoint, version.name)
        self.applied.append((endpoint, version))
        if self._running.get(key) == version:
            return
        self._running[key] = version
        self._looks[key] = 0
        lines = self.broken.get(version.name, (f"{version.name} listens",))
        self._logs[key] = dict.fromkeys(self._names(key), lines)

    def difference(self, endpoint: str, version: Version) -> tuple[str, ...]:
        return ()

    def watch(self, endpoint: str, version: str) -> PolledWatch:
        return PolledWatch(self, endpoint, version)

    def status(self, endpoint: str, version: str) -> WorkloadStatus | None:
        key = (endpoint, version)
        if key not in self._running:
            return None
        self._looks[key] += 1
        replicas = tuple(self._replica(key, name) for name in self._names(key))
        failed = f"{replicas[0].name} exited with code 3" if version in self.broken else ""
        return WorkloadStatus(version, len(replicas), replicas, failed)

    def versions(self, endpoint: str) -> tuple[str, ...]:
        return tuple(sorted(version for name, version in self._running if name == endpoint))

    def remove(self, endpoint: str, version: str) -> None:
        if self._running.pop((endpoint, version), None) is not None:
            self.removed.append((endpoint, version))

    def logs(self, endpoint: str, version: str, lines: int) -> Mapping[str, tuple[str, ...]]:
        found = self._logs.get((endpoint, version), {})
        return {name: written[-lines:] if lines else () for name, written in found.items()}

    def _names(self, key: tuple[str, str]) -> list[str]:
        count = self._running[key].deployment.initial_replicas()
        return [f"{key[0]}.{key[1]}.{number}" for number in range(count)]

    def _replica(self, key: tuple[str, str], name: str) -> Replica:
        number = int(name.rsplit(".", 1)[1])
        starting = Replica(name, ReplicaState.STARTING, f"127.0.0.1:{20_000 + number}")
        if key[1] in self.broken:
            return replace(starting, state=ReplicaState.BACKING_OFF, last_exit=3)
        if self._looks[key] >= self.ready_after:
            return replace(starting, state=ReplicaState.READY)
        return starting
