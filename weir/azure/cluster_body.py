"""What Azure is told to make of a plan. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from azure.mgmt.containerservice import models

from weir.azure.cluster_plan import Bounds, ClusterPlan, GpuPool, Network, Purpose
from weir.azure.managed_cluster import CREATED
from weir.azure.resource_ids import ResourceId

POOL = "weir"
GPU_POOL = "weirgpu"
GPU_TAINT = "sku=gpu:NoSchedule"
GPU_LABEL = {"weir/pool": "gpu"}


def body(plan: ClusterPlan, target: ResourceId, made_by: str) -> models.ManagedCluster:
    """What Azure is told to make; ``made_by`` becomes the value of the tag CREATED."""
    network = models.ContainerServiceNetworkProfile(
        network_plugin="azure",
        network_plugin_mode="overlay",
        load_balancer_sku="standard",
    )
    if plan.network is not None:
        network.service_cidr = plan.network.service_cidr
        network.dns_service_ip = plan.network.dns_service_ip
    properties = models.ManagedClusterProperties(
        dns_prefix=_dns_prefix(target.name),
        kubernetes_version=plan.kubernetes_version or None,
        agent_pool_profiles=list(_pools(plan, target)),
        network_profile=network,
        enable_rbac=True,
        oidc_issuer_profile=models.ManagedClusterOIDCIssuerProfile(enabled=True),
        security_profile=models.ManagedClusterSecurityProfile(
            workload_identity=models.ManagedClusterSecurityProfileWorkloadIdentity(enabled=True)
        ),
    )
    if plan.gateway_api:
        properties.ingress_profile = _ingress()
    if plan.private_cluster:
        properties.api_server_access_profile = models.ManagedClusterAPIServerAccessProfile(
            enable_private_cluster=True
        )
    if plan.entra_id:
        properties.aad_profile = models.ManagedClusterAADProfile(
            managed=True, enable_azure_rbac=True
        )
    is_for_production = plan.cluster_purpose is Purpose.FAST_PROD
    return models.ManagedCluster(
        location=plan.location,
        tags={**plan.tags, CREATED: made_by},
        identity=models.ManagedClusterIdentity(type="SystemAssigned"),
        sku=models.ManagedClusterSKU(name="Base", tier="Standard" if is_for_production else "Free"),
        properties=properties,
    )


def subnet_id(network: Network, target: ResourceId) -> str:
    group = network.vnet_resource_group or target.resource_group
    return (
        f"/subscriptions/{target.subscription_id}/resourceGroups/{group}/providers"
        f"/Microsoft.Network/virtualNetworks/{network.vnet_name}/subnets/{network.subnet_name}"
    )


def _pools(
    plan: ClusterPlan, target: ResourceId
) -> Iterator[models.ManagedClusterAgentPoolProfile]:
    subnet = subnet_id(plan.network, target) if plan.network else None
    common: dict[str, Any] = {
        "type": "VirtualMachineScaleSets",
        "os_type": "Linux",
        "vnet_subnet_id": subnet,
        "availability_zones": list(plan.zones) or None,
    }
    yield models.ManagedClusterAgentPoolProfile(
        name=POOL,
        mode="System",
        count=plan.nodes,
        vm_size=plan.vm_size,
        **_bounds(plan.autoscale),
        **common,
    )
    if plan.gpu is not None:
        yield _gpu_pool(plan.gpu, common)


def _gpu_pool(gpu: GpuPool, common: Mapping[str, Any]) -> models.ManagedClusterAgentPoolProfile:
    return models.ManagedClusterAgentPoolProfile(
        name=GPU_POOL,
        mode="User",
        count=gpu.agent_count,
        vm_size=gpu.vm_size,
        node_taints=[GPU_TAINT],
        node_labels=GPU_LABEL,
        **_bounds(gpu.autoscale),
        **common,
    )


def _bounds(autoscale: Bounds | None) -> dict[str, Any]:
    if autoscale is None:
        return {}
    return {
        "enable_auto_scaling": True,
        "min_count": autoscale.minimum,
        "max_count": autoscale.maximum,
    }


def _ingress() -> models.ManagedClusterIngressProfile:
    istio = models.ManagedClusterAppRoutingIstio(mode="Enabled")
    return models.ManagedClusterIngressProfile(
        gateway_api=models.ManagedClusterIngressProfileGatewayConfiguration(
            installation="Standard"
        ),
        web_app_routing=models.ManagedClusterIngressProfileWebAppRouting(
            gateway_api_implementations=(
                models.ManagedClusterWebAppRoutingGatewayAPIImplementations(app_routing_istio=istio)
            )
        ),
    )


def _dns_prefix(name: str) -> str:
    return "".join(one if one.isalnum() else "-" for one in name)[:54].strip("-") or "weir"
