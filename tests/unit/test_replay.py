from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fakes.world import World, world
from tests.story import loaded, release
from weir.decision import Action, Decision, Reason
from weir.document import Outcome as ReleaseOutcome
from weir.release.ledger import Ledger
from weir.replay import Judgement, Outcome, Verdict, outcomes, replay, treatments_in
from weir.spec.guardrails import FailuresGuardrail
from weir.spec.rollout import RolloutPolicy
from weir.window import VersionCounts, Window

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
POLICY = RolloutPolicy(guardrails=(FailuresGuardrail(slack=0),))


def windows(count: int, control: float = 0.01, **rates: float) -> list[Window]:
    """Ten-second windows at 95 to 5: versions that fail at these rates, five requests in a hundred
    for each treatment."""
    chance = random.Random(1)

    def arm(requests: int, rate: float) -> VersionCounts:
        failures = sum(chance.random() < rate for _ in range(requests))
        return VersionCounts(requests=requests, failures=failures)

    return [
        Window(
            id=number,
            start=NOON + timedelta(seconds=10 * number),
            end=NOON + timedelta(seconds=10 * number + 10),
            split={"v1": 100 - 5 * len(rates), **dict.fromkeys(rates, 5)},
            versions={
                "v1": arm(950, control),
                **{name: arm(50, rate) for name, rate in rates.items()},
            },
        )
        for number in range(1, count + 1)
    ]


def end(record: list[Window], policy: RolloutPolicy = POLICY) -> dict[str, Outcome]:
    found = outcomes(replay(policy, record, "v1"))
    return {outcome.treatment: outcome for outcome in found}


def test_a_bad_version_is_rolled_back_and_nothing_is_judged_after_that() -> None:
    record = windows(50, v2=0.3)
    judged = list(replay(POLICY, record, "v1"))
    assert judged[-1].decision.action is Action.ROLL_BACK
    assert outcomes(judged) == (Outcome("v2", Verdict.ROLLED_BACK, judged[-1].id),)
    assert judged[-1].id <= 3


def test_an_equal_version_is_promoted_though_the_recorded_split_never_moved() -> None:
    assert end(windows(1_500, v2=0.01))["v2"].verdict is Verdict.PROMOTED


def test_a_record_that_proves_nothing_is_undecided_at_its_last_window() -> None:
    assert end(windows(5, v2=0.01)) == {"v2": Outcome("v2", Verdict.UNDECIDED, 5)}


def test_each_of_several_treatments_is_judged_with_its_part_of_alpha() -> None:
    record = windows(1_500, v2=0.01, v3=0.3)
    assert treatments_in(record, "v1") == ("v2", "v3")
    found = end(record)
    assert found["v2"].verdict is Verdict.PROMOTED
    assert found["v3"].verdict is Verdict.ROLLED_BACK
    both = windows(60, v2=0.01, v3=0.03)
    alone = end([_without(window, "v2") for window in both], _with_alpha(POLICY.alpha / 2))
    assert end(both)["v3"] == alone["v3"]


def _without(window: Window, version: str) -> Window:
    versions = {name: counts for name, counts in window.versions.items() if name != version}
    split = {name: share for name, share in window.split.items() if name != version}
    return window.model_copy(update={"versions": versions, "split": split})


def _with_alpha(alpha: float) -> RolloutPolicy:
    return POLICY.model_copy(update={"alpha": alpha})


def test_a_window_that_comes_twice_counts_once() -> None:
    record = windows(30, v2=0.02)
    twice = [window for window in record for _ in range(2)]
    assert end(twice) == end(record)


def test_windows_that_come_again_stop_no_clock_and_start_none() -> None:
    policy = POLICY.model_copy(update={"soak_seconds": 3_600.0, "minimum_step_seconds": 300.0})
    record = windows(1_500, v2=0.01)
    plain = list(replay(policy, record, "v1"))
    late, early = NOON + timedelta(days=9), NOON - timedelta(days=9)

    def again(window: Window) -> list[Window]:
        """The window, and three that must not count; each would tell another time."""
        hour = timedelta(hours=1)
        return [
            window,
            window.model_copy(update={"start": late, "end": late + hour, "decided_at": late}),
            window.model_copy(update={"start": early, "end": early + hour, "decided_at": early}),
            window.model_copy(update={"id": window.id + 1, "end": late, "decided_at": late}),
        ]

    repeated = list(replay(policy, [one for window in record for one in again(window)], "v1"))
    counted = [judged for judged in repeated if judged.decision.reason is not Reason.REPEATED]
    assert counted == plain
    assert outcomes(repeated) == outcomes(plain)
    assert all(judged.decision.action is Action.HOLD for judged in repeated[1:4])


