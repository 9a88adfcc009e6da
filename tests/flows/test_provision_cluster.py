"""The flow that the UI and schedules provision a cluster by."""

from __future__ import annotations

from dataclasses import replace

from flows.provision_cluster import provision_cluster
from tests.fakes.platform_block import reference_to
from tests.fakes.world import world
from weir.errors import UserError, WeirError
from weir.ports import ClusterStatus, Say, unsaid


class Refusing:
    """A cluster whose plan cannot be."""

    def status(self) -> ClusterStatus:
        return ClusterStatus("refusing", ready=False)

    def check(self) -> tuple[str, ...]:
        return ()

    def ensure(self, say: Say = unsaid) -> ClusterStatus:
        raise UserError("cluster.too_small", "too few nodes.", remedy="Take more.", where="here")


def test_a_cluster_is_ready_when_its_run_is_completed() -> None:
    state = provision_cluster(reference_to(world()), return_state=True)
    assert state.is_completed()
    assert state.message == "fake is ready"


def test_a_plan_that_cannot_be_is_one_line_of_the_failed_run() -> None:
    there = world()
    there.platform = replace(there.platform, clusters=Refusing())
    state = provision_cluster(reference_to(there), return_state=True)
    error = state.result(raise_on_failure=False)
    assert isinstance(error, WeirError)
    assert (state.name, state.message) == ("Failed", str(error))
