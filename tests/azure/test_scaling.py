"""The number of nodes changes, their size never; what weir did not make is never deleted."""

from __future__ import annotations

import pytest

from tests.azure.aks import REGION
from tests.azure.conftest import Site
from weir.azure.cluster_plan import Bounds, ClusterPlan, GpuPool, Purpose
from weir.errors import PermanentError, UserError

PLAN = ClusterPlan(REGION, gpu=GpuPool("Standard_NC6s_v3"))


def pool(site: Site, name: str) -> dict[str, object]:
    pools = site.aks.clusters["ml", "prod"]["properties"]["agentPoolProfiles"]
    (found,) = [one for one in pools if one["name"] == name]
    return dict(found)


def test_nodes_are_scaled_and_everything_else_of_the_pool_stays(site: Site) -> None:
    clusters = site.clusters(PLAN)
    clusters.ensure()
    before = pool(site, "weirgpu")
    was = clusters.scale(2, None, gpu=True)
    clusters.provisioning.await_settled(site.said.append)
    assert was.count == 1
    assert pool(site, "weirgpu") == {**before, "count": 2, "enableAutoScaling": False}
    assert pool(site, "weir")["count"] == 3
    assert any("scale the cluster" in one for one in site.said)


def test_the_autoscaler_gets_bounds_and_is_switched_off_only_on_a_word(site: Site) -> None:
    clusters = site.clusters(PLAN)
    clusters.ensure()
    clusters.scale(4, Bounds(3, 9))
    clusters.provisioning.await_settled(site.said.append)
    own = pool(site, "weir")
    assert (own["enableAutoScaling"], own["minCount"], own["maxCount"]) == (True, 3, 9)
    with pytest.raises(UserError) as refused:
        clusters.scale(5, None)
    assert refused.value.reason == "cluster.autoscaled"
    clusters.scale(5, None, no_autoscaler=True)
    clusters.provisioning.await_settled(site.said.append)
    own = pool(site, "weir")
    assert (own["enableAutoScaling"], own["count"]) == (False, 5)


def test_the_same_number_asks_azure_for_nothing(site: Site) -> None:
    clusters = site.clusters(PLAN)
    clusters.ensure()
    clusters.scale(3, None)
    clusters.provisioning.await_settled(site.said.append)
    assert not site.azure.asked("PUT", "agentPools")


def test_production_keeps_its_twelve_vcpus_and_development_need_not(site: Site) -> None:
    site.clusters(PLAN).ensure()
    with pytest.raises(UserError) as refused:
        site.clusters(PLAN).scale(2, None)
    assert refused.value.reason == "cluster.too_small"
    development = ClusterPlan(REGION, cluster_purpose=Purpose.DEV_TEST)
    assert site.clusters(development).scale(2, None).count == 3


def test_nobody_scales_in_the_midst_of_another_operation(site: Site) -> None:
    clusters = site.clusters(PLAN)
    site.aks.hold()
    clusters.begin()
    with pytest.raises(PermanentError) as busy:
        clusters.scale(4, None)
    assert busy.value.reason == "cluster.busy"
    site.aks.let_go()


def test_a_pool_that_is_not_there_is_told_with_those_that_are(site: Site) -> None:
    site.aks.there_is("prod")
    with pytest.raises(UserError, match="no pool for GPUs") as refused:
        site.clusters().scale(1, None, gpu=True)
    assert "nodepool1" in refused.value.remedy


def test_a_quota_that_ends_while_scaling_is_told(site: Site) -> None:
    clusters = site.clusters(PLAN)
    clusters.ensure()
    site.aks.fail_next("QuotaExceeded", "No vCPUs left.")
    clusters.scale(40, None)
    with pytest.raises(PermanentError) as failed:
        clusters.provisioning.await_settled(site.said.append)
    assert failed.value.reason == "azure.quota"


def test_what_weir_made_is_deleted_and_waited_for(site: Site) -> None:
    clusters = site.clusters(PLAN)
    clusters.ensure()
    assert clusters.provisioning.delete() is not None
    clusters.provisioning.await_settled(site.said.append)
    assert site.aks.clusters == {}
    assert site.clusters(PLAN).provisioning.delete() is None


def test_what_weir_did_not_make_is_never_deleted(site: Site) -> None:
    site.aks.there_is("prod", tags={"team": "fraud"})
    with pytest.raises(UserError) as refused:
        site.clusters(PLAN).provisioning.delete()
    assert refused.value.reason == "cluster.not_weirs"
    assert not site.azure.asked("DELETE", "managedClusters")


def test_a_deletion_under_way_is_waited_for_by_whoever_comes_later(site: Site) -> None:
    site.clusters(PLAN).ensure()
    site.clusters(PLAN).provisioning.delete()
    assert site.clusters(PLAN).provisioning.wait(site.said.append) is None
    assert len(site.azure.asked("DELETE", "managedClusters")) == 1
