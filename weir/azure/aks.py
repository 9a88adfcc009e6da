"""One AKS cluster, asked through the management SDK. Every call may be repeated."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from azure.core import MatchConditions
from azure.mgmt.containerservice import models

from weir.azure.asking import Asking
from weir.azure.cluster_plan import Bounds
from weir.azure.managed_cluster import Found, found_in
from weir.azure.operations import Look
from weir.azure.patience import PATIENCE_SECONDS, retry_after
from weir.azure.pipeline import container_service, in_weirs_words
from weir.azure.refusals import AzureRefused, said_in
from weir.azure.resource_ids import ResourceId

API_VERSION = "2026-08-01"
"""Of Microsoft.ContainerService."""

_OVER = ("Succeeded", "Failed", "Canceled")
_GONE = 404
_CHANGED = 412


@dataclass(frozen=True)
class Operation:
    """Where Azure tells how something that it was asked for stands; empty where it does not."""

    address: str
    after_seconds: float


class Aks:
    """The cluster ``target``, which need not exist. Raises what ``refusals`` makes of answers."""

    def __init__(
        self,
        asking: Asking,
        target: ResourceId,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.target, self.asking, self.sleep = target, asking, sleep
        self._client = container_service(
            asking.credential,
            asking.cloud,
            target.subscription_id,
            API_VERSION,
            patience_seconds=patience_seconds,
            sleep=sleep,
        )
        self._there = {
            "resource_group_name": target.resource_group,
            "resource_name": target.name,
        }

    @property
    def where(self) -> str:
        target = self.target
        return (
            f"cluster {target.name}, resource group {target.resource_group}, subscription"
            f" {target.subscription_id}"
        )

    def find(self) -> Found | None:
        """None when there is no such cluster. A resource group that is missing is an error."""
        try:
            with self._asking("read the cluster") as headers:
                return found_in(self._client.managed_clusters.get(**self._there, headers=headers))
        except AzureRefused as refused:
            if refused.status == _GONE and refused.code in ("ResourceNotFound", "NotFound"):
                return None
            raise

    def create(self, cluster: models.ManagedCluster) -> Operation | None:
        """Have it made; None when somebody else made it in between."""
        try:
            with self._asking("create the cluster") as headers:
                return self._begun(
                    self._client.managed_clusters.begin_create_or_update,
                    parameters=cluster,
                    headers=headers,
                    match_condition=MatchConditions.IfMissing,
                )
        except AzureRefused as refused:
            if refused.status == _CHANGED:
                return None
            raise

    def reconcile(self) -> Operation:
        """Have Azure try again what it failed at: it is told of the cluster as it tells of it.

        Tags and settings of others stay. Raises AzureRefused where it changes meanwhile.
        """
        with self._asking("create the cluster") as headers:
            found = self._client.managed_clusters.get(**self._there, headers=headers)
            unchanged = (
                {"etag": found.e_tag, "match_condition": MatchConditions.IfNotModified}
                if found.e_tag
                else {}
            )
            return self._begun(
                self._client.managed_clusters.begin_create_or_update,
                parameters=found,
                headers=headers,
                **unchanged,
            )

    def start(self) -> Operation:
        with self._asking("start the cluster") as headers:
            return self._begun(self._client.managed_clusters.begin_start, headers=headers)

    def delete(self) -> Operation | None:
        """None when there was none."""
        try:
            with self._asking("delete the cluster") as headers:
                return self._begun(self._client.managed_clusters.begin_delete, headers=headers)
        except AzureRefused as refused:
            if refused.status == _GONE:
                return None
            raise

    def scale(self, pool: str, count: int, autoscale: Bounds | None) -> Operation:
        """Change the number of a pool's nodes; everything else of it stays."""
        with self._asking(f"scale pool {pool}") as headers:
            found = self._client.agent_pools.get(
                **self._there, agent_pool_name=pool, headers=headers
            )
            given = found.properties
            assert given is not None
            # Azure takes no other number together with an autoscaler, which chooses it itself.
            given.count = count if autoscale is None else autoscale.nearest(given.count or count)
            given.enable_auto_scaling = autoscale is not None
            given.min_count = autoscale.minimum if autoscale else None
            given.max_count = autoscale.maximum if autoscale else None
            return self._begun(
                self._client.agent_pools.begin_create_or_update,
                agent_pool_name=pool,
                parameters=found,
                headers=headers,
            )

    def versions(self, location: str) -> tuple[str, ...]:
        """Kubernetes versions that a new cluster may have there: minor ones and their patches."""
        with self._asking("list Kubernetes versions") as headers:
            listed = self._client.managed_clusters.list_kubernetes_versions(
                location, headers=headers
            )
        found: list[str] = []
        for one in listed.values_property or ():
            found += [str(one.version), *(one.patch_versions or {})]
        return tuple(found)

    def kubeconfig(self, *, is_admin: bool) -> str:
        """A kubeconfig: that of the cluster's administrator, or the one that users get."""
        listing = self._client.managed_clusters
        whose = "administrator" if is_admin else "user"
        with self._asking(f"read the {whose}'s kubeconfig") as headers:
            if is_admin:
                given = listing.list_cluster_admin_credentials(**self._there, headers=headers)
            else:
                given = listing.list_cluster_user_credentials(
                    **self._there, format="exec", headers=headers
                )
        contents = [one.value for one in given.kubeconfigs or () if one.value]
        return bytes(contents[0]).decode() if contents else ""

    def look(self, operation: Operation) -> Look:
        """How an operation stands that has an address."""
        answer = self.asking.arm(
            "GET",
            operation.address,
            "read the operation",
            version=API_VERSION,
            where=self.where,
        )
        told = answer.json()
        state = str(told.get("status") or "")
        failed = state in ("Failed", "Canceled")
        return Look(
            state=state,
            is_over=state in _OVER,
            error=said_in(told.get("error") or {"code": state}) if failed else None,
            after_seconds=retry_after(answer.headers) or operation.after_seconds,
            correlation_id=answer.correlation_id,
        )

    def _asking(self, doing: str) -> Any:
        return in_weirs_words(doing, self.where)

    def _begun(self, begin: Callable[..., Any], **more: Any) -> Operation:
        """Only sends the request: weir waits by itself, and can be killed while it does."""
        told: dict[str, Mapping[str, str]] = {}

        def note(response: Any, *_: object) -> None:
            told["headers"] = response.http_response.headers

        begin(**self._there, **more, polling=False, cls=note).result()
        headers = told.get("headers", {})
        address = headers.get("Azure-AsyncOperation", "")
        # The token goes to ARM alone, whatever an answer says.
        is_arms = urlsplit(address).netloc == urlsplit(
            self.asking.cloud.resource_manager
        ).netloc and address.startswith("https://")
        return Operation(address if is_arms else "", retry_after(headers))
