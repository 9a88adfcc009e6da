"""The block AzureCluster: which telemetry and which cluster its fields mean."""

from __future__ import annotations

import json

import pytest

from blocks import AzureCluster, AzureIdentity
from weir.azure.log_analytics import LogAnalytics
from weir.errors import UserError
from weir.kubernetes.telemetry import GuardLogs

NAMED = {"subscription_id": "s", "resource_group": "ml", "cluster_name": "prod"}
WORKSPACE = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"


def test_evidence_is_read_from_the_guards_unless_a_workspace_is_named() -> None:
    assert isinstance(AzureCluster(**NAMED).open().telemetry, GuardLogs)
    telemetry = AzureCluster(**NAMED, workspace_id=WORKSPACE, log_lag_seconds=45).open().telemetry
    assert isinstance(telemetry, LogAnalytics)
    assert telemetry.lag_seconds == 45


def test_numbers_of_ones_own_need_a_workspace() -> None:
    with pytest.raises(UserError, match="workspace_id"):
        AzureCluster(**NAMED, custom_metrics={"pace": "AppRequests"}).open()


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({}, "subscription_id"),
        ({"resource_group": "ml"}, "subscription_id"),
        ({**NAMED, "resource_id": "/subscriptions/s"}, "subscription_id"),
        ({"resource_id": "/subscriptions/s/resourceGroups/ml"}, "resource_id"),
        ({**NAMED, "ssl_cname": "models.example.com"}, "ssl_cert"),
        ({**NAMED, "load_balancer_subnet": "inner"}, "load_balancer_subnet"),
    ],
)
def test_half_a_choice_is_refused_before_anybody_is_asked(
    fields: dict[str, str], where: str
) -> None:
    with pytest.raises(UserError) as refused:
        AzureCluster(**fields).open()
    assert refused.value.where == where


def test_secrets_of_a_block_are_never_shown() -> None:
    block = AzureCluster(**NAMED, ssl_cname="x", ssl_cert="c", ssl_key="planted-key")
    assert "planted" not in repr(block) + block.model_dump_json()


def test_a_block_that_holds_its_identity_is_read_as_it_was_saved() -> None:
    identity = AzureIdentity(sign_in="secret", client_id="app", client_secret="planted-secret")
    block = AzureCluster(**NAMED, identity=identity)
    saved = json.loads(block.model_dump_json(context={"include_secrets": True}))
    # Prefect keeps the type of a block beside its fields, but for blocks inside of others.
    del saved["block_type_slug"]
    assert AzureCluster.model_validate(saved) == block
