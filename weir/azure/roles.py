"""Which built-in role lets an identity do what it was refused. Pure.

Source: Azure's list of built-in roles.
"""

from __future__ import annotations

from collections.abc import Mapping

ACR_PULL = "AcrPull"
ACR_PULL_ID = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
REPOSITORY_WRITER = "Container Registry Repository Writer"
"""Pulls and pushes where a registry has permissions by repository, which know no AcrPull."""

NETWORK_CONTRIBUTOR = "Network Contributor"
NETWORK_CONTRIBUTOR_ID = "4d97b98b-1d4f-4787-a291-c67834d212e7"
CLUSTER_ADMIN = "Azure Kubernetes Service RBAC Cluster Admin"

_ROLES: Mapping[str, str] = {
    "microsoft.containerservice/managedclusters/listclusteradmincredential/": (
        "Azure Kubernetes Service Cluster Admin Role"
    ),
    "microsoft.containerservice/managedclusters/listclusterusercredential/": (
        "Azure Kubernetes Service Cluster User Role"
    ),
    "microsoft.containerservice/": "Azure Kubernetes Service Contributor Role",
    "microsoft.containerregistry/registries/": "Container Registry Tasks Contributor",
    "microsoft.authorization/roleassignments/read": "Reader",
    "microsoft.authorization/roleassignments/": "Role Based Access Control Administrator",
    "microsoft.network/": "Network Contributor",
    "microsoft.operationalinsights/": "Log Analytics Reader",
    "microsoft.insights/": "Monitoring Reader",
    "microsoft.managedidentity/": "Managed Identity Operator",
    "microsoft.compute/skus/": "Reader",
}
"""The most particular prefix of an action first."""


def role_for(action: str) -> str:
    """The least built-in role that allows ``action``; Contributor where weir knows of none."""
    wanted = action.lower()
    for prefix, role in _ROLES.items():
        if wanted.startswith(prefix):
            return role
    return "Reader" if wanted.endswith("/read") else "Contributor"
