"""What an AKS cluster is to be like that a block has made."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from weir.azure.cluster_plan import (
    DEFAULT_VM_SIZE,
    Bounds,
    ClusterPlan,
    GpuPool,
    Purpose,
    network_of,
)


class AutoscalerBounds(BaseModel):
    """Between how many nodes the cluster's autoscaler chooses."""

    model_config = ConfigDict(extra="forbid")

    minimum: int = Field(ge=1)
    maximum: int = Field(ge=1)

    def chosen(self) -> Bounds:
        return Bounds(self.minimum, self.maximum)


class GpuNodes(BaseModel):
    """A pool for versions that ask for gpu_cores; it takes no others."""

    model_config = ConfigDict(extra="forbid")

    vm_size: str
    agent_count: int = Field(default=1, ge=1)
    autoscale: AutoscalerBounds | None = None


class NewCluster(BaseModel):
    """What a cluster is to be like that weir makes where there is none."""

    model_config = ConfigDict(extra="forbid")

    location: str
    agent_count: int | None = Field(
        default=None, ge=1, description="3 nodes when empty, 1 with cluster_purpose DevTest."
    )
    vm_size: str = DEFAULT_VM_SIZE
    cluster_purpose: Purpose = Purpose.FAST_PROD
    kubernetes_version: str = Field(default="", description="Azure's default when empty.")
    vnet_resource_group: str = Field(default="", description="The cluster's own when empty.")
    vnet_name: str = ""
    subnet_name: str = ""
    service_cidr: str = ""
    dns_service_ip: str = ""
    private_cluster: bool = Field(
        default=False, description="The API server gets no public address."
    )
    zones: list[str] = Field(default_factory=list, description="Availability zones.")
    gpu: GpuNodes | None = None
    autoscale: AutoscalerBounds | None = None
    entra_id: bool = Field(
        default=False, description="Microsoft Entra ID and Azure RBAC say who may do what inside."
    )
    gateway_api: bool = Field(
        default=True, description="Managed Gateway API, with the class approuting-istio."
    )
    tags: dict[str, str] = Field(default_factory=dict)

    def plan(self) -> ClusterPlan:
        """Raises UserError ``cluster.network`` for half a network."""
        gpu = self.gpu
        return ClusterPlan(
            # "West Europe" is what people see, and westeurope what services compare with.
            location=self.location.lower().replace(" ", ""),
            agent_count=self.agent_count,
            vm_size=self.vm_size,
            cluster_purpose=self.cluster_purpose,
            kubernetes_version=self.kubernetes_version,
            network=network_of(
                self.vnet_name,
                self.subnet_name,
                self.service_cidr,
                self.dns_service_ip,
                self.vnet_resource_group,
            ),
            private_cluster=self.private_cluster,
            zones=tuple(self.zones),
            gpu=GpuPool(
                gpu.vm_size, gpu.agent_count, gpu.autoscale.chosen() if gpu.autoscale else None
            )
            if gpu
            else None,
            autoscale=self.autoscale.chosen() if self.autoscale else None,
            entra_id=self.entra_id,
            gateway_api=self.gateway_api,
            tags=dict(self.tags),
        )
