"""A cluster is made, found, waited for and told about, on the double."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.azure.aks import CLUSTER_ID, KUBELET_ID, REGION, REGISTRY
from tests.azure.conftest import Site
from weir import __version__
from weir.azure.cluster_plan import Bounds, ClusterPlan, GpuPool, Network, Purpose
from weir.azure.refusals import AzureRefused
from weir.azure.roles import ACR_PULL_ID, NETWORK_CONTRIBUTOR_ID
from weir.errors import PermanentError, PlatformMissing, UserError
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


def test_the_roles_of_a_cluster_that_would_be_made_are_told_with_it(site: Site) -> None:
    network = Network("models", "nodes", "10.2.0.0/16", "10.2.0.10")
    clusters = site.clusters(replace(PLAN, network=network), registry=REGISTRY)
    told = [one for one in clusters.check() if one.startswith("+ role")]
    clusters.ensure()
    scopes = [grant["scope"] for grant in site.aks.grants]
    assert told == [f"+ role AcrPull on {scopes[0]}", f"+ role Network Contributor on {scopes[1]}"]
    assert clusters.check() == ()


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


@pytest.mark.parametrize(
    ("code", "message", "reason", "remedy"),
    [
        (
            "ErrCode_InsufficientVCPUQuota",
            "Insufficient vcpu quota requested 12, remaining 4 for family standardDSv5Family.",
            "azure.quota",
            "Ask for more vCPUs",
        ),
        (
            "OperationNotAllowed",
            "Operation could not be completed as it results in exceeding approved Total Regional"
            " Cores quota.",
            "azure.quota",
            "Ask for more vCPUs",
        ),
        ("SkuNotAvailable", "The size is not available.", "azure.sku_not_in_region", "vm_size"),
        (
            "RequestDisallowedByPolicy",
            "Resource 'prod' was disallowed by policy.",
            "azure.policy_denied",
            "exemption",
        ),
        (
            "ServiceCidrOverlapExistingSubnetsCidr",
            "The specified service CIDR 10.0.0.0/16 is conflicted with an existing subnet CIDR.",
            "azure.cidr_overlap",
            "service_cidr",
        ),
        (
            "SubnetIsFull",
            "Subnet nodes does not have enough capacity.",
            "azure.subnet_full",
            "larger",
        ),
        ("ZonalAllocationFailed", "Allocation failed.", "azure.no_capacity", "another region"),
        ("SomethingNew", "Words of their own.", "azure.operation_failed", "running again"),
    ],
)
def test_a_failure_comes_with_code_cause_and_remedy(
    site: Site, code: str, message: str, reason: str, remedy: str
) -> None:
    site.aks.fail_next(code, message)
    with pytest.raises(AzureRefused) as failed:
        site.clusters(PLAN).ensure()
    error = failed.value
    assert (error.reason, error.code) == (reason, code)
    assert code in error.message
    assert message.rstrip(".") in error.message
    assert "correlation id" in error.message
    assert remedy in error.remedy
    assert error.where.startswith("cluster prod, resource group ml")


def test_the_same_failure_is_told_where_azure_names_no_operation(site: Site) -> None:
    site.aks.operations_are_told = False
    site.aks.fail_next("QuotaExceeded", "No vCPUs left.")
    with pytest.raises(AzureRefused) as failed:
        site.clusters(PLAN).ensure()
    assert failed.value.reason == "azure.quota"


def test_a_cluster_that_failed_is_made_again_as_planned(site: Site) -> None:
    site.aks.fail_next("QuotaExceeded", "No vCPUs left.")
    with pytest.raises(AzureRefused):
        site.clusters(PLAN).ensure()
    told = site.clusters(PLAN).check()
    assert told == ("~ AKS cluster prod: made once more, which failed before",)
    assert site.clusters(PLAN).ensure(site.said.append).ready
    assert site.puts() == 2
    assert any("once more" in one for one in site.said)


def test_what_others_added_to_a_failed_cluster_stays_when_it_is_made_again(site: Site) -> None:
    site.clusters(PLAN).ensure()
    cluster = site.aks.clusters["ml", "prod"]
    cluster["tags"]["cost-center"] = "42"
    cluster["properties"]["autoUpgradeProfile"] = {"upgradeChannel": "patch"}
    cluster["properties"]["provisioningState"] = "Failed"
    seen = cluster["eTag"]
    assert site.clusters(PLAN).ensure(site.said.append).ready
    again = site.azure.asked("PUT", "managedClusters/[^/]+$")[-1]
    assert again.json()["tags"]["cost-center"] == "42"
    assert again.json()["properties"]["autoUpgradeProfile"] == {"upgradeChannel": "patch"}
    assert again.headers["if-match"].strip('"') == seen


def test_what_a_young_cluster_brings_along_is_waited_for_by_whoever_comes(site: Site) -> None:
    site.inside.classes_after = 2
    made = site.aks.there_is("prod")
    made["systemData"] = {"createdAt": datetime.now(UTC).isoformat()}
    made["properties"]["ingressProfile"] = {"gatewayAPI": {"installation": "Standard"}}
    assert site.clusters().ensure(site.said.append).ready
    assert site.slept


def test_a_policy_that_denies_is_no_missing_role(site: Site) -> None:
    site.azure.fail("managedClusters/prod$", 403, "RequestDisallowedByPolicy", method="PUT")
    with pytest.raises(AzureRefused) as refused:
        site.clusters(PLAN).ensure()
    assert refused.value.reason == "azure.policy_denied"


def test_somebody_elses_failed_cluster_is_never_made_again(site: Site) -> None:
    made = site.aks.there_is("prod")
    made["properties"]["provisioningState"] = "Failed"
    made["properties"]["status"] = {"provisioningError": {"code": "X", "message": "an upgrade"}}
    assert site.clusters(PLAN).ensure(site.said.append).ready
    assert site.puts() == 0
    assert any("an upgrade" in one and "going on with what it is" in one for one in site.said)


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


def test_nodes_may_pull_from_the_registry(site: Site) -> None:
    site.aks.there_is("prod", location="eastus")
    clusters = site.clusters(registry=REGISTRY)
    assert clusters.check() == (f"+ role AcrPull on {REGISTRY}",)
    clusters.ensure(site.said.append)
    (grant,) = site.aks.grants
    assert grant["properties"]["principalId"] == KUBELET_ID
    assert grant["properties"]["roleDefinitionId"].endswith(ACR_PULL_ID)
    site.clusters(registry=REGISTRY).ensure()
    assert len(site.azure.asked("PUT", "roleAssignments")) == 1


def test_a_registry_that_is_not_there_is_told_before_a_cluster_is_made(site: Site) -> None:
    clusters = site.clusters(PLAN, registry=REGISTRY.replace("models", "modles"))
    for begin in (clusters.begin, clusters.ensure):
        with pytest.raises(AzureRefused, match="modles") as refused:
            begin(site.said.append)
        assert refused.value.reason == "azure.resource_missing"
    assert site.puts() == 0


def test_a_role_that_weir_may_not_give_comes_with_the_command(site: Site) -> None:
    site.aks.there_is("prod")
    site.aks.may_grant = False
    with pytest.raises(AzureRefused) as refused:
        site.clusters(registry=REGISTRY).ensure()
    assert refused.value.reason == "azure.role_missing"
    assert (
        f"az role assignment create --assignee-object-id {KUBELET_ID}"
        f' --assignee-principal-type ServicePrincipal --role "AcrPull" --scope {REGISTRY}'
        in refused.value.remedy
    )


def test_a_role_that_is_there_is_enough_where_nobody_may_look(site: Site) -> None:
    site.aks.there_is("prod")
    site.clusters(registry=REGISTRY).ensure()
    site.azure.fail("roleAssignments", 403, "AuthorizationFailed", method="GET", times=5)
    # Given once more it is refused as there already, which is well.
    assert site.clusters(registry=REGISTRY).ensure().ready


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


def test_an_answer_that_the_sdk_cannot_read_is_told_and_run_again(site: Site) -> None:
    site.aks.retry_after = "soon"
    with pytest.raises(PermanentError) as unreadable:
        site.clusters(PLAN).ensure()
    assert unreadable.value.reason == "azure.unreadable"
    assert "correlation id" in unreadable.value.message
    site.aks.retry_after = "7"
    assert site.clusters(PLAN).ensure().ready
    assert site.puts() == 1


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
