"""The state machine, by looking at every short history: breadth first, equal states once."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pytest

from tests.rollouts import NOON, a_policy, arm
from weir.decision import Action, Decision, Reason, Tally
from weir.evidence.assess import gate_log10_e
from weir.rollout import (
    RolloutState,
    begin,
    decide,
    next_window_id,
    next_window_start,
    operator_promotes,
    operator_rolls_back,
    pause,
    percentiles,
    resume,
    split_applied,
)
from weir.spec.rollout import RolloutPolicy
from weir.window import VersionCounts, Window

WINDOW = timedelta(seconds=10)
MAXIMUM_WAIT_SECONDS, DEADLINE_SECONDS = 60, 500
HEALTHY_REQUESTS = 3000


class Place(NamedTuple):
    """Where a history has led to. ``said`` is None where nothing was decided."""

    state: RolloutState
    now: datetime
    said: Decision | None = None


Event = Callable[[RolloutPolicy, Place], Place]


def window(
    policy: RolloutPolicy, place: Place, control: VersionCounts, treatment: VersionCounts
) -> Window:
    """The next window of ``place``; where no split is effective, one that somebody made up."""
    start = next_window_start(place.state) or place.now
    return Window(
        id=next_window_id(place.state),
        start=start,
        end=max(place.now, start) + WINDOW,
        split=percentiles(policy, place.state),
        versions={"v1": control, "v2": treatment},
    )


def seen(policy: RolloutPolicy, place: Place, offered: Window | None, error: str = "") -> Place:
    now = place.now if offered is None else max(place.now, offered.end)
    state, said = decide(policy, place.state, offered, now, error)
    return Place(state, now, said)


def reading(control: VersionCounts, treatment: VersionCounts) -> Event:
    return lambda policy, place: seen(policy, place, window(policy, place, control, treatment))


def offering(**wrong: Any) -> Event:
    """A window full of harm that must not count."""

    def event(policy: RolloutPolicy, place: Place) -> Place:
        right = window(policy, place, arm(1000, 5), arm(1000, 900))
        fields = {name: value(policy, place.state, right) for name, value in wrong.items()}
        return seen(policy, place, right.model_copy(update=fields))

    return event


def another_split(policy: RolloutPolicy, state: RolloutState, _: Window) -> dict[str, float]:
    other = 7.0 if percentiles(policy, state).get("v2") != 7 else 8.0
    return {"v1": 100 - other, "v2": other}


def passing(seconds: float) -> Event:
    return lambda policy, place: seen(
        policy, Place(place.state, place.now + timedelta(seconds=seconds)), None
    )


def changing(change: Callable[[RolloutState, datetime], RolloutState]) -> Event:
    return lambda _, place: Place(change(place.state, place.now), place.now)


def by_hand(operator: Callable[..., tuple[RolloutState, Decision]]) -> Event:
    def event(policy: RolloutPolicy, place: Place) -> Place:
        state, said = operator(policy, place.state, "ada", place.now)
        return Place(state, place.now, said)

    return event


SKIPPED: dict[str, Event] = {
    "the id of the last window": offering(id=lambda _, state, __: state.last_window_id),
    "an overlap with the last window": offering(
        start=lambda _, state, right: (state.observed_until or NOON) - timedelta(seconds=1)
    ),
    "a window of another split": offering(split=another_split),
    "a telemetry error": lambda policy, place: seen(policy, place, None, "timed out"),
}

EVENTS: dict[str, Event] = {
    "healthy": reading(arm(HEALTHY_REQUESTS), arm(HEALTHY_REQUESTS)),
    "harmful": reading(arm(1000, 5), arm(100, 30)),
    "thin": reading(arm(20), arm(20)),
    "empty": reading(arm(0), arm(0)),
    "control only": reading(arm(500), arm(0)),
    "treatment only": reading(arm(0), arm(50, 2)),
    **SKIPPED,
    "acknowledged": changing(split_applied),
    "paused": changing(lambda state, now: pause(state, "ada", now)),
    "resumed": changing(resume),
    "looked": passing(0),
    "the wait is over": passing(MAXIMUM_WAIT_SECONDS + 1),
    "the deadline is over": passing(DEADLINE_SECONDS + 1),
    "promoted by hand": by_hand(operator_promotes),
    "rolled back by hand": by_hand(operator_rolls_back),
}

NONE = Tally()
DISASTER = (arm(3000, 15), arm(3000, 2500))

TIMES = {"started_at", "step_started_at", "split_applied_at", "observed_until", "proven_at"}


def key(place: Place) -> tuple[object, ...]:
    """What the future depends on: all but when it is and how many windows there were."""
    state, now = place.state, place.now
    return (
        *((getattr(state, name) or now) - now for name in sorted(TIMES)),
        *(getattr(state, name) is None for name in sorted(TIMES)),
        state.paused and state.paused.at - now,
        state.paused_seconds,
        state.step,
        state.telemetry_errors,
        repr((state.evidence, state.pending, state.step_counts, state.total_counts)),
    )


def reloaded(state: RolloutState) -> RolloutState:
    return RolloutState.model_validate_json(state.model_dump_json())


def assert_sound(policy: RolloutPolicy, before: Place, event: str, after: Place) -> None:
    """What holds of every single event."""
    old, new, said = before.state, after.state, after.said
    split = percentiles(policy, new)
    assert math.isclose(sum(split.values()), 100, abs_tol=1e-9)
    assert split.get("v2", 0) in (0, 100, *policy.steps)
    assert new.step in (old.step, old.step + 1)
    if event in SKIPPED or old.split_applied_at is None:
        assert new.evidence is old.evidence
        assert new.pending is old.pending or new.step > old.step
        assert new.total_counts is old.total_counts
    if said is None or not said.final:
        assert new.decision is None
        assert said is None or said.percentile == split.get("v2", 0)
        if new.step > 0:
            assert new.total_counts["v2"].requests >= HEALTHY_REQUESTS
        return
    assert new.decision == said
    if said.reason is Reason.OPERATOR:
        assert "by hand" in event
    elif said.action is Action.PROMOTE and len(policy.steps) > 1:
        assert_proven(policy, old, new)
    elif said.action is Action.ROLL_BACK:
        inconclusive = (Reason.INCONCLUSIVE, Reason.DEADLINE)
        may_give_up = policy.on_inconclusive == "rollback" and said.reason in inconclusive
        assert may_give_up or said.reason is Reason.HARM
        if said.reason is Reason.HARM:
            assert "fail" in said.verdicts.values()
            assert new.total_counts["v2"].failures > old.total_counts.get("v2", NONE).failures or (
                old.pending and event not in SKIPPED
            )


def assert_proven(policy: RolloutPolicy, old: RolloutState, new: RolloutState) -> None:
    """Promotion: at the last step before 100, on evidence, with enough requests and no pause."""
    assert old.step == new.step == len(policy.steps) - 2
    assert (new.paused, new.telemetry_errors) == (None, 0)
    assert new.decision is not None
    assert set(new.decision.verdicts.values()) == {"pass"}
    found = gate_log10_e(policy, new.evidence, new.step)
    assert all(log10_e >= -math.log10(policy.beta) for log10_e in found.values())
    served = [new.step_counts[name].requests for name in ("v1", "v2")]
    assert min(served) >= policy.minimum_requests
    assert new.total_counts["v2"].requests >= HEALTHY_REQUESTS


def assert_way_back(policy: RolloutPolicy, place: Place) -> None:
    """Whatever has happened, a person rolls back at once, and harm does on an effective split."""
    by_ada = EVENTS["rolled back by hand"](policy, place)
    assert percentiles(policy, by_ada.state) == {"v1": 100}
    if place.state.step < 0:
        return
    if place.state.split_applied_at is None:
        place = EVENTS["acknowledged"](policy, place)
    for _ in range(2):
        place = reading(*DISASTER)(policy, place)
    assert place.said is not None
    assert place.said.action is Action.ROLL_BACK
    assert percentiles(policy, place.state) == {"v1": 100}


def assert_latched(policy: RolloutPolicy, place: Place) -> None:
    for event in EVENTS.values():
        after = event(policy, place)
        assert after.state.decision == place.state.decision
        assert percentiles(policy, after.state) == percentiles(policy, place.state)


def assert_the_same_after_a_restart(policy: RolloutPolicy, place: Place) -> Place:
    """JSON takes nothing away, and what is decided next is the same bit for bit."""
    again = place._replace(state=reloaded(place.state))
    assert again.state == place.state
    for name in ("healthy", "thin", "the wait is over"):
        assert EVENTS[name](policy, again) == EVENTS[name](policy, place)
    return again


class Explored(NamedTuple):
    """Every state short of a decision, and every event in one of them."""

    places: list[Place]
    moves: list[tuple[Place, str, Place]]

    @property
    def ends(self) -> list[Place]:
        return [after for _, _, after in self.moves if after.state.decision is not None]


def explored(policy: RolloutPolicy, depth: int) -> Explored:
    """All that ``depth`` events lead to."""
    frontier = [Place(begin(policy, "v1", "v2", NOON), NOON)]
    known, places, moves = {key(frontier[0])}, list(frontier), []
    for _ in range(depth):
        reached = []
        for place in frontier:
            for name, event in EVENTS.items():
                after = event(policy, place)
                moves.append((place, name, after))
                if after.state.decision is None and (found := key(after)) not in known:
                    known.add(found)
                    reached.append(after)
        frontier = reached
        places += reached
    return Explored(places, moves)


WAITS = {"maximum_wait_seconds": MAXIMUM_WAIT_SECONDS, "deadline_seconds": DEADLINE_SECONDS}
POLICIES: dict[str, tuple[int, dict[str, Any]]] = {
    "without evidence": (6, {"steps": (100,)}),
    "one gate": (5, {"steps": (5, 100)}),
    "two gates": (5, {"steps": (5, 50, 100)}),
    "rolls back": (5, {"steps": (5, 50, 100), "on_inconclusive": "rollback"}),
    "soaks": (5, {"steps": (5, 100), "soak_seconds": 15}),
    "takes its time": (5, {"steps": (5, 100), "minimum_step_seconds": 15}),
}
ENDS = {
    "without evidence": {"without_evidence", "operator"},
    "rolls back": {"proven", "harm", "operator", "inconclusive", "deadline"},
}


@pytest.mark.parametrize("name", POLICIES)
def test_no_short_history_leads_astray(name: str) -> None:
    assert_never_astray(name, *POLICIES[name])


@pytest.mark.slow
def test_no_history_of_six_events_leads_astray() -> None:
    assert_never_astray("two gates", 6, POLICIES["two gates"][1])


def assert_never_astray(name: str, depth: int, fields: dict[str, Any]) -> None:
    policy = a_policy(**WAITS, **fields)
    found = explored(policy, depth)
    for before, event, after in found.moves:
        assert_sound(policy, before, event, after)
    for place in found.places[:600]:
        assert_way_back(policy, assert_the_same_after_a_restart(policy, place))
    ends: dict[tuple[Action, str], Place] = {}
    for end in found.ends:
        assert end.state.decision is not None
        ends.setdefault((end.state.decision.action, str(end.state.decision.reason)), end)
    assert {reason for _, reason in ends} == ENDS.get(name, {"proven", "harm", "operator"})
    for end in ends.values():
        assert_latched(policy, assert_the_same_after_a_restart(policy, end))
