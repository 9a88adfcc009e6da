"""Replicas as supervised processes of this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from weir.endpoint import Version
from weir.local import process_logs
from weir.local.home import Home
from weir.local.images import LocalImages
from weir.local.model_servers import replica_spec
from weir.local.processes import ProcessStatus, ProcessTable
from weir.local.supervisor import ensure_supervisor
from weir.polling import PolledWatch
from weir.ports import Replica, ReplicaState, WorkloadStatus

FAILED_STARTS = 2
"""A replica that ended this often in a row without having been ready counts as failed."""

GATEWAY = "gateway"

_REPLICA = re.compile(r"(?P<version>[a-z0-9-]+)\.(?P<number>\d+)")
_WAIT_MARGIN_SECONDS = 15.0


class LocalWorkloads:
    """Implements ``Workloads``. Nothing scales by load here: the first number of replicas stays.

    A changed version is replaced replica by replica, as the supervisor sees the others ready.
    """

    def __init__(self, home: Path) -> None:
        self._home = Home(home)
        self._table = ProcessTable(self._home)
        self._images = LocalImages(home)

    def apply(self, endpoint: str, version: Version) -> None:
        """Raises PermanentError ``image.unknown``, ``supervisor.not_started`` or ``disk.*``."""
        image = self._images.folder(version.image)
        wanted = version.deployment.initial_replicas()
        for number in range(wanted):
            self._table.put(replica_spec(endpoint, version, number, image))
        for name in self._replicas(endpoint, version.name):
            if _number(name) >= wanted:
                self._table.remove(name)
        ensure_supervisor(self._home)

    def difference(self, endpoint: str, version: Version) -> tuple[str, ...]:  # noqa: ARG002
        """Nothing: processes have no more to them than the plan says already."""
        return ()

    def watch(self, endpoint: str, version: str) -> PolledWatch:
        return PolledWatch(self, endpoint, version)

    def status(self, endpoint: str, version: str) -> WorkloadStatus | None:
        names = self._replicas(endpoint, version)
        desired = sum(self._table.spec(name) is not None for name in names)
        statuses = [status for name in names if (status := self._table.status(name))]
        if not statuses:
            return None
        failed = next((s for s in statuses if s.failed_starts >= FAILED_STARTS), None)
        return WorkloadStatus(
            version=version,
            desired=desired,
            replicas=tuple(_replica(status) for status in statuses),
            failed=f"{failed.name} {failed.message}" if failed else "",
        )

    def versions(self, endpoint: str) -> tuple[str, ...]:
        found = {
            match["version"]
            for name in self._table.names(f"{endpoint}.")
            if (match := _REPLICA.fullmatch(name.removeprefix(f"{endpoint}.")))
        }
        return tuple(sorted(found))

    def remove(self, endpoint: str, version: str) -> None:
        """Raises TemporaryError ``process.not_gone`` when a replica does not end."""
        names = self._replicas(endpoint, version)
        if not names:
            return
        statuses = {name: self._table.recorded(name) for name in names}
        for name in names:
            self._table.remove(name)
        ensure_supervisor(self._home)
        for name, status in statuses.items():
            # Draining and ending may each take the grace time.
            grace_seconds = status.grace_seconds if status else 0.0
            self._table.wait_gone(name, 2 * grace_seconds + _WAIT_MARGIN_SECONDS)

    def logs(self, endpoint: str, version: str, lines: int) -> Mapping[str, tuple[str, ...]]:
        """See Workloads. ``gateway`` stands for the endpoint's gateway too."""
        prefix = f"{endpoint}.{version}."
        names = {path.name.removesuffix(".log") for path in self._home.logs.glob(f"{prefix}*.log")}
        found = [name for name in sorted(names, key=_number) if name.removeprefix(prefix).isdigit()]
        gateway = f"{endpoint}.{version}"
        if version == GATEWAY and self._home.log(gateway).exists():
            found.append(gateway)
        return {name: process_logs.last_lines(self._home.log(name), lines) for name in found}

    def _replicas(self, endpoint: str, version: str) -> list[str]:
        prefix = f"{endpoint}.{version}."
        found = self._table.names(prefix)
        return sorted((n for n in found if n.removeprefix(prefix).isdigit()), key=_number)


def _number(name: str) -> int:
    last = name.rsplit(".", 1)[-1]
    return int(last) if last.isdigit() else -1


def _replica(status: ProcessStatus) -> Replica:
    state = ReplicaState.STOPPING if status.state == "stopped" else ReplicaState(status.state)
    return Replica(
        name=status.name,
        state=state,
        address=status.address,
        pid=status.pid,
        restarts=status.restarts,
        last_exit=status.last_exit,
        message=status.message,
    )
