"""Plans that cannot be, or that are unwise, before Azure is told of them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.azure.aks import REGION
from tests.azure.conftest import Site
from weir.azure.cluster_plan import Bounds, ClusterPlan, GpuPool, Purpose
from weir.errors import UserError

PLAN = ClusterPlan(REGION)


def test_development_may_be_small_and_is_advised(site: Site) -> None:
    plan = ClusterPlan(REGION, vm_size="Standard_B1s", cluster_purpose=Purpose.DEV_TEST)
    site.clusters(plan).ensure(site.said.append)
    made = json.loads(site.azure.asked("PUT", "managedClusters/prod$")[0].body)
    assert made["properties"]["agentPoolProfiles"][0]["count"] == 1
    assert made["sku"]["tier"] == "Free"
    assert any("at least 2 are advised" in one for one in site.said)


@pytest.mark.parametrize(
    ("plan", "reason", "where"),
    [
        (replace(PLAN, agent_count=2), "cluster.too_small", "agent_count"),
        (replace(PLAN, autoscale=Bounds(1, 5)), "cluster.too_small", "agent_count"),
        (replace(PLAN, vm_size="Standard_D4s_v4"), "azure.sku_not_in_region", "vm_size"),
        (replace(PLAN, zones=("3",)), "azure.sku_not_in_region", "vm_size"),
        (
            replace(PLAN, gpu=GpuPool("Standard_NC24s_v3")),
            "azure.sku_not_in_region",
            "gpu.vm_size",
        ),
        (
            replace(PLAN, kubernetes_version="1.12"),
            "azure.kubernetes_version",
            "kubernetes_version",
        ),
    ],
)
def test_a_plan_that_cannot_be_is_refused_before_azure_is_told(
    site: Site, plan: ClusterPlan, reason: str, where: str
) -> None:
    with pytest.raises(UserError) as refused:
        site.clusters(plan).ensure()
    assert (refused.value.reason, refused.value.where) == (reason, where)
    assert site.puts() == 0


def test_a_size_that_the_subscription_may_not_have_is_refused(site: Site) -> None:
    site.aks.restricted["Standard_D4s_v5"] = "NotAvailableForSubscription"
    with pytest.raises(UserError, match="NotAvailableForSubscription"):
        site.clusters(PLAN).ensure()


def test_sizes_that_cannot_be_looked_up_go_by_their_names(site: Site) -> None:
    site.azure.fail("Microsoft.Compute/skus", 403, "AuthorizationFailed", times=2)
    with pytest.raises(UserError, match="8 vCPUs together; 12 are the least"):
        site.clusters(replace(PLAN, agent_count=2)).ensure(site.said.append)
    assert site.clusters(PLAN).ensure(site.said.append).ready
    assert any("going by their names" in one for one in site.said)