def test_a_window_without_the_control_is_no_evidence() -> None:
    record = windows(60, v2=0.03)
    plain = list(replay(POLICY, record[:30], "v1"))
    alone = {"versions": {"v2": VersionCounts(requests=50, failures=50)}}
    spoilt = [window.model_copy(update=alone) for window in record[30:]]
    *_, last = replay(POLICY, record[:30] + spoilt, "v1")
    assert last.decision.evidence == plain[-1].decision.evidence
    first, *_ = replay(POLICY, spoilt, "v1")
    assert (first.decision.action, first.decision.reason) == (Action.HOLD, Reason.NO_TRAFFIC)
    assert "no requests to v1" in first.decision.words


def test_windows_of_two_recorded_splits_are_never_pooled() -> None:
    record = windows(4, v2=0.01)
    everything = {
        "split": {"v2": 100},
        "versions": {"v2": VersionCounts(requests=50, failures=50)},
    }
    spoilt = [*record[:2], record[2].model_copy(update=everything), record[3]]
    without = [*record[:2], record[3]]
    *_, last = replay(POLICY, spoilt, "v1")
    *_, expected = replay(POLICY, without, "v1")
    assert last.decision.evidence == expected.decision.evidence


def test_a_version_that_is_asked_for_by_name_is_no_treatment_beside_one_with_a_share() -> None:
    record = windows(3, v2=0.01)
    asked = VersionCounts(requests=7)
    named = [
        window.model_copy(update={"versions": {**window.versions, "v0": asked}})
        for window in record
    ]
    assert treatments_in(named, "v1") == ("v2",)
    assert list(replay(POLICY, named, "v1")) == list(replay(POLICY, record, "v1"))
    unsplit = [window.model_copy(update={"split": {"v1": 100.0}}) for window in record]
    assert treatments_in(unsplit, "v1") == ("v2",)


def test_more_than_five_treatments_are_refused() -> None:
    record = windows(1, **{f"v{number}": 0.01 for number in range(2, 8)})
    with pytest.raises(ValueError, match="6 treatments are more than 5"):
        list(replay(POLICY, record, "v1"))


def test_the_same_record_under_another_policy_goes_its_own_way() -> None:
    """What happened at another step of the record is not taken for this one's."""
    there = world()
    release(there.platform, loaded("v1"))
    past = release(there.platform, loaded("v2", minimum_step_seconds=60))
    record = _recorded(there, past.id)
    hasty = loaded("v2", steps=(5, 100)).spec.rollout
    first, *_, last = replay(hasty, record, "v1")
    assert first.decision.at == record[0].decided_at
    assert (last.decision.action, last.decision.reason) == (Action.PROMOTE, Reason.PROVEN)
    assert last.id < record[-1].id


def test_a_record_of_the_control_alone_decides_nothing() -> None:
    assert list(replay(POLICY, windows(3), "v1")) == []


def test_policies_without_steps_of_evidence_promote_at_once() -> None:
    at_once = POLICY.model_copy(update={"steps": (100.0,)})
    assert end(windows(2, v2=0.5), at_once) == {"v2": Outcome("v2", Verdict.PROMOTED, 1)}


@pytest.mark.parametrize(
    ("failing", "ending"),
    [
        ({}, ReleaseOutcome.PROMOTED),
        ({"v2": 0.5}, ReleaseOutcome.ROLLED_BACK),
        ({"v1": 0.05, "v2": 0.0625}, ReleaseOutcome.PROMOTED),
    ],
)
def test_the_record_of_a_release_replays_to_the_same_decisions_bit_for_bit(
    failing: dict[str, float], ending: ReleaseOutcome
) -> None:
    there = world(**failing)
    release(there.platform, loaded("v1"))
    wanted = loaded("v2", soak_seconds=60)
    made: list[Decision] = []

    def note(ledger: Ledger) -> None:
        decision = ledger.release().decision
        if decision is not None and ledger.release().last_window is not None:
            made.append(decision)

    past = release(there.platform, wanted, on_window=note)
    assert past.outcome is ending
    record = _recorded(there, past.id)
    replayed = list(replay(wanted.spec.rollout, record, "v1"))
    assert [_what(judged) for judged in replayed] == [_of(decision) for decision in made]


def _recorded(there: World, release_id: str) -> tuple[Window, ...]:
    written = there.windows.read("fraud", release_id)
    return tuple(Window.model_validate_json(window.model_dump_json()) for window in written)


def _what(judged: Judgement) -> dict[str, Any]:
    return _of(judged.decision)


def _of(decision: Decision) -> dict[str, Any]:
    return decision.model_dump()


def test_waiting_windows_of_one_recorded_split_say_nothing_of_the_next() -> None:
    def silent(number: int, share: float) -> Window:
        start = NOON + timedelta(seconds=10 * number)
        return Window(
            id=number,
            start=start,
            end=start + timedelta(seconds=10),
            split={"v1": 100 - share, "v2": share},
            versions={
                "v1": VersionCounts(requests=90 * (number == 1)),
                "v2": VersionCounts(requests=10),
            },
        )

    record = [silent(number, 10 if number < 5 else 20) for number in range(1, 12)]
    last = list(replay(POLICY, record, "v1"))[-1].decision
    since = record[4].start
    assert last.words == f"no requests to v1 since {since:%H:%M:%S} UTC"
