"""The roles that a cluster needs outside of itself: given, told, or somebody else's to give."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.azure.aks import KUBELET_ID, REGION, REGISTRY
from tests.azure.conftest import Site
from weir.azure.cluster_plan import ClusterPlan, Network
from weir.azure.refusals import AzureRefused
from weir.azure.roles import ACR_PULL_ID

PLAN = ClusterPlan(REGION)


def test_the_roles_of_a_cluster_that_would_be_made_are_told_with_it(site: Site) -> None:
    network = Network("models", "nodes", "10.2.0.0/16", "10.2.0.10")
    clusters = site.clusters(replace(PLAN, network=network), registry=REGISTRY)
    told = [one for one in clusters.check() if one.startswith("+ role")]
    clusters.ensure()
    scopes = [grant["scope"] for grant in site.aks.grants]
    assert told == [f"+ role AcrPull on {scopes[0]}", f"+ role Network Contributor on {scopes[1]}"]
    assert clusters.check() == ()


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
