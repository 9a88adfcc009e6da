"""What Prefect's UI makes of the blocks: which there are, and where a form begins."""

from __future__ import annotations

from abc import ABC

import pytest

import blocks
from blocks import AzureCluster, ClusterBlock, KubernetesCluster, PlatformBlock


@pytest.mark.parametrize("block", [PlatformBlock, ClusterBlock])
def test_what_blocks_have_in_common_is_no_block_that_can_be_saved(block: type) -> None:
    """Prefect registers every block but those that name ABC themselves."""
    assert ABC in block.__bases__
    assert block.__name__ in blocks.__all__


@pytest.mark.parametrize(
    ("block", "first"),
    [(AzureCluster, "subscription_id"), (KubernetesCluster, "kubeconfig")],
)
def test_a_form_begins_with_which_cluster_it_is(block: type[ClusterBlock], first: str) -> None:
    """Prefect's pages order the fields of a form by their position."""
    properties = block.model_json_schema()["properties"]
    fields = sorted(properties, key=lambda name: properties[name]["position"])
    shared = [name for name in fields if name in ClusterBlock.model_fields]
    assert fields[0] == first
    assert fields[-len(shared) :] == shared
    assert set(fields) == set(block.model_fields)
