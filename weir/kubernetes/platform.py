"""The cluster as a platform: every port, served by one API server."""

from __future__ import annotations

from pathlib import Path

from kubernetes import client

from weir.clock import SystemClock
from weir.images.named import NamedImages
from weir.kubernetes.api import Api
from weir.kubernetes.asking import PATIENCE_SECONDS
from weir.kubernetes.clusters import KubernetesClusters
from weir.kubernetes.settings import ClusterSettings
from weir.kubernetes.state import KubernetesState
from weir.kubernetes.telemetry import GuardLogs
from weir.kubernetes.traffic import KubernetesTraffic
from weir.kubernetes.windows import KubernetesWindows
from weir.kubernetes.workloads import KubernetesWorkloads
from weir.ports import Images, Models, Platform, Telemetry
from weir.scoring import GatewayScorer


def kubernetes_platform(
    connection: client.ApiClient,
    settings: ClusterSettings,
    models: Models,
    cache: Path,
    *,
    images: Images | None = None,
    telemetry: Telemetry | None = None,
    patience_seconds: float = PATIENCE_SECONDS,
) -> Platform:
    """The platform in one namespace of the cluster. Asks nothing yet.

    ``models`` is the registry; ``cache`` a folder of this machine for what can be made again.
    Without ``images`` they are somebody else's, named in the release file; without ``telemetry``
    the guards' access logs are read through the API server.
    """
    api = Api(connection, settings.namespace, patience_seconds)
    return platform_on(api, settings, models, cache, images=images, telemetry=telemetry)


def platform_on(
    api: Api,
    settings: ClusterSettings,
    models: Models,
    cache: Path,
    *,
    images: Images | None = None,
    telemetry: Telemetry | None = None,
) -> Platform:
    """The same, with every call through ``api``."""
    traffic, state = KubernetesTraffic(api, settings), KubernetesState(api)
    return Platform(
        name="kubernetes",
        clusters=KubernetesClusters(api, settings),
        images=images or NamedImages(),
        workloads=KubernetesWorkloads(api, settings),
        traffic=traffic,
        telemetry=telemetry or GuardLogs(api, cache),
        models=models,
        state=state,
        windows=KubernetesWindows(api, state),
        scorer=GatewayScorer(traffic),
        clock=SystemClock(),
    )
