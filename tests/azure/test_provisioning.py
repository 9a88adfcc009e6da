"""A cluster is made, found, waited for and told about, on the double."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.azure.aks import CLUSTER_ID, REGION
from tests.azure.conftest import Site
from weir import __version__
from weir.azure.cluster_plan import Bounds, ClusterPlan, GpuPool, Network
from weir.azure.roles import NETWORK_CONTRIBUTOR_ID
from weir.errors import PermanentError, PlatformMissing
from weir.kubernetes.settings import ClusterSettings

PLAN = ClusterPlan(REGION)


def test_a_cluster_that_is_missing_is_made_and_waited_for(site: Site) -> None:
    clusters = site.clusters(PLAN)
    assert clusters.ensure(site.said.append).ready
    (request,) = site.azure.asked("PUT", "managedClusters/prod$")
    made = request.json()
    assert made["location"] == REGION
    assert made["tags"] == {"weir-created": __version__}
    properties = made["properties"]
    assert properties["networkProfile"]["networkPluginMode"] == "overlay"
    assert properties["oidcIssuerProfile"] == {"enabled": True}
    assert properties["securityProfile"] == {"workloadIdentity": {"enabled": True}}
    assert properties["ingressProfile"] == {
        "gatewayAPI": {"installation": "Standard"},
        "webAppRouting": {"gatewayAPIImplementations": {"appRoutingIstio": {"mode": "Enabled"}}},
    }
    (pool,) = properties["agentPoolProfiles"]
    assert (pool["count"], pool["vmSize"], pool["mode"]) == (3, "Standard_D4s_v5", "System")
    assert request.headers["user-agent"].startswith(f"weir/{__version__}")
    assert request.query["api-version"] == "2026-08-01"


def test_waiting_follows_retry_after_and_says_how_long_it_takes(site: Site) -> None:
    site.aks.retry_after = "11"
    site.clusters(PLAN).ensure(site.said.append)
    assert site.slept == [11, 11]
    waiting = [one for one in site.said if one.startswith("waiting for Azure")]
    assert "to create the cluster: InProgress" in waiting[0]
    assert waiting[0].endswith("min of usually about 20")


def test_everything_that_a_plan_may_say_reaches_azure(site: Site) -> None:
    plan = ClusterPlan(
        REGION,
        agent_count=4,
        kubernetes_version="1.34",
        network=Network("models", "nodes", "10.2.0.0/16", "10.2.0.10", "network"),
        private_cluster=True,
        zones=("1", "2"),
        gpu=GpuPool("Standard_NC6s_v3", 1, Bounds(1, 4)),
        autoscale=Bounds(3, 9),
        entra_id=True,
        tags={"team": "fraud"},
    )
    site.clusters(plan).ensure(site.said.append)
    made = site.azure.asked("PUT", "managedClusters/prod$")[0].json()
    own, gpu = made["properties"]["agentPoolProfiles"]
    subnet = own["vnetSubnetID"]
    assert subnet.endswith(
        "/network/providers/Microsoft.Network/virtualNetworks/models/subnets/nodes"
    )
    assert (own["enableAutoScaling"], own["minCount"], own["maxCount"]) == (True, 3, 9)
    assert own["availabilityZones"] == ["1", "2"]
    assert gpu["nodeTaints"] == ["sku=gpu:NoSchedule"]
    assert (gpu["vmSize"], gpu["maxCount"], gpu["mode"]) == ("Standard_NC6s_v3", 4, "User")
    properties = made["properties"]
    assert properties["apiServerAccessProfile"] == {"enablePrivateCluster": True}
    assert properties["aadProfile"] == {"managed": True, "enableAzureRBAC": True}
    assert properties["networkProfile"]["serviceCidr"] == "10.2.0.0/16"
    assert made["tags"] == {"team": "fraud", "weir-created": __version__}
    (grant,) = site.aks.grants
    assert grant["scope"] == subnet
    assert grant["properties"]["principalId"] == CLUSTER_ID
    assert grant["properties"]["roleDefinitionId"].endswith(NETWORK_CONTRIBUTOR_ID)
    # What was made is as it was planned.
    assert site.clusters(plan).check() == ()


def test_a_cluster_that_fits_is_attached_and_not_made_again(site: Site) -> None:
    site.clusters(PLAN).ensure()
    again = site.clusters(PLAN)
    assert again.check() == ()
    assert again.ensure().ready
    assert site.puts() == 1


def test_a_cluster_that_differs_is_told_and_left_as_it_is(site: Site) -> None:
    site.clusters(PLAN).ensure()
    other = replace(PLAN, vm_size="Standard_B1s", agent_count=12, gateway_api=False)
    told = site.clusters(other).check()
    assert told == (
        "! prod vm_size: is standard_d4s_v5, planned standard_b1s",
        "! prod agent_count: is 3, planned 12",
    )
    site.clusters(other).ensure()
    assert site.puts() == 1


def test_without_a_plan_nothing_is_ever_made(site: Site) -> None:
    with pytest.raises(PlatformMissing) as missing:
        site.clusters().ensure()
    assert missing.value.reason == "cluster.missing"
    assert "weir cluster create" in missing.value.remedy
    assert site.puts() == 0


def test_what_would_be_made_is_told_without_making_it(site: Site) -> None:
    (line,) = site.clusters(PLAN).check()
    assert line == ("+ AKS cluster prod in westeurope: 3 x Standard_D4s_v5; takes about 20 min")
    assert site.puts() == 0


def test_what_azure_is_about_to_do_is_told_as_waited_for(site: Site) -> None:
    site.aks.hold()
    site.clusters(PLAN).provisioning.begin()
    assert site.clusters(PLAN).check() == (
        "  waits for prod: the AKS cluster prod is not ready (Creating).",
    )


def test_two_that_create_at_once_make_one_cluster(site: Site) -> None:
    first, second = site.clusters(PLAN), site.clusters(PLAN)
    assert first.provisioning.begin() is None
    # The second looked before the first had asked.
    body = site.azure.asked("PUT", "managedClusters/prod$")[0].json()
    from azure.mgmt.containerservice import models

    assert second.aks.create(models.ManagedCluster(body)) is None
    assert second.ensure().ready
    assert first.ensure().ready


def test_a_create_whose_answer_is_lost_is_not_done_twice(site: Site) -> None:
    site.azure.hang_up("managedClusters/prod$", method="PUT", after=True)
    assert site.clusters(PLAN).ensure(site.said.append).ready
    # It was sent again, refused because it had arrived, and waited for.
    assert site.puts() == 2
    assert len(site.aks.clusters) == 1


def test_whoever_comes_later_waits_for_what_is_under_way(site: Site) -> None:
    site.clusters(PLAN).provisioning.begin()
    assert site.clusters(PLAN).ensure(site.said.append).ready
    assert site.puts() == 1
    (first, *_) = [one for one in site.said if "waiting for Azure" in one]
    # Since when it has been going on, Azure tells.
    assert "Creating" in first


def test_azure_may_forget_the_operation_or_never_name_it(site: Site) -> None:
    site.aks.operations_are_told = False
    assert site.clusters(PLAN).ensure().ready
    assert site.puts() == 1
    site.aks.operations_are_told = True
    other = site.clusters(PLAN, name="other")
    other.provisioning.begin()
    site.azure.fail("/operations/", 404, "NotFound")
    assert other.ensure().ready or other.provisioning.await_settled(site.said.append) is None


def test_a_service_that_is_silent_meanwhile_stops_nobody_from_waiting(site: Site) -> None:
    clusters = site.clusters(PLAN)
    clusters.provisioning.begin()
    site.azure.fail("/operations/", 429, "TooManyRequests", retry_after="3", times=2)
    site.azure.hang_up("/operations/", times=2)
    clusters.provisioning.await_settled(site.said.append)
    assert clusters.ensure().ready
    assert 3 in site.slept


def test_what_a_young_cluster_brings_along_is_waited_for_by_whoever_comes(site: Site) -> None:
    site.inside.classes_after = 2
    made = site.aks.there_is("prod")
    made["systemData"] = {"createdAt": datetime.now(UTC).isoformat()}
    made["properties"]["ingressProfile"] = {"gatewayAPI": {"installation": "Standard"}}
    assert site.clusters().ensure(site.said.append).ready
    assert site.slept


def test_a_stopped_cluster_is_started(site: Site) -> None:
    site.aks.there_is("prod", powerState={"code": "Stopped"})
    clusters = site.clusters()
    assert "is stopped" in clusters.status().message
    assert clusters.check() == ("~ AKS cluster prod: started; takes about 5 min",)
    assert clusters.ensure(site.said.append).ready
    assert any("start the cluster" in one for one in site.said)
    assert clusters.check() == ()


def test_a_cluster_that_is_being_deleted_is_not_taken(site: Site) -> None:
    site.aks.there_is("prod")
    site.aks.clusters["ml", "prod"]["properties"]["provisioningState"] = "Deleting"
    with pytest.raises(PermanentError) as refused:
        site.clusters(PLAN).ensure()
    assert refused.value.reason == "cluster.deleting"


def test_what_a_new_cluster_brings_along_is_waited_for(site: Site) -> None:
    site.inside.classes_after = 2
    assert site.clusters(PLAN).ensure(site.said.append).ready
    assert [one for one in site.said if "brings along" in one]
    # A cluster that has been there has what it will have.
    site.inside.classes_after = 1
    with pytest.raises(PermanentError, match="GatewayClass"):
        site.clusters(PLAN).ensure()


def test_the_namespace_is_made_where_the_block_says_so(site: Site) -> None:
    settings = ClusterSettings(namespace="models", create_namespace=True)
    site.clusters(PLAN, settings=settings).ensure()
    assert "models" in site.inside.namespaces
