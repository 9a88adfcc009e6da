"""An AKS cluster is made, started, scaled and deleted, and waited for.

The truth is Azure's provisioningState: whoever dies here runs again, and waits on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from weir import __version__
from weir.azure.access import not_there
from weir.azure.aks import Aks, Operation
from weir.azure.cluster_body import GPU_POOL, POOL, body
from weir.azure.cluster_differences import differences
from weir.azure.cluster_plan import Bounds, ClusterPlan, require_nodes
from weir.azure.managed_cluster import CREATED, Found, Pool
from weir.azure.operations import Look, Work, asked_for, follow
from weir.azure.preflight import require_possible
from weir.azure.refusals import AzureRefused, operation_failed
from weir.azure.said import Said
from weir.errors import PermanentError, UserError
from weir.ports import Say, unsaid

CREATE_MINUTES = 20
DELETE_MINUTES = 10
USUAL_MINUTES = 5

_UNDER_WAY: Mapping[str, tuple[str, int]] = {
    "Creating": ("create", CREATE_MINUTES),
    "Deleting": ("delete", DELETE_MINUTES),
    "Starting": ("start", USUAL_MINUTES),
    "Stopping": ("stop", USUAL_MINUTES),
    "Scaling": ("scale", USUAL_MINUTES),
    "Upgrading": ("upgrade", CREATE_MINUTES),
}


class Provisioning:
    """What is done to one cluster from outside. ``name`` is what its block is called."""

    def __init__(self, aks: Aks, plan: ClusterPlan | None, name: str = "NAME") -> None:
        self._aks, self._plan, self._name = aks, plan, name
        self.under_way: Work | None = None
        """What Azure was last seen to do, for whoever stops waiting."""
        self._operation: Operation | None = None

    def planned(self) -> tuple[str, ...]:
        """What ``ensure`` would make where nothing is, a line each.

        Raises PlatformMissing without a plan, UserError for one that is wrong.
        """
        plan = self._plan
        if plan is None:
            raise not_there(self._aks, None)
        told: list[str] = []
        require_possible(self._aks, plan, told.append)
        pools = [
            f"{nodes} x {size}{f' (autoscaler {bounds})' if bounds else ''}"
            for _, size, nodes, bounds in plan.pools
        ]
        line = (
            f"+ AKS cluster {self._aks.target.name} in {plan.location}: {', '.join(pools)}; takes"
            f" about {CREATE_MINUTES} min"
        )
        return (line, *(f"! {one}" for one in told))

    def expected(self, found: Found) -> tuple[str, ...]:
        """What ``ensure`` would have Azure do to a cluster that is there, or would wait for.

        Raises PermanentError ``cluster.deleting``.
        """
        _require_staying(self._aks, found)
        if not found.is_settled:
            return (f"  waits for {found.name}: {not_there(self._aks, found).message}",)
        if found.has_failed and self._may_be_made_again(found):
            return (f"~ AKS cluster {found.name}: made once more, which failed before",)
        if not found.is_running:
            return (f"~ AKS cluster {found.name}: started; takes about {USUAL_MINUTES} min",)
        return ()

    def begin(self, say: Say = unsaid) -> Found | None:
        """Have Azure begin with what is missing, and do not wait.

        Returns the cluster where there is nothing to be waited for. Raises UserError for a plan
        that is wrong, PlatformMissing without one.
        """
        found = self._aks.find()
        if found is None:
            self._create(say)
            return None
        _require_staying(self._aks, found)
        if not found.is_settled:
            self.under_way = self._work(*_UNDER_WAY.get(found.state, ("update", USUAL_MINUTES)))
            return None
        if found.has_failed and self._is_made_again(found, say):
            return None
        if not found.is_running:
            self._ask("start", USUAL_MINUTES, self._aks.start, say)
            return None
        return found

    def ensure(self, say: Say = unsaid) -> tuple[Found, bool]:
        """The cluster is there and runs. Returns it, and whether it had to be waited for."""
        has_waited = False
        while (found := self.begin(say)) is None:
            has_waited = True
            self.await_settled(say)
        return found, has_waited

    def await_settled(self, say: Say) -> None:
        """Wait for what ``begin``, ``scale`` or ``delete`` began."""
        if self.under_way is not None:
            follow(self.under_way, self._look, say, sleep=self._aks.sleep)
        self.under_way = self._operation = None

    def wait(self, say: Say) -> Found | None:
        """Wait for whatever Azure does to the cluster. Returns it; None where there is none."""
        found = self._aks.find()
        while found is not None and not found.is_settled:
            self.under_way = self._work(*_UNDER_WAY.get(found.state, ("update", USUAL_MINUTES)))
            self.await_settled(say)
            found = self._aks.find()
        return found

    def scale(
        self, count: int, autoscale: Bounds | None, say: Say = unsaid, *, gpu: bool = False
    ) -> Pool:
        """Have Azure change the number of a pool's nodes; returns the pool as it was.

        Raises UserError ``cluster.nodes`` or ``cluster.no_pool``.
        """
        require_nodes(count, autoscale, "agent_count")
        found = self.require_settled()
        pool = pool_of(found, gpu=gpu)
        if (pool.count, pool.autoscale) != (count, autoscale):
            change = partial(self._aks.scale, pool.name, count, autoscale)
            self._ask("scale", USUAL_MINUTES, change, say)
        return pool

    def delete(self, say: Say = unsaid) -> Found | None:
        """Have Azure delete the cluster; None when there is none.

        Raises UserError ``cluster.not_weirs`` for one that weir did not make.
        """
        found = self.require_deletable()
        if found is None:
            return None
        if found.state == "Deleting":
            self.under_way = self._work("delete", DELETE_MINUTES)
        else:
            self._ask("delete", DELETE_MINUTES, self._aks.delete, say)
        return found

    def require_deletable(self) -> Found | None:
        """The cluster, None when there is none. Raises as ``delete`` does."""
        found = self._aks.find()
        if found is not None and not found.is_weirs:
            raise UserError(
                "cluster.not_weirs",
                f"the cluster {found.name} was not made by weir (it has no tag {CREATED}), and"
                " weir deletes nothing that it did not make.",
                remedy=f"weir cluster detach {self._name} forgets it; az aks delete deletes it.",
                where=self._aks.where,
            )
        return found

    def require_settled(self) -> Found:
        """The cluster. Raises PlatformMissing without one, PermanentError ``cluster.busy``."""
        found = self._aks.find()
        if found is None:
            raise not_there(self._aks, None)
        if not found.is_settled:
            doing, _ = _UNDER_WAY.get(found.state, ("update", 0))
            raise PermanentError(
                "cluster.busy",
                f"Azure is about to {doing} the cluster ({found.state}).",
                remedy="Wait until that has ended (weir cluster list), then run again.",
                where=self._aks.where,
            )
        return found

    def _create(self, say: Say) -> None:
        plan = self._plan
        if plan is None:
            raise not_there(self._aks, None)
        require_possible(self._aks, plan, say)
        say(f"having Azure create {self._aks.target.name} in {plan.location}")
        wanted = body(plan, self._aks.target, __version__)
        self._ask("create", CREATE_MINUTES, partial(self._aks.create, wanted), say)

    def _may_be_made_again(self, found: Found) -> bool:
        """Whether it is weir's own, and as planned but for its failure."""
        plan = self._plan
        if plan is None or not found.is_weirs:
            return False
        return not differences(plan, found, self._aks.target)

    def _is_made_again(self, found: Found, say: Say) -> bool:
        """Whether Azure is told once more to make a cluster that it failed to make as planned."""
        error = found.error or Said(found.state, "without words")
        if not self._may_be_made_again(found):
            say(f"what Azure last did to {found.name} failed ({error}); going on with what it is")
            return False
        if self.under_way is not None:
            raise operation_failed(error, self.under_way.doing, self._aks.where)
        say(f"having Azure make {found.name} once more, which failed before ({error})")
        self._ask("create", CREATE_MINUTES, self._aks.reconcile, say)
        return True

    def _look(self) -> Look:
        """How it stands: by the operation where Azure named one, else by the cluster itself."""
        seen = Look("", is_over=True)
        if self._operation is not None and self._operation.address:
            try:
                seen = self._aks.look(self._operation)
            except AzureRefused:
                # Azure forgets operations. The cluster tells as well.
                self._operation = None
            if not seen.is_over or seen.error is not None:
                return seen
        found = self._aks.find()
        is_deletion = self.under_way is not None and self.under_way.doing.startswith("delete")
        if found is None:
            gone = None if is_deletion else Said("ResourceNotFound", "The cluster is gone")
            return Look("gone", is_over=True, error=gone)
        failed = found.error or Said(found.state, "without words")
        return Look(
            found.state,
            is_over=found.is_settled and not (is_deletion and found.state != "Failed"),
            error=failed if found.has_failed else None,
            after_seconds=self._operation.after_seconds if self._operation else 0.0,
            since=found.created_at if found.state == "Creating" else None,
        )

    def _ask(self, verb: str, minutes: int, ask: Callable[[], Operation | None], say: Say) -> None:
        work = self._work(verb, minutes)
        with asked_for(work, say):
            self._operation = ask()
        self.under_way = work

    def _work(self, verb: str, minutes: int) -> Work:
        target = self._aks.target
        there = (
            f"--name {target.name} --resource-group {target.resource_group} --subscription"
            f" {target.subscription_id}"
        )
        return Work(
            doing=f"{verb} the cluster",
            where=self._aks.where,
            usual_minutes=minutes,
            look=f"az aks show {there} --query provisioningState",
            stop=f"az aks operation-abort {there}",
            come_back=f"weir cluster wait {self._name}",
        )


def pool_of(found: Found, *, gpu: bool = False) -> Pool:
    """The pool that is scaled. Raises UserError ``cluster.no_pool``."""
    pools = {pool.name: pool for pool in found.pools}
    if gpu:
        chosen = pools.get(GPU_POOL)
    else:
        chosen = pools.get(POOL) or next((one for one in found.pools if one.mode == "System"), None)
    if chosen is not None:
        return chosen
    raise UserError(
        "cluster.no_pool",
        f"the cluster {found.name} has no {'pool for GPUs' if gpu else 'pool'} that weir knows.",
        remedy=f"It has {', '.join(pools) or 'none'}; scale one with az aks nodepool scale.",
        where=f"cluster {found.name}",
    )


def _require_staying(aks: Aks, found: Found) -> None:
    if found.state == "Deleting":
        raise PermanentError(
            "cluster.deleting",
            f"the cluster {aks.target.name} is being deleted.",
            remedy="Wait until it is gone (weir cluster list), then run again.",
            where=aks.where,
        )
