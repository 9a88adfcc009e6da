from __future__ import annotations

import dataclasses

import pytest
from pydantic import ValidationError

from blocks import KubernetesCluster, load_platform
from weir.errors import UserError
from weir.kubernetes.settings import ClusterSettings, SharedGateway, Toleration


def test_a_block_that_says_nothing_means_the_defaults() -> None:
    assert KubernetesCluster().settings() == ClusterSettings()


def test_every_setting_can_be_said_in_a_block() -> None:
    said = {
        "namespace": "models",
        "create_namespace": True,
        "gateway_class": "istio",
        "shared_gateway": "infra/front",
        "gateway_port": 443,
        "gateway_annotations": {"internal": "true"},
        "gateway_timeout_seconds": 60.0,
        "host_suffix": "models.example.com",
        "tls_secret": "certificate",
        "image_pull_secret": "registry",
        "node_selector": {"pool": "models"},
        "tolerations": [{"key": "models", "value": "only", "effect": "NoSchedule"}],
        "gpu_node_selector": {"pool": "gpu"},
        "gpu_tolerations": [],
        "gpu_resource": "amd.com/gpu",
        "guard_image": "registry.example/envoy:1",
        "collector": "otel:4318",
        "token_issuer": "https://issuer.example",
        "token_audiences": ["models"],
        "token_jwks": "{}",
        "unschedulable_patience_seconds": 5.0,
        "propagation_seconds": 7.0,
    }
    found = KubernetesCluster.model_validate(said).settings()
    assert set(said) == {field.name for field in dataclasses.fields(ClusterSettings)}
    assert found.shared_gateway == SharedGateway("front", "infra")
    assert found.tolerations == (Toleration("models", "only", "NoSchedule"),)
    assert found.gpu_tolerations == ()
    plain = [name for name, value in said.items() if isinstance(value, str | bool | float | int)]
    for name in sorted({*plain} - {"shared_gateway"}):
        assert getattr(found, name) == said[name], name


def test_a_kubeconfig_in_a_block_is_never_shown() -> None:
    block = KubernetesCluster.model_validate({"kubeconfig_text": "token: very-secret"})
    assert "very-secret" not in repr(block)
    assert "very-secret" not in block.model_dump_json()


def test_a_shared_gateway_has_a_namespace_and_a_name() -> None:
    with pytest.raises(ValidationError):
        KubernetesCluster(shared_gateway="front")


def test_a_context_may_be_named_without_a_saved_block() -> None:
    block = load_platform("kubernetes:prod")
    assert isinstance(block, KubernetesCluster)
    assert block.context == "prod"


def test_a_kubeconfig_that_is_not_there_is_the_users_mistake() -> None:
    with pytest.raises(UserError) as raised:
        KubernetesCluster(kubeconfig="/nowhere/config").open()
    assert raised.value.reason == "kubernetes.kubeconfig"
