"""What Azure could not do, and what is made of it: told, made again, or left alone."""

from __future__ import annotations

import pytest

from tests.azure.aks import REGION
from tests.azure.conftest import Site
from weir.azure.cluster_plan import ClusterPlan
from weir.azure.refusals import AzureRefused
from weir.errors import PermanentError

PLAN = ClusterPlan(REGION)


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


def test_an_answer_that_the_sdk_cannot_read_is_told_and_run_again(site: Site) -> None:
    site.aks.retry_after = "soon"
    with pytest.raises(PermanentError) as unreadable:
        site.clusters(PLAN).ensure()
    assert unreadable.value.reason == "azure.unreadable"
    assert "correlation id" in unreadable.value.message
    site.aks.retry_after = "7"
    assert site.clusters(PLAN).ensure().ready
    assert site.puts() == 1
