"""A process that dies before or after any outward call, and the next one that goes on."""

from __future__ import annotations

import contextlib
from dataclasses import fields, replace
from typing import Any

import pytest

from tests.fakes.world import World, world
from tests.story import loaded, release
from weir.document import Outcome
from weir.errors import PermanentError, VersionUnhealthy
from weir.holding import this_process
from weir.ports import Platform
from weir.release import steps
from weir.release.ledger import Ledger
from weir.release.returning import return_to_previous
from weir.spec.load import Loaded

MORTAL_PORTS = ("clusters", "images", "workloads", "traffic", "state", "windows", "scorer")
READS = {"is_alive", "endpoints", "scoring_uri", "split", "status", "versions", "keys"}


class Killed(BaseException):
    """The process is gone: nothing catches this."""


class Life:
    """Counts the outward calls of one process, which ends at the ``last`` moment."""

    def __init__(self, last: int | None = None) -> None:
        self.moments = 0
        self._last = last

    def moment(self) -> None:
        if self.moments == self._last:
            raise Killed
        self.moments += 1


class Mortal:
    """A port in the hands of a process that may die before and after each call."""

    def __init__(self, port: Any, life: Life) -> None:
        self._port = port
        self._life = life

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if not callable(method) or name in READS:
            return method

        def call(*args: Any, **kwargs: Any) -> Any:
            self._life.moment()
            result = method(*args, **kwargs)
            self._life.moment()
            return result

        return call


def mortal(platform: Platform, life: Life) -> Platform:
    ports = {
        field.name: Mortal(getattr(platform, field.name), life)
        for field in fields(platform)
        if field.name in MORTAL_PORTS
    }
    return replace(platform, **ports)


def moments_of(failing: dict[str, float]) -> int:
    there = started(failing)
    life = Life()
    release(mortal(there.platform, life), v2())
    return life.moments


def started(failing: dict[str, float]) -> World:
    there = world(**failing)
    there.telemetry.requests_per_second = 2_000
    release(there.platform, loaded("v1"))
    return there


def v2() -> Loaded:
    return loaded("v2", guardrails=[{"metric": "failures", "slack": 0.02}])


@pytest.mark.parametrize(
    ("failing", "outcome", "split", "running"),
    [
        ({}, Outcome.PROMOTED, "v2 100 %", ("v1", "v2")),
        ({"v2": 0.5}, Outcome.ROLLED_BACK, "v1 100 %", ("v1",)),
    ],
    ids=["promotion", "rollback"],
)
def test_a_kill_at_any_outward_call_converges_to_the_same_end(
    failing: dict[str, float], outcome: Outcome, split: str, running: tuple[str, ...]
) -> None:
    moments = moments_of(failing)
    assert moments > 40
    for last in range(moments):
        there = started(failing)
        victim = this_process("", there.clock.now()).model_copy(update={"pid": 2**22 + 1})
        with pytest.raises(Killed):
            release(mortal(there.platform, Life(last)), v2(), victim)
        past = release(there.platform, v2())
        document = there.state.documents["fraud"]
        assert past.outcome is outcome, f"killed at moment {last}"
        assert str(there.traffic.split("fraud")) == split
        assert str(document.endpoint.split) == split
        assert there.workloads.versions("fraud") == running
        assert document.release is None
        assert len([one for one in document.history if one.version == "v2"]) == 1
        recorded = [window.id for window in there.windows.read("fraud", past.id)]
        assert recorded == sorted(set(recorded))


def test_a_process_killed_again_and_again_still_arrives() -> None:
    there = started({})
    for attempt in range(1, 200):
        victim = this_process("", there.clock.now()).model_copy(update={"pid": 2**22 + attempt})
        try:
            past = release(mortal(there.platform, Life(110)), v2(), victim)
        except Killed:
            continue
        assert past.outcome is Outcome.PROMOTED
        return
    pytest.fail("two hundred lives were not enough")


@pytest.mark.parametrize("whatever_came_last", [False, True])
def test_a_return_killed_at_any_outward_call_is_ended_by_typing_it_again(
    whatever_came_last: bool,
) -> None:
    def promoted() -> World:
        there = started({})
        release(there.platform, v2())
        return there

    def back(platform: Platform) -> None:
        return_to_previous(platform, "fraud", "ada", whatever_came_last=whatever_came_last)

    life = Life()
    back(mortal(promoted().platform, life))
    assert life.moments >= 6
    for last in range(life.moments):
        there = promoted()
        with pytest.raises(Killed):
            back(mortal(there.platform, Life(last)))
        killed = there.state.documents["fraud"]
        is_through = killed.endpoint.control == "v1" and killed.split_applied_at is not None
        if not (is_through and whatever_came_last):  # by design that would go on to v2
            with contextlib.suppress(PermanentError):
                back(there.platform)
        document = there.state.documents["fraud"]
        assert str(there.traffic.split("fraud")) == "v1 100 %", f"killed at moment {last}"
        assert (document.endpoint.control, document.previous) == ("v1", "v2")
        assert document.split_applied_at is not None


@pytest.mark.parametrize("failing", [{}, {"v2": 0.5}], ids=["promotion", "rollback"])
def test_an_interruption_at_any_outward_call_leaves_nothing_unproven_and_goes_on(
    failing: dict[str, float],
) -> None:
    for last in range(0, moments_of(failing), 7):
        there = started(failing)
        with pytest.raises(Killed):
            release(mortal(there.platform, Life(last)), v2())
        document = there.state.documents["fraud"]
        if document.release is None or document.release.holder is None:
            continue
        steps.stand_back(there.platform, Ledger(there.state, "fraud", document.release.holder))
        decided = there.state.documents["fraud"].release
        assert decided is not None
        expected = "v2 100 %" if decided.ending and not failing else "v1 100 %"
        assert str(there.traffic.split("fraud")) == expected, f"interrupted at moment {last}"
        assert release(there.platform, v2()).outcome in (Outcome.PROMOTED, Outcome.ROLLED_BACK)
        assert there.state.documents["fraud"].release is None


def test_a_take_over_whose_replicas_are_gone_ends_with_the_control_at_any_moment() -> None:
    for last in range(0, moments_of({}), 7):
        there = started({})
        victim = this_process("", there.clock.now()).model_copy(update={"pid": 2**22 + 1})
        with pytest.raises(Killed):
            release(mortal(there.platform, Life(last)), v2(), victim)
        under_way = there.state.documents["fraud"].release
        if under_way is not None and under_way.ending is not None:
            continue
        there.workloads.remove("fraud", "v2")
        there.workloads.broken["v2"] = ("no longer starts",)
        if there.state.documents["fraud"].endpoint.control == "v2":
            # Over already; what is missing is put back, and does not start.
            with pytest.raises(VersionUnhealthy):
                release(there.platform, v2())
            continue
        past = release(there.platform, v2())
        assert past.outcome is not Outcome.PROMOTED
        assert str(there.traffic.split("fraud")) == "v1 100 %", f"killed at moment {last}"
        assert there.workloads.versions("fraud") == ("v1",)
