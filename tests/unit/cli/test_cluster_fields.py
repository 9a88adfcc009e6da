"""What a person gives `weir cluster create` and `attach`, before anybody is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from blocks import KubernetesCluster
from weir.azure.cloud import cloud_of
from weir.azure.refusals import not_signed_in
from weir.cli import saved_clusters
from weir.cli.cluster_options import read_file
from weir.errors import UserError

NAMED = {"subscription_id": "s", "resource_group": "ml", "cluster_name": "prod"}


def test_a_plan_that_is_only_a_word_is_told_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text("create: westeurope")
    with pytest.raises(UserError, match="create holds no fields") as wrong:
        read_file(path)
    assert wrong.value.where == str(path)


@pytest.mark.parametrize(
    "collector", ["weir-collector.weir", "http://weir-collector.weir:4318", "host:port", ":4318"]
)
def test_a_collector_is_a_host_and_a_port(collector: str) -> None:
    with pytest.raises(UserError, match="collector") as wrong:
        saved_clusters.changed("prod", None, {**NAMED, "collector": collector}, {})
    assert wrong.value.reason == "cluster.fields"


@pytest.mark.parametrize("collector", ["", "weir-collector.weir:4318", "[::1]:4318"])
def test_a_collector_that_is_one_is_taken(collector: str) -> None:
    assert KubernetesCluster(collector=collector).settings().collector == collector


def test_certificates_to_trust_that_are_no_file_are_told() -> None:
    with pytest.raises(UserError, match="no file of certificates") as wrong:
        cloud_of("public", {}, "/no/such.pem")
    assert wrong.value.where == "ca_bundle"


def test_who_has_no_identity_at_all_is_told_how_to_get_one_and_not_every_way_that_failed() -> None:
    chain = "DefaultAzureCredential failed to retrieve a token from the included credentials.\n"
    error = not_signed_in(chain + "EnvironmentCredential: unavailable. Missing..." * 40, "here")
    assert error.reason == "azure.not_signed_in"
    assert "az login" in error.remedy
    assert len(error.message) < 200
