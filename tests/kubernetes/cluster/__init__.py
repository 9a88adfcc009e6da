"""A real Kubernetes control plane on loopback, built from Go modules; nodes are played by kwok."""

from tests.kubernetes.cluster.cluster import Cluster
from tests.kubernetes.cluster.errors import ClusterError

__all__ = ["Cluster", "ClusterError"]
