"""A registry of Azure: its address, by ARM, and whether it has an image, by its own API."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from weir.azure import roles
from weir.azure.asking import Asking
from weir.azure.cloud import scope
from weir.azure.refusals import AzureRefused
from weir.azure.resource_ids import ResourceId
from weir.errors import PermanentError
from weir.images.credentials import Credentials
from weir.images.registry import Registry

VERSION = "2025-11-01"
"""Of Microsoft.ContainerRegistry, for the registry itself."""

SCOPE = scope("https://containerregistry.azure.net")
"""Registries take tokens for this audience, in every cloud."""


class ContainerRegistry:
    """The registry ``target``, in the name of the identity that asks."""

    def __init__(self, asking: Asking, target: ResourceId) -> None:
        self.asking, self.target = asking, target

    @property
    def where(self) -> str:
        return f"registry {self.target.name}, resource group {self.target.resource_group}"

    @cached_property
    def _properties(self) -> Mapping[str, Any]:
        found = self.asking.arm(
            "GET", str(self.target), "read the registry", version=VERSION, where=self.where
        ).json()
        return dict(found.get("properties") or {})

    @property
    def has_repository_permissions(self) -> bool:
        """Whether roles are given by repository: AcrPull and a run's own right count nothing then.

        Raises AzureRefused, AzureBusy.
        """
        return self._properties.get("roleAssignmentMode") == "AbacRepositoryPermissions"

    @property
    def login_server(self) -> str:
        """The host that images are named by. Asked once. Raises AzureRefused, AzureBusy."""
        server = self._properties.get("loginServer")
        if not isinstance(server, str) or not server:
            raise PermanentError(
                "azure.unreadable",
                "Azure tells no address of the registry.",
                remedy="See that its deployment has ended: az acr show --name"
                f" {self.target.name} --subscription {self.target.subscription_id} --query"
                " provisioningState.",
                where=self.where,
            )
        return server

    def find(self, repository: str, tag: str) -> str | None:
        """The digest of an image; None when it is not there.

        Raises PermanentError ``image.registry_sign_in`` with the role that lacks, and what
        ``Registry.find`` raises.
        """
        registry = Registry(
            self.login_server,
            self._credentials,
            plain_http=False,
            verify=self.asking.cloud.verify,
        )
        try:
            return registry.find(repository, tag)
        except PermanentError as error:
            if error.reason == "image.registry_sign_in":
                raise self._may_not_pull(error.message) from None
            raise

    def _credentials(self) -> Credentials:
        """The identity's token, exchanged for one of the registry's."""
        form = {
            "grant_type": "access_token",
            "service": self.login_server,
            "access_token": self.asking.token(SCOPE, self.where),
        }
        address = f"https://{self.login_server}/oauth2/exchange"
        try:
            answer = self.asking.call(
                "POST", address, "sign in at the registry", where=self.where, data=form
            ).json()
        except AzureRefused as refused:
            if refused.status in (401, 403):
                raise self._may_not_pull(refused.message) from None
            raise
        return Credentials(identity_token=str(answer.get("refresh_token", "")))

    def _may_not_pull(self, why: str) -> PermanentError:
        role = roles.REPOSITORY_WRITER if self.has_repository_permissions else roles.ACR_PULL
        return PermanentError(
            "image.registry_sign_in",
            f"weir's identity may not read the registry's images: {why.rstrip('.')}.",
            remedy=f"Give it the role: az role assignment create --assignee OBJECT_ID --role"
            f' "{role}" --scope {self.target} (it may take some minutes to hold).'
            " Where the words speak of an address, let this machine through the registry's network"
            " rules.",
            where=self.where,
        )
