"""Roles that identities of the cluster need, given where they are missing."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from weir.azure.asking import Asking
from weir.azure.refusals import AzureRefused
from weir.errors import WeirError

VERSION = "2022-04-01"
_NAMES = uuid.UUID("5f0d8a3e-6f3c-4f6c-9a55-0f2d7f4b9a11")
"""Of role assignments that weir makes: the same grant always gets the same name."""


@dataclass(frozen=True)
class Grant:
    """``principal_id`` may do at ``scope``, an ARM id, what the built-in ``role`` allows."""

    principal_id: str
    role: str
    role_id: str
    scope: str

    @property
    def name(self) -> str:
        """A GUID that depends on nothing but the grant."""
        return str(uuid.uuid5(_NAMES, f"{self.scope}|{self.principal_id}|{self.role_id}".lower()))

    @property
    def command(self) -> str:
        return (
            f"az role assignment create --assignee-object-id {self.principal_id}"
            f' --assignee-principal-type ServicePrincipal --role "{self.role}"'
            f" --scope {self.scope}"
        )


def is_granted(asking: Asking, grant: Grant) -> bool | None:
    """Whether the principal has the role there; None where this identity may not look."""
    path = f"{grant.scope}/providers/Microsoft.Authorization/roleAssignments"
    try:
        answer = asking.arm(
            "GET",
            path,
            f"read who has {grant.role}",
            version=VERSION,
            where=grant.scope,
            params={"$filter": f"assignedTo('{grant.principal_id}')"},
        ).json()
    except AzureRefused as refused:
        if refused.reason == "azure.role_missing":
            return None
        raise
    return any(
        str(one.get("properties", {}).get("roleDefinitionId", "")).lower().endswith(grant.role_id)
        for one in answer.get("value") or ()
    )


def ensure_granted(asking: Asking, grant: Grant) -> bool:
    """The principal has the role; True when it was given now. Idempotent.

    Raises AzureRefused ``azure.role_missing`` with the command that gives it, where this identity
    may not give it itself.
    """
    if is_granted(asking, grant):
        return False
    path = f"{grant.scope}/providers/Microsoft.Authorization/roleAssignments/{grant.name}"
    definition = f"providers/Microsoft.Authorization/roleDefinitions/{grant.role_id}"
    subscription = "/".join(grant.scope.split("/")[:3])
    properties = {
        "roleDefinitionId": f"{subscription}/{definition}",
        "principalId": grant.principal_id,
        # Without it a principal that was made a moment ago is not found yet.
        "principalType": "ServicePrincipal",
    }
    try:
        asking.arm(
            "PUT",
            path,
            f"give {grant.role} to the cluster",
            version=VERSION,
            where=grant.scope,
            json={"properties": properties},
        )
    except AzureRefused as refused:
        if refused.code == "RoleAssignmentExists":
            return False
        if refused.reason == "azure.role_missing":
            raise _not_allowed(refused, grant) from None
        raise
    return True


def _not_allowed(refused: AzureRefused, grant: Grant) -> WeirError:
    error = AzureRefused(
        refused.reason,
        f"the cluster lacks the role {grant.role}, and this identity may not give it.",
        remedy=f"Have somebody who may run: {grant.command}",
        where=grant.scope,
    )
    error.code, error.status = refused.code, refused.status
    return error
