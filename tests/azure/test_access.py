"""How a cluster's API server is signed in to: by token, by what its users get, as its admin."""

from __future__ import annotations

import pytest

from tests.azure.aks import REGION
from tests.azure.conftest import Site
from tests.azure.inside import SERVER_ID
from weir.azure.access import AksAccess, connect
from weir.azure.cluster_plan import ClusterPlan
from weir.errors import PermanentError, PlatformMissing
from weir.kubernetes.api import Api

ENTRA = {"aadProfile": {"managed": True, "enableAzureRBAC": True}}


def shown(site: Site) -> list[str]:
    """The bearer tokens that the API server inside was shown, in order."""
    return [one.bearer for one in site.azure.asked("GET", "^/k8s/")]


def inside_of(site: Site, access: AksAccess) -> Api:
    return Api(connect(site.clusters().aks, access), "weir", patience_seconds=20)


def version(api: Api) -> object:
    return api.read("/version", "read its version")["gitVersion"]


def test_a_cluster_with_entra_id_is_shown_a_token_for_aks(site: Site) -> None:
    site.aks.there_is("prod", **ENTRA)
    assert site.clusters().ensure().ready
    assert {site.azure.directory.issued[one] for one in shown(site)} == {SERVER_ID}
    (asked,) = [
        one for one in site.azure.asked("POST", "/token") if SERVER_ID in one.form()["scope"]
    ]
    assert asked.form()["scope"] == f"{SERVER_ID}/.default"


def test_a_cluster_without_entra_id_gives_its_users_credentials(site: Site) -> None:
    site.aks.there_is("prod")
    assert site.clusters().ensure().ready
    assert set(shown(site)) == {"planted-user-token"}


def test_the_administrator_is_asked_for_where_the_block_says_so(site: Site) -> None:
    site.aks.there_is("prod", **ENTRA)
    assert site.clusters(access=AksAccess.ADMIN).ensure().ready
    assert set(shown(site)) == {"planted-admin-token"}
    assert not site.azure.asked("POST", "listClusterUserCredential")


def test_a_cluster_without_local_accounts_says_what_to_do_instead(site: Site) -> None:
    site.aks.there_is("prod", disableLocalAccounts=True, **ENTRA)
    with pytest.raises(PermanentError) as refused:
        site.clusters(access=AksAccess.ADMIN).ensure()
    assert refused.value.reason == "cluster.no_local_accounts"
    assert "access to aad" in refused.value.remedy


def test_a_token_that_is_no_longer_taken_is_asked_for_anew(site: Site) -> None:
    # The identity library gives none twice that is about to expire.
    site.azure.directory.lifetime_seconds = 1
    site.aks.there_is("prod", **ENTRA)
    api = inside_of(site, AksAccess.AAD)
    version(api)
    (first,) = shown(site)
    site.inside.revoked.add(first)
    assert version(api) == "v1.34.2"
    assert shown(site)[-1] != first


def test_who_may_not_work_in_the_cluster_is_told_the_role_and_the_command(site: Site) -> None:
    site.aks.there_is("prod", **ENTRA)
    site.inside.is_forbidden = True
    with pytest.raises(PermanentError) as refused:
        site.clusters().ensure()
    assert refused.value.reason == "kubernetes.forbidden"
    assert '--role "Azure Kubernetes Service RBAC Cluster Admin"' in refused.value.remedy
    assert "/managedClusters/prod" in refused.value.remedy


def test_whoever_may_not_have_the_kubeconfig_is_told_the_role(site: Site) -> None:
    site.aks.there_is("prod")
    site.azure.fail("listClusterUserCredential", 403, "AuthorizationFailed")
    with pytest.raises(PermanentError) as refused:
        site.clusters().ensure()
    assert refused.value.reason == "azure.role_missing"
    assert "az role assignment create" in refused.value.remedy


def test_opening_asks_nobody_and_a_missing_cluster_is_told_at_the_first_question(
    site: Site,
) -> None:
    api = inside_of(site, AksAccess.AAD)
    assert site.azure.requests == []
    with pytest.raises(PlatformMissing) as missing:
        version(api)
    assert missing.value.reason == "cluster.missing"


def test_a_cluster_under_way_is_no_platform_yet_and_the_same_client_works_once_it_is(
    site: Site,
) -> None:
    clusters = site.clusters(ClusterPlan(REGION))
    site.aks.hold()
    clusters.begin()
    api = inside_of(site, AksAccess.AAD)
    with pytest.raises(PlatformMissing, match="Creating"):
        version(api)
    site.aks.let_go()
    clusters.ensure()
    assert version(api) == "v1.34.2"


def test_a_kubeconfig_that_is_none_is_told_without_its_content(site: Site) -> None:
    site.aks.there_is("prod")
    site.aks.kubeconfigs["user"] = "planted: [nothing"
    with pytest.raises(PermanentError) as refused:
        site.clusters().ensure()
    assert refused.value.reason == "cluster.kubeconfig"
    assert "planted" not in f"{refused.value}{refused.value!r}{refused.value.__cause__}"


@pytest.mark.parametrize("access", list(AksAccess))
def test_credentials_stand_in_no_error_and_in_nothing_that_is_said(
    site: Site, access: AksAccess, caplog: pytest.LogCaptureFixture
) -> None:
    site.aks.there_is("prod", **ENTRA)
    site.inside.is_forbidden = True
    clusters = site.clusters(access=access)
    with caplog.at_level(1), pytest.raises(PermanentError) as refused:
        clusters.ensure(site.said.append)
    words = f"{refused.value}{refused.value!r}{clusters.status()}{site.said}{caplog.text}"
    assert "planted" not in words
