"""The local cluster: a home folder, and the supervisor that runs processes in it."""

from __future__ import annotations

from pathlib import Path

from weir.local.home import Home
from weir.local.supervisor import ensure_supervisor, running_supervisor
from weir.ports import ClusterStatus, Say, unsaid


class LocalClusters:
    """Implements ``Clusters``. The one cluster is called ``local``."""

    def __init__(self, home: Path) -> None:
        self._home = Home(home)

    def status(self) -> ClusterStatus:
        pid = running_supervisor(self._home)
        message = "nothing runs" if pid is None else f"supervisor {pid} in {self._home.root}"
        return ClusterStatus("local", pid is not None, message)

    def check(self) -> tuple[str, ...]:
        """Nothing: a home has what it needs."""
        return ()

    def ensure(self, say: Say = unsaid) -> ClusterStatus:
        """Raises PermanentError ``supervisor.not_started`` or ``disk.*``."""
        say(f"seeing that the supervisor of {self._home.root} runs")
        ensure_supervisor(self._home)
        return self.status()
