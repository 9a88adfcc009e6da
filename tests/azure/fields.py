"""The fields by which a block AzureCluster leads to the double."""

from __future__ import annotations

from typing import Any

from tests.azure.aks import GROUP, SUBSCRIPTION
from tests.azure.double import Double


def addresses(azure: Double) -> dict[str, Any]:
    """Where Azure and the resource group are; nobody signs in."""
    cloud = azure.cloud
    return {
        "subscription_id": SUBSCRIPTION,
        "resource_group": GROUP,
        "authority": cloud.authority,
        "resource_manager": cloud.resource_manager,
        "log_analytics": cloud.log_analytics,
        "ca_bundle": cloud.ca_bundle,
    }


def block_fields(azure: Double, **fields: Any) -> dict[str, Any]:
    """The same, in the name of the double's own application; ``fields`` go beside them."""
    directory = azure.directory
    identity = {
        "sign_in": "secret",
        "tenant_id": directory.tenant,
        "client_id": directory.client_id,
        "client_secret": directory.secret,
    }
    return {**addresses(azure), "identity": identity, **fields}
