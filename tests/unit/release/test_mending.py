"""What somebody removed by hand is put back by releasing the same once more."""

from __future__ import annotations

from tests.story import loaded, release
from tests.unit.release.stages import with_v1
from weir.document import Outcome
from weir.holding import this_process
from weir.release.beginning import begin
from weir.release.mending import mend


def test_nothing_is_put_back_where_nothing_is_missing() -> None:
    there = with_v1()
    applied = len(there.workloads.applied)
    assert mend(there.platform, there.state.documents["fraud"]) == ()
    assert len(there.workloads.applied) == applied


def test_a_version_and_a_gateway_that_are_gone_come_back_with_the_split() -> None:
    there = with_v1()
    there.workloads.remove("fraud", "v1")
    there.traffic.remove("fraud")
    begun = begin(there.platform, loaded("v1"), this_process("", there.clock.now()))
    assert begun.past is not None
    assert begun.past.outcome is Outcome.PROMOTED
    assert begun.mended == ("version v1", "its gateway")
    assert there.workloads.versions("fraud") == ("v1",)
    assert str(there.traffic.split("fraud")) == "v1 100 %"


def test_a_version_that_is_kept_at_no_traffic_comes_back_without_being_waited_for() -> None:
    there = with_v1()
    release(there.platform, loaded("v2"))
    there.workloads.remove("fraud", "v1")
    there.workloads.broken["v1"] = ("no longer starts",)
    assert mend(there.platform, there.state.documents["fraud"]) == ("version v1",)
