"""In what a cluster that is there differs from a plan, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from weir.azure.cluster_body import GPU_POOL, POOL, subnet_id
from weir.azure.cluster_plan import Bounds, ClusterPlan
from weir.azure.managed_cluster import Found, Pool
from weir.azure.resource_ids import ResourceId


def differences(plan: ClusterPlan, found: Found, target: ResourceId) -> tuple[str, ...]:
    """What of ``found`` is not as planned, a line each: what there is, and what was wanted.

    Nodes that an autoscaler chose and tags beside the plan's are no differences.
    """
    return tuple(
        f"{name}: is {is_now}, planned {wanted}"
        for name, is_now, wanted in _compared(plan, found, target)
        if is_now != wanted
    )


def _compared(
    plan: ClusterPlan, found: Found, target: ResourceId
) -> Iterator[tuple[str, object, object]]:
    yield "location", _place(found.location), _place(plan.location)
    if plan.kubernetes_version:
        # A patch level that Azure put on top of the minor version is none of the plan's.
        length = len(plan.kubernetes_version.split("."))
        there = ".".join(found.kubernetes_version.split(".")[:length])
        yield "kubernetes_version", there, plan.kubernetes_version
    pools = {pool.name: pool for pool in found.pools}
    own = pools.get(POOL) or next((one for one in found.pools if one.mode == "System"), None)
    yield from _compared_pool("", own, plan.vm_size, plan.nodes, plan.autoscale)
    if own is not None:
        yield "zones", _listed(own.zones), _listed(plan.zones)
        wanted = subnet_id(plan.network, target).lower() if plan.network else "none"
        yield "subnet", own.subnet_id.lower() or "none", wanted
    if plan.network is not None:
        yield "service_cidr", found.service_cidr, plan.network.service_cidr
        yield "dns_service_ip", found.dns_service_ip, plan.network.dns_service_ip
    if plan.gpu is not None:
        gpu = plan.gpu
        there_is = pools.get(GPU_POOL)
        yield from _compared_pool("gpu.", there_is, gpu.vm_size, gpu.agent_count, gpu.autoscale)
    yield "network plugin", found.network_mode or "not overlay", "overlay"
    if plan.gateway_api:
        yield "gateway_api", _on(found.has_gateway_api), "on"
    yield "OIDC issuer", _on(found.has_oidc_issuer), "on"
    yield "workload identity", _on(found.has_workload_identity), "on"
    yield "private_cluster", _on(found.is_private), _on(plan.private_cluster)
    yield "entra_id", _on(found.has_entra_id), _on(plan.entra_id)
    for name, value in plan.tags.items():
        yield f"tag {name}", found.tags.get(name, "not there"), value


def _compared_pool(
    prefix: str, pool: Pool | None, vm_size: str, nodes: int, autoscale: Bounds | None
) -> Iterator[tuple[str, object, object]]:
    if pool is None:
        yield f"{prefix}nodes", "none", f"{nodes} x {vm_size}"
        return
    yield f"{prefix}vm_size", pool.vm_size.lower(), vm_size.lower()
    yield f"{prefix}autoscale", pool.autoscale or "off", autoscale or "off"
    if autoscale is None and pool.autoscale is None:
        yield f"{prefix}agent_count", pool.count, nodes


def _place(location: str) -> str:
    """West Europe and westeurope are one region."""
    return location.replace(" ", "").lower()


def _listed(zones: tuple[str, ...]) -> str:
    return ", ".join(sorted(zones)) or "none"


def _on(value: bool) -> str:
    return "on" if value else "off"
