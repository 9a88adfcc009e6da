"""What can be known of a plan before Azure is told to make it, and costs nobody 20 minutes."""

from __future__ import annotations

from collections.abc import Mapping

from weir.azure import vm_sizes
from weir.azure.aks import Aks
from weir.azure.asking import Asking
from weir.azure.cluster_plan import (
    ClusterPlan,
    advice,
    require_enough,
    require_name,
    require_valid,
)
from weir.azure.vm_sizes import Size
from weir.errors import PermanentError, TemporaryError, UserError
from weir.ports import Say


def require_possible(aks: Aks, plan: ClusterPlan, say: Say) -> None:
    """Raises UserError for a plan that Azure would refuse, or that is against weir's own rules.

    ``say`` hears what is unwise, and what could not be looked up.
    """
    require_name(aks.target.name)
    require_valid(plan)
    sizes = _sizes(aks, plan.location, say)
    vcpus = 0
    for place, (field, vm_size, _, _) in enumerate(plan.pools):
        where = field.replace("agent_count", "vm_size")
        count = vm_sizes.vcpus_by_name(vm_size)
        if sizes is not None:
            count = vm_sizes.require(sizes, vm_size, plan.location, plan.zones, where).vcpus
        vcpus = count if place == 0 else vcpus
    if vcpus:
        require_enough(plan, vcpus)
        if told := advice(plan, vcpus):
            say(told)
    else:
        say(f"how many vCPUs {plan.vm_size} has is not known; Azure's quota decides")
    if plan.kubernetes_version:
        _require_version(aks, plan)


def _sizes(aks: Aks, location: str, say: Say) -> Mapping[str, Size] | None:
    try:
        return vm_sizes.parse(_entries(aks.asking, aks.target.subscription_id, location), location)
    except (PermanentError, TemporaryError) as error:
        if error.reason in _ABOUT_ALL:
            raise
        say(f"the region's sizes cannot be looked up ({error.reason}); going by their names")
        return None


_ABOUT_ALL = ("azure.subscription_missing", "azure.tenant_wrong", "azure.unauthorized")
"""What any other question would be refused for as well."""


def _entries(asking: Asking, subscription_id: str, location: str) -> list[dict[str, object]]:
    address = f"/subscriptions/{subscription_id}/providers/Microsoft.Compute/skus"
    params = {"$filter": f"location eq '{location}'"}
    found: list[dict[str, object]] = []
    while address:
        answer = asking.arm(
            "GET",
            address,
            "list the sizes of virtual machines",
            version=vm_sizes.VERSION,
            where=f"subscription {subscription_id}",
            params=params,
        ).json()
        found += answer.get("value") or ()
        address, params = str(answer.get("nextLink") or ""), {}
    return found


def _require_version(aks: Aks, plan: ClusterPlan) -> None:
    there = aks.versions(plan.location)
    if plan.kubernetes_version in there:
        return
    minor = sorted({one for one in there if one.count(".") == 1}, key=_numbers)
    raise UserError(
        "azure.kubernetes_version",
        f"{plan.location} has no Kubernetes {plan.kubernetes_version}; it has"
        f" {', '.join(minor) or 'none'}.",
        remedy="Choose one of them, or leave kubernetes_version empty for Azure's default.",
        where="kubernetes_version",
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
