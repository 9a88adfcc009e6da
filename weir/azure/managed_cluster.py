"""An AKS cluster as Azure has it: what weir looks at of the SDK's model. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from azure.mgmt.containerservice import models

from weir.azure.cluster_plan import Bounds
from weir.azure.refusals import said_in
from weir.azure.said import Said

CREATED = "weir-created"
"""Tag of what weir made, and therefore may delete."""

SUCCEEDED = "Succeeded"
_FAILED = ("Failed", "Canceled")


@dataclass(frozen=True)
class Pool:
    """Nodes of one size."""

    name: str
    vm_size: str
    count: int
    autoscale: Bounds | None = None
    zones: tuple[str, ...] = ()
    subnet_id: str = ""
    mode: str = ""

    def __str__(self) -> str:
        bounds = f" (autoscaler {self.autoscale})" if self.autoscale else ""
        return f"{self.count} x {self.vm_size}{bounds}"


@dataclass(frozen=True)
class Found:
    """A cluster that is there. ``state`` is Azure's provisioningState."""

    name: str
    location: str
    state: str
    is_running: bool = True
    kubernetes_version: str = ""
    pools: tuple[Pool, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    has_gateway_api: bool = False
    has_oidc_issuer: bool = False
    has_workload_identity: bool = False
    has_entra_id: bool = False
    is_private: bool = False
    network_mode: str = ""
    service_cidr: str = ""
    dns_service_ip: str = ""
    kubelet_id: str = ""
    """Object id of the identity that nodes pull images with."""
    principal_id: str = ""
    """Object id of the cluster's own identity."""
    created_at: datetime | None = None
    error: Said | None = None

    @property
    def is_weirs(self) -> bool:
        return CREATED in self.tags

    @property
    def is_settled(self) -> bool:
        """Whether nothing is under way."""
        return self.state == SUCCEEDED or self.has_failed

    @property
    def has_failed(self) -> bool:
        return self.state in _FAILED

    @property
    def nodes(self) -> int:
        return sum(pool.count for pool in self.pools)


def found_in(cluster: models.ManagedCluster) -> Found:
    """What weir looks at of a cluster."""
    given = cluster.properties or models.ManagedClusterProperties()
    network = given.network_profile or models.ContainerServiceNetworkProfile()
    error = given.status.provisioning_error if given.status else None
    kubelet = (given.identity_profile or {}).get("kubeletidentity")
    server = given.api_server_access_profile
    security = given.security_profile
    ingress = given.ingress_profile
    created = cluster.system_data.created_at if cluster.system_data else None
    return Found(
        name=str(cluster.name or ""),
        location=str(cluster.location or ""),
        state=str(given.provisioning_state or ""),
        is_running=given.power_state is None or given.power_state.code != "Stopped",
        kubernetes_version=str(given.current_kubernetes_version or given.kubernetes_version or ""),
        pools=tuple(_found_pools(given.agent_pool_profiles or ())),
        tags=dict(cluster.tags or {}),
        has_gateway_api=bool(
            ingress and ingress.gateway_api and ingress.gateway_api.installation == "Standard"
        ),
        has_oidc_issuer=bool(given.oidc_issuer_profile and given.oidc_issuer_profile.enabled),
        has_workload_identity=bool(
            security and security.workload_identity and security.workload_identity.enabled
        ),
        has_entra_id=bool(given.aad_profile and given.aad_profile.managed),
        is_private=bool(server and server.enable_private_cluster),
        network_mode=_text(network.network_plugin_mode),
        service_cidr=str(network.service_cidr or ""),
        dns_service_ip=str(network.dns_service_ip or ""),
        kubelet_id=str((kubelet and kubelet.object_id) or ""),
        principal_id=str((cluster.identity and cluster.identity.principal_id) or ""),
        created_at=created,
        error=said_in(error.as_dict()) if error is not None else None,
    )


def _found_pools(
    profiles: Iterable[models.ManagedClusterAgentPoolProfile],
) -> Iterator[Pool]:
    for one in profiles:
        autoscale = Bounds(one.min_count or 0, one.max_count or 0)
        yield Pool(
            name=str(one.name),
            vm_size=str(one.vm_size or ""),
            count=int(one.count or 0),
            autoscale=autoscale if one.enable_auto_scaling else None,
            zones=tuple(sorted(one.availability_zones or ())),
            subnet_id=str(one.vnet_subnet_id or ""),
            mode=_text(one.mode),
        )


def _text(value: str | Enum | None) -> str:
    return str(value.value if isinstance(value, Enum) else value or "")
