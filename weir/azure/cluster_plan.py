"""What an AKS cluster is to be like, and the rules that need nobody to be asked. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from weir.errors import UserError

LEAST_VCPUS = 12
"""Of all nodes together, unless the cluster is for development."""

ADVISED_VCPUS = 2
DEFAULT_VM_SIZE = "Standard_D4s_v5"
MOST_NODES = 1000
"""Of one pool."""

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")


class Purpose(StrEnum):
    FAST_PROD = "FastProd"
    DEV_TEST = "DevTest"


@dataclass(frozen=True)
class Network:
    """A subnet for the nodes, and the range that services get their addresses from."""

    vnet_name: str
    subnet_name: str
    service_cidr: str
    dns_service_ip: str
    vnet_resource_group: str = ""
    """The cluster's own when empty."""


@dataclass(frozen=True)
class Bounds:
    """Between how many nodes the autoscaler chooses."""

    minimum: int
    maximum: int

    def __str__(self) -> str:
        return f"{self.minimum} to {self.maximum}"

    def nearest(self, count: int) -> int:
        """The number between them that is nearest to ``count``."""
        return max(self.minimum, min(self.maximum, count))


@dataclass(frozen=True)
class GpuPool:
    """Nodes with graphics processors; they take nothing but versions that ask for one."""

    vm_size: str
    agent_count: int = 1
    autoscale: Bounds | None = None


@dataclass(frozen=True)
class ClusterPlan:
    """A cluster to be made. Without ``agent_count`` it gets 3 nodes, one if it is for development.

    ``zones`` are availability zones of the region. ``private_cluster`` gives the API server no
    public address. ``entra_id`` has Microsoft Entra ID say who may do what in the cluster.
    ``gateway_api`` turns on the managed Gateway API and the class approuting-istio.
    """

    location: str
    agent_count: int | None = None
    vm_size: str = DEFAULT_VM_SIZE
    cluster_purpose: Purpose = Purpose.FAST_PROD
    kubernetes_version: str = ""
    network: Network | None = None
    private_cluster: bool = False
    zones: tuple[str, ...] = ()
    gpu: GpuPool | None = None
    autoscale: Bounds | None = None
    entra_id: bool = False
    gateway_api: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def nodes(self) -> int:
        """How many there are in the beginning."""
        if self.agent_count is not None:
            return self.agent_count
        usual = 1 if self.cluster_purpose is Purpose.DEV_TEST else 3
        bounds = self.autoscale
        return usual if bounds is None else min(max(usual, bounds.minimum), bounds.maximum)

    @property
    def pools(self) -> tuple[tuple[str, str, int, Bounds | None], ...]:
        """What the rules and the service's quota are about: field, size, nodes, bounds."""
        own = ("agent_count", self.vm_size, self.nodes, self.autoscale)
        gpu = self.gpu
        if gpu is None:
            return (own,)
        return (own, ("gpu.agent_count", gpu.vm_size, gpu.agent_count, gpu.autoscale))


def require_name(name: str) -> None:
    """Raises UserError ``cluster.name`` for what AKS takes for no name."""
    if not _NAME.fullmatch(name):
        raise _wrong(
            "name",
            f"{name!r} can be no cluster: 1 to 63 letters, digits, - and _ that begin and end with"
            " a letter or a digit",
            "cluster_name",
        )


def require_valid(plan: ClusterPlan) -> None:
    """Raises UserError ``cluster.*`` for the first thing that is wrong whatever Azure says."""
    if not plan.location:
        raise _wrong("location", "a new cluster needs a location", "location")
    for field_name, _, nodes, bounds in plan.pools:
        require_nodes(nodes, bounds, field_name)
    if plan.network is not None:
        _require_network(plan.network)


def require_nodes(nodes: int, bounds: Bounds | None, where: str) -> None:
    """Raises UserError ``cluster.nodes`` for a number of nodes that no pool can have."""
    if not 1 <= nodes <= MOST_NODES:
        raise _wrong("nodes", f"{nodes} nodes are not between 1 and {MOST_NODES}", where)
    if bounds is None:
        return
    if not 1 <= bounds.minimum <= bounds.maximum <= MOST_NODES:
        raise _wrong("nodes", f"the autoscaler cannot choose from {bounds} nodes", where)
    if not bounds.minimum <= nodes <= bounds.maximum:
        raise _wrong("nodes", f"{nodes} nodes are outside of the autoscaler's {bounds}", where)


def require_enough(plan: ClusterPlan, vcpus: int) -> None:
    """Raises UserError ``cluster.too_small`` where the nodes, of ``vcpus`` each, are too few."""
    fewest = plan.autoscale.minimum if plan.autoscale else plan.nodes
    total = fewest * vcpus
    if plan.cluster_purpose is Purpose.DEV_TEST or total >= LEAST_VCPUS:
        return
    wanted = -(-LEAST_VCPUS // vcpus)
    raise UserError(
        "cluster.too_small",
        f"{fewest} x {plan.vm_size} have {total} vCPUs together; {LEAST_VCPUS} are the least for"
        f" cluster_purpose {Purpose.FAST_PROD}.",
        remedy=f"Take {wanted} nodes, a larger vm_size, or cluster_purpose {Purpose.DEV_TEST}.",
        where="agent_count",
    )


def advice(plan: ClusterPlan, vcpus: int) -> str:
    """What is allowed and yet unwise, in words; empty when there is nothing."""
    if plan.cluster_purpose is Purpose.DEV_TEST and vcpus < ADVISED_VCPUS:
        return (
            f"{plan.vm_size} has {vcpus} vCPU; at least {ADVISED_VCPUS} are advised, for what"
            " Kubernetes itself takes"
        )
    return ""


def network_of(
    vnet_name: str,
    subnet_name: str,
    service_cidr: str,
    dns_service_ip: str,
    vnet_resource_group: str = "",
) -> Network | None:
    """The network of these fields, None for none of them.

    Raises UserError ``cluster.network`` for some of them.
    """
    fields = {
        "vnet_name": vnet_name,
        "subnet_name": subnet_name,
        "service_cidr": service_cidr,
        "dns_service_ip": dns_service_ip,
    }
    given = {**fields, "vnet_resource_group": vnet_resource_group}
    if not any(given.values()):
        return None
    missing = [name for name, value in fields.items() if not value]
    if missing:
        said = next(name for name, value in given.items() if value)
        raise _wrong(
            "network", f"with {said} there have to be {' and '.join(missing)} as well", missing[0]
        )
    return Network(vnet_name, subnet_name, service_cidr, dns_service_ip, vnet_resource_group)


def _require_network(network: Network) -> None:
    try:
        services = ipaddress.ip_network(network.service_cidr)
    except ValueError:
        raise _wrong("network", f"{network.service_cidr!r} is no CIDR", "service_cidr") from None
    try:
        dns = ipaddress.ip_address(network.dns_service_ip)
    except ValueError:
        raise _wrong(
            "network", f"{network.dns_service_ip!r} is no address", "dns_service_ip"
        ) from None
    # AKS keeps the first address for the API server's own service.
    if dns not in services or int(dns) <= int(services.network_address) + 1:
        raise _wrong(
            "network",
            f"{dns} has to be inside of {services}, beyond its first address",
            "dns_service_ip",
        )


def _wrong(what: str, why: str, where: str) -> UserError:
    return UserError(
        f"cluster.{what}",
        f"{why}.",
        remedy="Correct it in the cluster's plan; nothing was touched.",
        where=where,
    )
