"""Prefect blocks: typed settings; the only place where flows choose adapters."""

from blocks.azure_cluster import AzureCluster
from blocks.azure_identity import AzureIdentity
from blocks.cluster import ClusterBlock, KubernetesCluster
from blocks.platforms import LocalPlatform, PlatformBlock, load_platform, open_platform
from weir.naming import LOCAL

__all__ = [
    "LOCAL",
    "AzureCluster",
    "AzureIdentity",
    "ClusterBlock",
    "KubernetesCluster",
    "LocalPlatform",
    "PlatformBlock",
    "load_platform",
    "open_platform",
]
