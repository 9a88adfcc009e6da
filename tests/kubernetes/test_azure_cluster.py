"""The block AzureCluster: Azure is the double, the cluster that it leads to is real."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from blocks import AzureCluster
from tests.azure.aks import Aks
from tests.azure.double import Double
from tests.azure.fields import block_fields
from tests.kubernetes import at_hand
from tests.kubernetes.at_hand import Place
from weir.document import EndpointDocument
from weir.endpoint import Endpoint
from weir.errors import PlatformMissing
from weir.kubernetes.kinds import SECRET

pytestmark = pytest.mark.kubernetes


@pytest.fixture
def place() -> Iterator[Place]:
    with at_hand.place() as found:
        yield found


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[Double]:
    with Double(tmp_path) as double:
        yield double


def block(azure: Double, place: Place, tmp_path: Path, **fields: object) -> AzureCluster:
    return AzureCluster(
        **block_fields(azure),
        cluster_name="prod",
        namespace=place.namespace,
        gateway_class=place.settings.gateway_class,
        home=str(tmp_path / "home"),
        **fields,
    )


def test_a_release_finds_the_cluster_that_azure_made_for_it(
    azure: Double, place: Place, tmp_path: Path
) -> None:
    aks = Aks(azure.ca_bundle, retry_after="1")
    # AKS hands out the kubeconfig of a real API server.
    aks.kubeconfigs["user"] = place.access.kubeconfig_text
    azure.serve(aks)
    platform = block(azure, place, tmp_path, create={"location": "westeurope"}).open()

    # Before there is a cluster, nothing can be read in it, and a plan says what would be made.
    with pytest.raises(PlatformMissing):
        platform.state.read("fraud")
    assert platform.clusters.check() == (
        "+ AKS cluster prod in westeurope: 3 x Standard_D4s_v5; takes about 20 min",
    )

    said: list[str] = []
    assert platform.clusters.ensure(said.append).ready
    assert any("waiting for Azure to create the cluster" in one for one in said)
    written = platform.state.write(EndpointDocument(endpoint=Endpoint(name="fraud")))
    assert platform.state.read("fraud", fresh=True) == written
    assert platform.clusters.check() == ()
    assert platform.clusters.status().ready


def test_an_attached_cluster_serves_like_any_other(
    azure: Double, place: Place, tmp_path: Path
) -> None:
    aks = Aks(azure.ca_bundle)
    aks.there_is("prod", location="eastus")
    aks.kubeconfigs["admin"] = place.access.kubeconfig_text
    azure.serve(aks)
    platform = block(azure, place, tmp_path, access="admin").open()
    assert platform.clusters.ensure().ready
    assert platform.state.endpoints() == ()
    assert azure.asked("POST", "listClusterUserCredential") == []


def test_the_certificate_of_a_block_stands_in_a_secret_of_the_cluster(
    azure: Double, place: Place, tmp_path: Path
) -> None:
    aks = Aks(azure.ca_bundle)
    aks.there_is("prod")
    aks.kubeconfigs["user"] = place.access.kubeconfig_text
    azure.serve(aks)
    issued = trustme.CA().issue_cert("*.models.example.com")
    fields = {
        "ssl_cname": "models.example.com",
        "ssl_cert": issued.cert_chain_pems[0].bytes().decode(),
        "ssl_key": issued.private_key_pem.bytes().decode(),
    }
    platform = block(azure, place, tmp_path, **fields).open()
    assert platform.clusters.check() == ("+ Secret weir-tls",)
    platform.clusters.ensure()
    secret = place.admin.get(SECRET, "weir-tls")
    assert secret is not None
    assert secret["type"] == "kubernetes.io/tls"
    assert base64.b64decode(secret["data"]["tls.key"]).decode() == fields["ssl_key"]
    assert platform.clusters.check() == ()
