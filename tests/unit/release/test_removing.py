from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.fakes.world import World
from tests.story import loaded, release
from tests.unit.release.stages import (
    a_dead_process,
    with_v1,
)
from weir.document import Outcome, Removal
from weir.endpoint import Endpoint, Split
from weir.errors import EndpointBusy, PermanentError
from weir.release import removing, steps
from weir.release.beginning import begin


def test_what_gave_way_makes_room_before_the_next_version_comes() -> None:
    there = with_v1()
    for name in ("v2", "v3", "v4", "v5"):
        release(there.platform, loaded(name), deploy_only=True)
    dead = a_dead_process(there)
    begun = begin(there.platform, loaded("v7"), dead)
    assert begun.ledger is not None
    steps.provision(there.platform, begun.ledger)
    steps.build(there.platform, begun.ledger)
    assert release(there.platform, loaded("v8")).outcome is Outcome.PROMOTED
    assert "v7" not in there.workloads.versions("fraud")


def test_an_endpoint_whose_document_is_lost_is_not_begun_anew_but_can_be_removed() -> None:
    there = with_v1()
    del there.state.documents["fraud"]
    with pytest.raises(PermanentError, match="v1") as caught:
        release(there.platform, loaded("v2"))
    assert caught.value.reason == "state.lost"
    removing.remove_endpoint(there.platform, "fraud")
    assert release(there.platform, loaded("v2")).reason == "first_version"


def test_nobody_releases_to_an_endpoint_that_is_being_removed() -> None:
    there = with_v1()
    refused: list[str] = []

    class Removing:
        def __getattr__(self, name: str) -> Any:
            return getattr(there.workloads, name)

        def remove(self, endpoint: str, version: str) -> None:
            with pytest.raises(EndpointBusy) as caught:
                begin(there.platform, loaded("v2"), a_dead_process(there))
            refused.append(caught.value.message)
            there.workloads.remove(endpoint, version)

    removing.remove_endpoint(replace(there.platform, workloads=Removing()), "fraud")
    assert len(refused) == 1
    assert "being removed" in refused[0]
    assert there.state.documents == {}


def test_a_removal_that_was_killed_is_not_released_to_before_it_has_ended() -> None:
    there = with_v1()
    dead = a_dead_process(there)
    document = there.state.documents["fraud"]
    there.state.write(document.changed(removal=Removal(holder=dead)))
    with pytest.raises(PermanentError) as caught:
        release(there.platform, loaded("v2"))
    assert caught.value.reason == "endpoint.removal_unfinished"
    removing.remove_endpoint(there.platform, "fraud")
    assert there.state.documents == {}


def test_the_removal_of_a_version_that_was_killed_is_ended_by_the_next_release() -> None:
    there = with_v1()
    release(there.platform, loaded("v2"), deploy_only=True)
    document = there.state.documents["fraud"]
    marked = document.changed(
        removal=Removal(holder=a_dead_process(there), version="v2"), retiring=("v2",)
    )
    there.state.write(marked)
    release(there.platform, loaded("v3"))
    assert there.workloads.versions("fraud") == ("v1", "v3")
    assert there.state.documents["fraud"].removal is None


def test_a_version_goes_when_its_requests_have_ended_and_the_gateway_forgets_it_last() -> None:
    there = with_v1(v2=0.5)
    seen: list[str] = []

    class Watched:
        """Requests to v2 are under way at the first three looks after the rollback."""

        looks = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(there.traffic, name)

        def in_flight(self, endpoint: str) -> dict[str, int]:
            split = there.traffic.split("fraud")
            if split is None or split.percentile("v2"):
                return {}
            self.looks += 1
            seen.append("asked")
            return {"v2": 4 - self.looks}

        def withdraw(self, endpoint: Endpoint, revision: int = 0) -> Any:
            assert endpoint.version("v2") is None
            seen.append("withdrawn")
            return there.traffic.apply(endpoint)

        def apply(self, endpoint: Endpoint, revision: int = 0) -> Any:
            if endpoint.version("v2") is None:
                seen.append("forgotten")
            return there.traffic.apply(endpoint)

    class Removing:
        def __getattr__(self, name: str) -> Any:
            return getattr(there.workloads, name)

        def remove(self, endpoint: str, version: str) -> None:
            seen.append("removed")
            there.workloads.remove(endpoint, version)

    platform = replace(there.platform, traffic=Watched(), workloads=Removing())
    assert release(platform, loaded("v2")).outcome is Outcome.ROLLED_BACK
    assert seen == ["withdrawn", *["asked"] * 4, "removed", "forgotten"]


