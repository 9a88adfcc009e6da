"""AKS as a platform: every port of Kubernetes, and a cluster that Azure is asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from weir.azure.access import AksAccess, connect
from weir.azure.aks import Aks
from weir.azure.clusters import AzureClusters, Wanted
from weir.azure.provisioning import Provisioning
from weir.kubernetes.api import Api
from weir.kubernetes.asking import PATIENCE_SECONDS
from weir.kubernetes.certificates import Certificate, CertifiedClusters
from weir.kubernetes.clusters import KubernetesClusters
from weir.kubernetes.platform import platform_on
from weir.kubernetes.settings import ClusterSettings
from weir.ports import Clusters, Images, Models, Platform, Telemetry


def azure_platform(
    aks: Aks,
    access: AksAccess,
    settings: ClusterSettings,
    wanted: Wanted,
    models: Models,
    cache: Path,
    *,
    name: str = "NAME",
    certificate: Certificate | None = None,
    images: Images | None = None,
    telemetry: Telemetry | None = None,
    patience_seconds: float | None = None,
) -> Platform:
    """The platform on one AKS cluster, which need not be there yet. Asks nothing yet.

    ``name`` is that of its block, for commands in messages. ``images`` and ``telemetry`` as in
    ``kubernetes_platform``.
    """
    patience = PATIENCE_SECONDS if patience_seconds is None else patience_seconds
    api = Api(connect(aks, access), settings.namespace, patience)
    platform = platform_on(api, settings, models, cache, images=images, telemetry=telemetry)
    clusters = clusters_on(aks, api, settings, wanted, name=name, certificate=certificate)
    return replace(platform, name="azure", clusters=clusters)


def clusters_on(
    aks: Aks,
    api: Api,
    settings: ClusterSettings,
    wanted: Wanted,
    *,
    name: str = "NAME",
    certificate: Certificate | None = None,
) -> AzureClusters:
    """The cluster alone. ``api`` is the one inside."""
    inside: Clusters = KubernetesClusters(api, settings)
    if certificate is not None:
        inside = CertifiedClusters(inside, api, certificate)
    return AzureClusters(aks, inside, wanted, Provisioning(aks, wanted.plan, name))
