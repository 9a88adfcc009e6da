"""Implements ``Clusters`` on AKS: the cluster is there, may pull images, and is fit to work in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from weir.azure import role_grants, roles, vm_sizes
from weir.azure.access import not_there
from weir.azure.aks import Aks
from weir.azure.cluster_body import subnet_id
from weir.azure.cluster_differences import differences
from weir.azure.cluster_plan import Bounds, ClusterPlan, require_enough
from weir.azure.container_registry import ContainerRegistry
from weir.azure.managed_cluster import CREATED, Found, Pool
from weir.azure.provisioning import Provisioning, pool_of
from weir.azure.refusals import AzureRefused
from weir.azure.resource_ids import ResourceId
from weir.azure.role_grants import Grant
from weir.errors import PermanentError, TemporaryError, UserError, WeirError
from weir.ports import Clusters, ClusterStatus, Say, unsaid

SETTLING_SECONDS = 600.0
"""How long what a new cluster brings along may take to be there: its name in DNS, its classes."""

_SETTLING_EVERY_SECONDS = 10.0
_YOUNG_SECONDS = 3600.0
_SETTLING = ("gateway.class_missing", "kubernetes.no_gateway_api")


@dataclass(frozen=True)
class Wanted:
    """What a platform wants of its cluster. Without ``plan`` none is ever made.

    ``registry`` is where its nodes are to pull images from.
    """

    plan: ClusterPlan | None = None
    registry: ResourceId | None = None


class AzureClusters:
    """One AKS cluster; ``inside`` is what is to be there in the cluster itself."""

    def __init__(
        self, aks: Aks, inside: Clusters, wanted: Wanted, provisioning: Provisioning
    ) -> None:
        self.aks, self.wanted, self.provisioning = aks, wanted, provisioning
        self._inside = inside
        self._is_fit = False

    def status(self) -> ClusterStatus:
        name = self.aks.target.name
        try:
            found = self.aks.find()
        except WeirError as error:
            return ClusterStatus(name, ready=False, message=str(error))
        if found is None or not found.is_settled or not found.is_running:
            return ClusterStatus(name, ready=False, message=not_there(self.aks, found).message)
        inside = self._inside.status()
        return ClusterStatus(name, inside.ready, inside.message)

    def check(self) -> tuple[str, ...]:
        """See Clusters. Differences from the plan are told, and never made."""
        found = self.aks.find()
        if found is None:
            roles_of_it = (_told(grant) for grant in self._grants(self._yet_to_be()))
            return (*self.provisioning.planned(), *roles_of_it)
        under_way = self.provisioning.expected(found)
        lines = [f"! {self.aks.target.name} {one}" for one in self.differences(found)]
        lines += [
            _told(grant)
            for grant in self._grants(found)
            if role_grants.is_granted(self.aks.asking, grant) is False
        ]
        # Nobody can look inside until that is done.
        return (*lines, *(under_way or self._inside.check()))

    def differences(self, found: Found) -> tuple[str, ...]:
        """In what it is not as planned; nothing without a plan."""
        plan = self.wanted.plan
        return differences(plan, found, self.aks.target) if plan is not None else ()

    def ensure(self, say: Say = unsaid) -> ClusterStatus:
        """See Clusters. Waits for what is under way, whoever began it.

        Raises AzureRefused, AzureBusy, UserError ``cluster.*`` for a plan that is wrong, and what
        the cluster inside raises.
        """
        if self._is_fit:
            self._inside.ensure(say)
        else:
            self._require_registry()
            found, has_waited = self.provisioning.ensure(say)
            self.ensure_grants(found, say)
            is_new = has_waited or _is_young(found)
            self._settle(found, say, SETTLING_SECONDS if is_new else 0.0)
            self._is_fit = True
        return ClusterStatus(self.aks.target.name, ready=True)

    def begin(self, say: Say = unsaid) -> Found | None:
        """Have Azure begin with what ``ensure`` would have it do, and do not wait.

        Returns the cluster where nothing is to be waited for. Raises AzureRefused
        ``azure.resource_missing`` for a registry that is not there, before anything is made.
        """
        self._require_registry()
        return self.provisioning.begin(say)

    def scale(
        self,
        count: int,
        autoscale: Bounds | None,
        say: Say = unsaid,
        *,
        gpu: bool = False,
        no_autoscaler: bool = False,
    ) -> Pool:
        """Have Azure change the number of a pool's nodes; returns the pool as it was.

        Raises UserError ``cluster.too_small`` where the plan's purpose needs more, and
        ``cluster.autoscaled`` where the pool's autoscaler would take the number for its own.
        """
        pool = pool_of(self.provisioning.require_settled(), gpu=gpu)
        if pool.autoscale and autoscale is None and not no_autoscaler:
            raise UserError(
                "cluster.autoscaled",
                f"the autoscaler chooses from {pool.autoscale} nodes itself.",
                remedy="Give it other bounds (--min-count, --max-count), or --no-autoscaler.",
                where=self.aks.where,
            )
        plan = self.wanted.plan
        vcpus = vm_sizes.vcpus_by_name(pool.vm_size)
        if plan is not None and not gpu and vcpus:
            require_enough(replace(plan, agent_count=count, autoscale=autoscale), vcpus)
        return self.provisioning.scale(count, autoscale, say, gpu=gpu)

    def ensure_grants(self, found: Found, say: Say) -> None:
        """The cluster has the roles that it needs outside of itself."""
        for grant in self._grants(found):
            say(f"looking whether {found.name} has the role {grant.role}")
            if role_grants.ensure_granted(self.aks.asking, grant):
                say(f"gave {found.name} the role {grant.role} on {grant.scope}")

    def _grants(self, found: Found) -> list[Grant]:
        needed = []
        if self.wanted.registry is not None and found.kubelet_id:
            needed.append(
                Grant(
                    found.kubelet_id, roles.ACR_PULL, roles.ACR_PULL_ID, str(self.wanted.registry)
                )
            )
        plan = self.wanted.plan
        if plan is not None and plan.network is not None and found.principal_id and found.is_weirs:
            # Load balancers in somebody else's subnet are made by the cluster's own identity.
            needed.append(
                Grant(
                    found.principal_id,
                    roles.NETWORK_CONTRIBUTOR,
                    roles.NETWORK_CONTRIBUTOR_ID,
                    subnet_id(plan.network, self.aks.target),
                )
            )
        return needed

    def _require_registry(self) -> None:
        """Half an hour later it would be too late to say so."""
        if self.wanted.registry is None:
            return
        try:
            _ = ContainerRegistry(self.aks.asking, self.wanted.registry).login_server
        except AzureRefused as refused:
            if refused.reason != "azure.role_missing":
                raise

    def _yet_to_be(self) -> Found:
        """The cluster before it is made, whose identities nobody knows yet."""
        return Found(
            self.aks.target.name,
            location="",
            state="",
            tags={CREATED: ""},
            kubelet_id="unknown",
            principal_id="unknown",
        )

    def _settle(self, found: Found, say: Say, patience_seconds: float) -> None:
        until = datetime.now(UTC) + timedelta(seconds=patience_seconds)
        while True:
            try:
                self._inside.ensure(say)
                return
            except WeirError as error:
                if error.reason == "kubernetes.forbidden" and found.has_entra_id:
                    raise self._without_right(error) from None
                comes = isinstance(error, TemporaryError) or (
                    error.reason in _SETTLING and found.has_gateway_api
                )
                if not comes or datetime.now(UTC) >= until:
                    raise
                say(f"waiting for what {found.name} brings along: {error.message}")
            self.aks.sleep(_SETTLING_EVERY_SECONDS)

    def _without_right(self, error: WeirError) -> PermanentError:
        return PermanentError(
            error.reason,
            error.message,
            remedy="Give weir's identity a role in the cluster: az role assignment create"
            f' --assignee OBJECT_ID --role "{roles.CLUSTER_ADMIN}" --scope {self.aks.target}'
            " (it may take some minutes to hold).",
            where=error.where,
        )


def _is_young(found: Found) -> bool:
    """Whether it was begun so lately that somebody else may have waited for it, or nobody."""
    at = found.created_at
    return at is not None and datetime.now(UTC) - at < timedelta(seconds=_YOUNG_SECONDS)


def _told(grant: Grant) -> str:
    return f"+ role {grant.role} on {grant.scope}"
