"""Rules of a plan, sizes by their names, and TLS: nobody is asked."""

from __future__ import annotations

from typing import Any

import pytest

from weir.azure import tls
from weir.azure.cluster_plan import (
    Bounds,
    ClusterPlan,
    GpuPool,
    Network,
    Purpose,
    network_of,
    require_name,
    require_valid,
)
from weir.azure.resource_ids import MANAGED_CLUSTER, parse
from weir.azure.tls import certificate_of, with_front
from weir.azure.vm_sizes import vcpus_by_name
from weir.errors import UserError
from weir.kubernetes.settings import ClusterSettings

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----"
KEY = "-----BEGIN PRIVATE KEY-----\nplanted\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("vm_size", "vcpus"),
    [
        ("Standard_D4s_v5", 4),
        ("Standard_D3_v2", 4),
        ("Standard_DS13_v2", 8),
        ("Standard_E4-2ds_v5", 2),
        ("Standard_NC24ads_A100_v4", 24),
        ("Standard_B1s", 1),
        ("standard_f16s_v2", 16),
        ("Standard_G5", 0),
        ("Basic", 0),
    ],
)
def test_a_name_tells_its_vcpus_or_nothing(vm_size: str, vcpus: int) -> None:
    assert vcpus_by_name(vm_size) == vcpus


def test_nodes_are_as_many_as_azure_ml_had() -> None:
    assert ClusterPlan("x").nodes == 3
    assert ClusterPlan("x", cluster_purpose=Purpose.DEV_TEST).nodes == 1
    assert ClusterPlan("x", autoscale=Bounds(5, 9)).nodes == 5


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"location": ""}, "location"),
        ({"agent_count": 0}, "agent_count"),
        ({"agent_count": 2, "autoscale": Bounds(3, 9)}, "agent_count"),
        ({"autoscale": Bounds(9, 3), "agent_count": 5}, "agent_count"),
        ({"gpu": GpuPool("x", 5, Bounds(1, 2))}, "gpu.agent_count"),
        ({"network": Network("v", "s", "10.2.0/16", "10.2.0.10")}, "service_cidr"),
        ({"network": Network("v", "s", "10.2.0.0/16", "ten")}, "dns_service_ip"),
        ({"network": Network("v", "s", "10.2.0.0/16", "10.3.0.10")}, "dns_service_ip"),
        ({"network": Network("v", "s", "10.2.0.0/16", "10.2.0.1")}, "dns_service_ip"),
        ({"network": Network("v", "s", "10.2.0.0/16", "fd00::1")}, "dns_service_ip"),
    ],
)
def test_what_is_wrong_whatever_azure_says(changed: dict[str, Any], where: str) -> None:
    with pytest.raises(UserError) as refused:
        require_valid(ClusterPlan(**{"location": "westeurope", **changed}))
    assert refused.value.where == where


def test_half_a_network_names_what_is_there_and_what_is_missing() -> None:
    assert network_of("", "", "", "") is None
    with pytest.raises(UserError, match="with vnet_name there have to be subnet_name"):
        network_of("models", "", "10.2.0.0/16", "")


@pytest.mark.parametrize("name", ["", "-a", "a-", "a b", "a" * 64, "a/b"])
def test_what_can_be_no_cluster_is_refused(name: str) -> None:
    with pytest.raises(UserError):
        require_name(name)


@pytest.mark.parametrize(
    "text",
    ["prod", "/subscriptions/s", "/subscriptions/s/resourceGroups/g/providers/Microsoft.X/y/prod"],
)
def test_a_malformed_resource_id_says_what_it_has_to_be(text: str) -> None:
    with pytest.raises(UserError) as refused:
        parse(text, MANAGED_CLUSTER)
    assert refused.value.reason == "azure.resource_id"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (("a.example", CERTIFICATE, "", "", ""), "ssl_cname and ssl_cert .* ssl_key"),
        (("", "", KEY, "", ""), "ssl_key .* ssl_cname and ssl_cert"),
        (("a.example", CERTIFICATE, KEY, "label", ""), "ssl_cname and leaf_domain_label"),
        (("a.example", CERTIFICATE, KEY, "", "mine"), "ssl_cname and tls_secret"),
        (("a.example", "planted", KEY, "", ""), "ssl_cert is no PEM"),
        (("", "", "", "No Label", ""), "No Label"),
    ],
)
def test_tls_that_is_half_said_names_both_fields(fields: tuple[str, ...], words: str) -> None:
    with pytest.raises(UserError, match=words) as refused:
        certificate_of(*fields)
    assert refused.value.reason == "cluster.tls"
    assert "planted" not in str(refused.value)


def test_a_certificate_has_gateways_listen_with_tls_and_never_shows_its_key() -> None:
    certificate = certificate_of("*.models.example", CERTIFICATE, KEY, "", "")
    assert certificate is not None
    assert "planted" not in repr(certificate)
    found = with_front(ClusterSettings(), certificate=certificate, ssl_cname="*.models.example")
    assert (found.tls_secret, found.gateway_port) == (tls.SECRET, 443)
    assert found.host("fraud") == "fraud.models.example"


def test_an_internal_load_balancer_is_an_annotation_of_gateways() -> None:
    found = with_front(ClusterSettings(), is_internal=True, internal_subnet="front")
    assert found.gateway_annotations == {tls.INTERNAL: "true", tls.INTERNAL_SUBNET: "front"}
    with pytest.raises(UserError, match="load_balancer_subnet"):
        with_front(ClusterSettings(), internal_subnet="front")
