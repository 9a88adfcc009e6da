"""The local platform: every port, served by this machine."""

from __future__ import annotations

from pathlib import Path

from weir.clock import SystemClock
from weir.local.clusters import LocalClusters
from weir.local.gateway import LocalTraffic
from weir.local.home import Home, default_home
from weir.local.images import LocalImages
from weir.local.models import LocalModels
from weir.local.state import LocalState
from weir.local.telemetry import LocalTelemetry
from weir.local.windows import LocalWindows
from weir.local.workloads import LocalWorkloads
from weir.ports import Platform
from weir.scoring import GatewayScorer


def local_platform(home: Path | None = None) -> Platform:
    """The platform in ``home`` (WEIR_HOME or ~/.weir by default). Starts nothing.

    Raises PermanentError ``home.not_yours``.
    """
    root = home or default_home()
    Home(root).require_access()
    traffic = LocalTraffic(root)
    return Platform(
        name="local",
        clusters=LocalClusters(root),
        images=LocalImages(root),
        workloads=LocalWorkloads(root),
        traffic=traffic,
        telemetry=LocalTelemetry(root),
        models=LocalModels(root),
        state=LocalState(root),
        windows=LocalWindows(root),
        scorer=GatewayScorer(traffic),
        clock=SystemClock(),
    )
