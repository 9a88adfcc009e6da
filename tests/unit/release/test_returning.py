from __future__ import annotations

from dataclasses import replace

import pytest

from tests.story import loaded, release
from tests.unit.release.stages import (
    with_v1,
)
from weir.document import Outcome
from weir.errors import PermanentError, TemporaryError
from weir.release import returning


def test_rolling_back_without_a_release_returns_to_the_version_kept() -> None:
    there = with_v1()
    release(there.platform, loaded("v2"))
    returning.return_to_previous(there.platform, "fraud", by="ada")
    document = there.state.documents["fraud"]
    assert str(there.traffic.split("fraud")) == "v1 100 %"
    assert (document.endpoint.control, document.previous) == ("v1", "v2")


def test_rolling_back_with_nothing_to_return_to_is_refused() -> None:
    there = with_v1()
    with pytest.raises(PermanentError) as caught:
        returning.return_to_previous(there.platform, "fraud", by="ada")
    assert caught.value.reason == "rollback.nothing_to_return_to"


def test_a_rollback_typed_twice_does_not_swing_back() -> None:
    there = with_v1()
    release(there.platform, loaded("v2"))
    returning.return_to_previous(there.platform, "fraud", by="ada")
    with pytest.raises(PermanentError) as caught:
        returning.return_to_previous(there.platform, "fraud", by="ada")
    assert caught.value.reason == "rollback.already_back"
    assert str(there.traffic.split("fraud")) == "v1 100 %"


def test_a_return_that_the_gateway_missed_is_ended_by_the_next_try() -> None:
    there = with_v1()
    release(there.platform, loaded("v2"))
    there.traffic.failures.append(
        TemporaryError("gateway.not_acknowledged", "no answer.", remedy="Again.")
    )
    with pytest.raises(TemporaryError):
        returning.return_to_previous(there.platform, "fraud", by="ada")
    returning.return_to_previous(there.platform, "fraud", by="ada")
    assert str(there.traffic.split("fraud")) == "v1 100 %"


def test_other_content_under_the_kept_versions_name_is_no_way_back() -> None:
    there = with_v1()
    release(there.platform, loaded("v2"))
    other = replace(loaded("v1"), digest="other")
    assert release(there.platform, other, deploy_only=True).outcome is Outcome.DEPLOYED
    assert there.state.documents["fraud"].previous is None
    with pytest.raises(PermanentError):
        returning.return_to_previous(there.platform, "fraud", "ada", whatever_came_last=True)


def test_a_release_that_failed_by_itself_leaves_nothing_to_go_back_from() -> None:
    there = with_v1()
    release(there.platform, loaded("v2"))
    there.workloads.broken["v3"] = ("no",)
    assert release(there.platform, loaded("v3")).outcome is Outcome.FAILED
    with pytest.raises(PermanentError) as caught:
        returning.return_to_previous(there.platform, "fraud", "ada")
    assert caught.value.reason == "rollback.nothing_was_promoted"
    assert str(there.traffic.split("fraud")) == "v2 100 %"
    returning.return_to_previous(there.platform, "fraud", "ada", whatever_came_last=True)
    assert str(there.traffic.split("fraud")) == "v1 100 %"


@pytest.mark.parametrize("whatever_came_last", [False, True])
def test_a_return_that_was_killed_is_ended_by_the_next_command(whatever_came_last: bool) -> None:
    there = with_v1()
    release(there.platform, loaded("v2"))
    there.traffic.failures.append(TemporaryError("gateway.down", "no.", remedy=""))
    with pytest.raises(TemporaryError):
        returning.return_to_previous(there.platform, "fraud", "ada")
    returning.return_to_previous(
        there.platform, "fraud", "ada", whatever_came_last=whatever_came_last
    )
    assert str(there.traffic.split("fraud")) == "v1 100 %"
    assert there.state.documents["fraud"].split_applied_at is not None


def test_releasing_the_same_file_again_also_ends_a_return_that_was_killed() -> None:
    there = with_v1()
    release(there.platform, loaded("v2"))
    there.traffic.failures.append(TemporaryError("gateway.down", "no.", remedy=""))
    with pytest.raises(TemporaryError):
        returning.return_to_previous(there.platform, "fraud", "ada")
    release(there.platform, loaded("v2"))
    assert str(there.traffic.split("fraud")) == "v1 100 %"
