"""How a platform uses its cluster: what the block KubernetesCluster holds, as a frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DEFAULT_GUARD_IMAGE = "envoyproxy/envoy:distroless-v1.40.0"
"""The Envoy that the guard was tried with, as its project publishes it."""


@dataclass(frozen=True)
class Toleration:
    """What a pod puts up with of a node. An empty ``value`` tolerates every value of ``key``."""

    key: str
    value: str = ""
    effect: str = ""


@dataclass(frozen=True)
class SharedGateway:
    """A Gateway that somebody else keeps; endpoints are told apart by host or by path."""

    name: str
    namespace: str


@dataclass(frozen=True)
class ClusterSettings:
    """Where and how endpoints live in a cluster.

    ``namespace`` holds everything of every endpoint; with ``create_namespace`` it is made when it
    is missing. Without ``shared_gateway`` each endpoint has a Gateway of ``gateway_class`` for
    itself. ``host_suffix`` gives endpoint fraud the host fraud.<host_suffix>; without it an
    endpoint behind a shared gateway is reached below the path /fraud. ``tls_secret`` names a
    Secret with a certificate: the endpoint's own Gateway then listens with TLS on
    ``gateway_port``. ``collector`` is host:port of an OpenTelemetry collector for the guards.
    With ``token_issuer`` callers show a token of that issuer instead of a key; ``token_jwks`` is
    the issuer's JSON Web Key Set, as text. GPU settings hold for versions with gpu_cores only.
    ``propagation_seconds`` is how long a gateway takes from accepting a route to following it.
    """

    namespace: str = "weir"
    create_namespace: bool = False
    gateway_class: str = "approuting-istio"
    shared_gateway: SharedGateway | None = None
    gateway_port: int = 80
    gateway_annotations: Mapping[str, str] = field(default_factory=dict)
    gateway_timeout_seconds: float = 300
    host_suffix: str = ""
    tls_secret: str = ""
    image_pull_secret: str = ""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    gpu_node_selector: Mapping[str, str] = field(default_factory=dict)
    gpu_tolerations: tuple[Toleration, ...] = (
        Toleration("sku", "gpu", "NoSchedule"),
        Toleration("nvidia.com/gpu", "", "NoSchedule"),
    )
    gpu_resource: str = "nvidia.com/gpu"
    guard_image: str = DEFAULT_GUARD_IMAGE
    collector: str = ""
    token_issuer: str = ""
    token_audiences: tuple[str, ...] = ()
    token_jwks: str = ""
    propagation_seconds: float = 2
    unschedulable_patience_seconds: float = 20

    def host(self, endpoint: str) -> str:
        """The endpoint's host name; empty where it has none."""
        return f"{endpoint}.{self.host_suffix}" if self.host_suffix else ""

    def reached(self, endpoint: str) -> dict[str, str]:
        """How callers reach the endpoint, and what they have to show, as it is written on its
        route: another platform block must not change it unnoticed."""
        shared = self.shared_gateway
        return {
            "gateway": f"{shared.namespace}/{shared.name}" if shared else self.gateway_class,
            "port": str(self.gateway_port),
            "tls_secret": self.tls_secret,
            "host": self.host(endpoint),
            "path": self.path_prefix(endpoint),
            "token_issuer": self.token_issuer,
        }

    def path_prefix(self, endpoint: str) -> str:
        """The path below which the endpoint is reached: / or /fraud."""
        is_told_by_path = self.shared_gateway is not None and not self.host_suffix
        return f"/{endpoint}" if is_told_by_path else "/"