def test_a_version_whose_requests_never_end_goes_after_their_longest_time() -> None:
    there = with_v1(v2=0.5)
    there.traffic.hanging = {"v2": 1}
    began = there.clock.now()
    assert release(there.platform, loaded("v2")).outcome is Outcome.ROLLED_BACK
    assert there.workloads.versions("fraud") == ("v1",)
    assert timedelta(seconds=60) < there.clock.now() - began < timedelta(seconds=100)


class Overtaken:
    """Workloads of a process that another takes over while it drains a version."""

    def __init__(self, there: World, overtake: Callable[[], object]) -> None:
        self._there, self._overtake = there, overtake
        self.removed: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._there.workloads, name)

    def remove(self, endpoint: str, version: str) -> None:
        self._there.workloads.remove(endpoint, version)
        self.removed.append(version)
        self._overtake()


def _released_anew(there: World) -> None:
    """Another process has ended the removal and released v9."""
    document = there.state.documents["fraud"]
    there.state.write(document.changed(removal=Removal(holder=a_dead_process(there))))
    removing.remove_endpoint(there.platform, "fraud")
    release(there.platform, loaded("v9"))


def test_a_removal_that_was_taken_over_removes_nothing_of_what_came_since() -> None:
    there = with_v1()
    release(there.platform, loaded("v2"), deploy_only=True)
    overtaken = Overtaken(there, lambda: _released_anew(there))
    with pytest.raises(EndpointBusy) as caught:
        removing.remove_endpoint(replace(there.platform, workloads=overtaken), "fraud")
    assert caught.value.reason == "removal.hold_lost"
    assert overtaken.removed == ["v1"]
    assert there.workloads.versions("fraud") == ("v9",)
    assert str(there.traffic.split("fraud")) == "v9 100 %"
    assert there.state.documents["fraud"].endpoint.control == "v9"


def test_what_is_left_of_a_lost_endpoint_is_not_removed_once_it_has_begun_anew() -> None:
    there = with_v1()
    document = there.state.documents.pop("fraud")
    overtaken = Overtaken(there, lambda: there.state.write(document.changed(revision=0)))
    with pytest.raises(EndpointBusy) as caught:
        removing.remove_endpoint(replace(there.platform, workloads=overtaken), "fraud")
    assert caught.value.reason == "removal.hold_lost"
    assert there.traffic.split("fraud") is not None


def test_a_version_is_taken_from_the_gateway_as_the_newest_document_wants_it() -> None:
    """As another process has left it that took the removal for dead, and ended by now."""
    there = with_v1()
    for name in ("v2", "v3"):
        release(there.platform, loaded(name), deploy_only=True)

    def shifted() -> None:
        document = there.state.documents["fraud"]
        split = Split.of({"v1": 60, "v3": 40})
        there.traffic.apply(document.endpoint.with_split(split))
        there.state.write(document.changed(endpoint=document.endpoint.with_split(split)))

    overtaken = Overtaken(there, shifted)
    removing.remove_version(replace(there.platform, workloads=overtaken), "fraud", "v2")
    assert str(there.traffic.split("fraud")) == "v1 60 %, v3 40 %"
    assert there.state.documents["fraud"].endpoint.version("v2") is None


@pytest.mark.parametrize("moment", ["drained", "applied"])
def test_the_removal_of_a_version_that_was_taken_over_leaves_the_gateway_to_the_other(
    moment: str,
) -> None:
    there = with_v1()
    for name in ("v2", "v3"):
        release(there.platform, loaded(name), deploy_only=True)

    def taken() -> None:
        document = there.state.documents["fraud"]
        split = Split.of({"v1": 60, "v3": 40})
        endpoint = document.endpoint.without_version("v2").with_split(split)
        there.traffic.apply(endpoint)
        there.state.write(document.changed(endpoint=endpoint, removal=None, retiring=()))

    class Late:
        def __getattr__(self, name: str) -> Any:
            return getattr(there.traffic, name)

        def apply(self, endpoint: Endpoint, revision: int = 0) -> Any:
            if there.state.documents["fraud"].removal is not None:
                taken()
            return there.traffic.apply(endpoint)

    platform = (
        replace(there.platform, workloads=Overtaken(there, taken))
        if moment == "drained"
        else replace(there.platform, traffic=Late())
    )
    with pytest.raises(EndpointBusy) as caught:
        removing.remove_version(platform, "fraud", "v2")
    assert caught.value.reason == "removal.hold_lost"
    assert str(there.traffic.split("fraud")) == "v1 60 %, v3 40 %"
    assert str(there.state.documents["fraud"].endpoint.split) == "v1 60 %, v3 40 %"
