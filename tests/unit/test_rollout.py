import json

import pytest

from tests.rollouts import NOON, Rollout, a_policy, arm, at
from weir.errors import PermanentError
from weir.evidence.guardrail import Verdict
from weir.rollout import (
    Action,
    Reason,
    RolloutState,
    Tally,
    begin,
    decide,
    operator_promotes,
    operator_rolls_back,
    pause,
    percentiles,
    resume,
    split_applied,
)
from weir.spec.guardrails import CeilingGuardrail, FailuresGuardrail
from weir.spec.rollout import OnInconclusive
from weir.window import VersionCounts, Window


def test_the_first_decision_moves_to_the_first_step() -> None:
    policy = a_policy()
    state = begin(policy, "v1", "v2", NOON)
    assert percentiles(policy, state) == {"v1": 100}
    state, decision = decide(policy, state, None, NOON)
    assert (decision.action, decision.reason) == (Action.ADVANCE, Reason.FIRST_STEP)
    assert percentiles(policy, state) == {"v1": 95, "v2": 5}
    assert decision.percentile == 5


def test_proven_steps_lead_to_promotion() -> None:
    rollout = Rollout()
    assert rollout.healthy().action is Action.ADVANCE
    assert percentiles(rollout.policy, rollout.state) == {"v1": 50, "v2": 50}
    rollout.apply_split()
    promoted = rollout.healthy()
    assert (promoted.action, promoted.reason) == (Action.PROMOTE, Reason.PROVEN)
    assert promoted.verdicts == {"failures": Verdict.PASS}
    assert promoted.evidence["failures"].log10_e_safe > 1.3
    assert promoted.counts["v2"] == Tally(requests=6000, failures=0)
    assert percentiles(rollout.policy, rollout.state) == {"v2": 100}


def test_harm_rolls_back_at_once_with_the_reason_in_words() -> None:
    rollout = Rollout()
    decision = rollout.harmful()
    assert (decision.action, decision.reason) == (Action.ROLL_BACK, Reason.HARM)
    assert "v2 fails 30.0 % of 100 requests, v1 0.5 % of 1,000" in decision.words
    assert decision.verdicts == {"failures": Verdict.FAIL}
    assert percentiles(rollout.policy, rollout.state) == {"v1": 100}


def test_a_final_decision_is_never_undone() -> None:
    rollout = Rollout()
    rolled_back = rollout.harmful()
    state = rollout.state
    window = Window(
        id=99,
        start=at(100),
        end=at(110),
        split={"v1": 95, "v2": 5},
        versions={"v1": arm(9000), "v2": arm(9000)},
    )
    assert decide(rollout.policy, state, window, at(110)) == (state, rolled_back)
    assert operator_promotes(rollout.policy, state, "ada", at(120)) == (state, rolled_back)


def test_not_enough_evidence_holds_and_says_what_is_open() -> None:
    decision = Rollout().see(arm(200), arm(100))
    assert (decision.action, decision.reason) == (Action.HOLD, Reason.INSUFFICIENT)
    assert "is not ruled out yet" in decision.words


def test_a_proven_step_still_waits_for_its_minimum_of_requests() -> None:
    rollout = Rollout(a_policy(minimum_requests=5000))
    decision = rollout.healthy()
    assert (decision.action, decision.reason) == (Action.HOLD, Reason.MINIMUM_REQUESTS)
    assert "2,000 more requests to v2" in decision.words
    assert rollout.healthy().action is Action.ADVANCE


def test_requests_of_an_earlier_step_do_not_count_for_the_next() -> None:
    rollout = Rollout()
    rollout.healthy()
    rollout.apply_split()
    decision = rollout.see(arm(50), arm(50))
    assert decision.reason is Reason.MINIMUM_REQUESTS


def test_a_proven_step_still_takes_its_minimum_of_time() -> None:
    rollout = Rollout(a_policy(minimum_step_seconds=25))
    assert rollout.healthy().reason is Reason.MINIMUM_TIME
    assert rollout.healthy().reason is Reason.MINIMUM_TIME
    assert rollout.healthy().action is Action.ADVANCE


def test_the_last_step_before_promotion_soaks() -> None:
    rollout = Rollout(a_policy(steps=(50, 100), soak_seconds=15))
    assert rollout.healthy().reason is Reason.SOAKING
    assert rollout.healthy().reason is Reason.SOAKING
    assert rollout.healthy().action is Action.PROMOTE


def test_a_soak_goes_on_while_only_requests_under_way_are_waited_for() -> None:
    rollout = Rollout(a_policy(steps=(50, 100), soak_seconds=15))
    rollout.healthy()
    hanging = arm(3000).model_copy(update={"in_flight": 500})
    assert rollout.see(arm(3000), hanging).reason is Reason.IN_FLIGHT
    assert rollout.healthy().action is Action.PROMOTE


def test_a_soak_begins_anew_when_the_evidence_has_been_too_little_even_in_a_pause() -> None:
    rollout = Rollout(a_policy(steps=(50, 100), soak_seconds=15))
    rollout.healthy()
    rollout.state = pause(rollout.state, "ada", at(11))
    assert rollout.see(arm(3000, 10), arm(3000, 28)).reason is Reason.PAUSED
    assert rollout.last.verdicts == {"failures": Verdict.INSUFFICIENT}
    rollout.see(arm(30_000), arm(30_000))
    rollout.state = resume(rollout.state, at(31))
    assert rollout.healthy().reason is Reason.SOAKING
    assert rollout.healthy().action is Action.PROMOTE


@pytest.mark.parametrize("slow", ["minimum_step_seconds", "soak_seconds"])
def test_the_deadline_answers_where_only_time_is_missing(slow: str) -> None:
    rollout = Rollout(a_policy(steps=(50, 100), deadline_seconds=45, **{slow: 40}))
    rollout.see(arm(20), arm(20))
    rollout.see(arm(20), arm(20))
    rollout.state = split_applied(rollout.state, at(20))
    assert rollout.healthy().action is Action.HOLD
    rollout.now = at(45)
    decision = rollout.tick()
    assert (decision.action, decision.reason) == (Action.ASK, Reason.DEADLINE)


def test_harm_during_the_soak_rolls_back() -> None:
    rollout = Rollout(a_policy(steps=(50, 100), soak_seconds=60))
    rollout.healthy()
    assert rollout.see(arm(100, 1), arm(100, 60)).action is Action.ROLL_BACK


def test_an_unreadable_telemetry_interrupts_no_soak_but_never_promotes() -> None:
    rollout = Rollout(a_policy(steps=(50, 100), soak_seconds=15))
    rollout.healthy()
    rollout.now = at(40)
    assert rollout.tick(error="timed out").action is Action.HOLD
    assert rollout.tick().reason is Reason.TELEMETRY_ERROR
    assert rollout.healthy().action is Action.PROMOTE


@pytest.mark.parametrize("idle", ["v1", "v2"])
def test_no_traffic_never_rolls_back_by_itself(idle: str) -> None:
    rollout = Rollout()
    control, treatment = (arm(0), arm(500, 400)) if idle == "v1" else (arm(500, 3), arm(0))
    for _ in range(30):
        decision = rollout.see(control, treatment)
        assert (decision.action, decision.reason) == (Action.HOLD, Reason.NO_TRAFFIC)
        assert f"no requests to {idle}" in decision.words


def test_a_step_that_stays_inconclusive_asks_and_goes_on_watching() -> None:
    rollout = Rollout(a_policy(maximum_wait_seconds=15))
    assert rollout.see(arm(20), arm(20)).action is Action.HOLD
    asked = rollout.see(arm(20), arm(20))
    assert (asked.action, asked.reason) == (Action.ASK, Reason.INCONCLUSIVE)
    assert rollout.see(arm(20), arm(20)).action is Action.ASK
    assert rollout.healthy().action is Action.ADVANCE


def test_a_step_that_stays_inconclusive_rolls_back_if_the_policy_says_so() -> None:
    policy = a_policy(maximum_wait_seconds=15, on_inconclusive=OnInconclusive.ROLLBACK)
    rollout = Rollout(policy)
    rollout.see(arm(20), arm(20))
    decision = rollout.see(arm(20), arm(20))
    assert (decision.action, decision.reason) == (Action.ROLL_BACK, Reason.INCONCLUSIVE)
    assert decision.verdicts == {"failures": Verdict.INSUFFICIENT}


def test_the_wait_of_a_step_starts_anew_with_the_next() -> None:
    rollout = Rollout(a_policy(maximum_wait_seconds=15))
    rollout.healthy()
    rollout.apply_split()
    assert rollout.see(arm(20), arm(20)).action is Action.HOLD


def test_the_deadline_asks_even_where_the_step_is_proven() -> None:
    rollout = Rollout(a_policy(deadline_seconds=5))
    decision = rollout.healthy()
    assert (decision.action, decision.reason) == (Action.ASK, Reason.DEADLINE)


def test_a_proven_version_is_promoted_after_the_deadline_too() -> None:
    assert Rollout(a_policy(steps=(50, 100), deadline_seconds=5)).healthy().action is Action.PROMOTE


def test_unreadable_telemetry_holds_with_verdict_error_and_keeps_the_evidence() -> None:
    rollout = Rollout()
    rollout.see(arm(200), arm(100))
    evidence = rollout.state.evidence
    decision = rollout.tick(error="timed out")
    assert (decision.action, decision.reason) == (Action.HOLD, Reason.TELEMETRY_ERROR)
    assert decision.verdicts == {"failures": Verdict.ERROR}
    assert decision.words == "telemetry could not be read once: timed out"
    assert rollout.state.evidence == evidence
    assert "2 times running" in rollout.tick(error="timed out").words
    assert rollout.see(arm(20), arm(20)).reason is Reason.INSUFFICIENT
    assert rollout.state.telemetry_errors == 0


def test_the_wait_runs_on_while_telemetry_cannot_be_read() -> None:
    rollout = Rollout(a_policy(maximum_wait_seconds=15))
    rollout.now = at(20)
    decision = rollout.tick(error="timed out")
    assert (decision.action, decision.reason) == (Action.ASK, Reason.INCONCLUSIVE)


def test_a_tick_without_a_window_can_end_a_step_whose_time_was_missing() -> None:
    rollout = Rollout(a_policy(minimum_step_seconds=25))
    rollout.healthy()
    rollout.now = at(26)
    assert rollout.tick().action is Action.ADVANCE


def test_client_errors_are_not_the_versions_failures() -> None:
    rollout = Rollout()
    refused = VersionCounts(requests=3000, failures_by_class={"client_error": 2000})
    assert rollout.see(arm(3000), refused).action is Action.ADVANCE
    assert rollout.state.total_counts["v2"].failures == 0


def test_a_pause_holds_a_proven_step_until_it_is_resumed() -> None:
    rollout = Rollout()
    rollout.state = pause(rollout.state, "ada", at(1), "lunch")
    decision = rollout.healthy()
    assert (decision.action, decision.reason) == (Action.HOLD, Reason.PAUSED)
    assert decision.words == "paused by ada: lunch"
    rollout.state = resume(rollout.state, at(11))
    assert rollout.tick().action is Action.ADVANCE


def test_harm_rolls_back_in_a_pause_too() -> None:
    rollout = Rollout()
    rollout.state = pause(rollout.state, "ada", at(1))
    assert rollout.harmful().action is Action.ROLL_BACK


def test_a_pause_before_the_first_step_holds_without_traffic() -> None:
    policy = a_policy()
    state = pause(begin(policy, "v1", "v2", NOON), "ada", NOON)
    state, decision = decide(policy, state, None, at(5))
    assert (decision.action, decision.percentile) == (Action.HOLD, 0)


def test_the_clocks_stand_still_in_a_pause() -> None:
    rollout = Rollout(a_policy(maximum_wait_seconds=60, deadline_seconds=60))
    rollout.state = pause(rollout.state, "ada", at(0))
    rollout.now = at(1000)
    assert rollout.tick().reason is Reason.PAUSED
    rollout.state = resume(rollout.state, at(1000))
    assert rollout.tick().action is Action.HOLD
    rollout.now = at(1061)
    assert rollout.tick().action is Action.ASK


def test_a_second_pause_keeps_the_first_and_resuming_nothing_is_nothing() -> None:
    state = Rollout().state
    paused = pause(state, "ada", at(1))
    assert pause(paused, "bob", at(2)) == paused
    assert resume(state, at(3)) == state


def test_a_person_promotes_without_evidence_and_is_named() -> None:
    rollout = Rollout()
    state, decision = operator_promotes(rollout.policy, rollout.state, "ada", at(1), "hotfix")
    assert (decision.action, decision.reason) == (Action.PROMOTE, Reason.OPERATOR)
    assert (decision.by, decision.words) == ("ada", "on the word of ada: hotfix")
    assert decision.verdicts == {"failures": Verdict.INSUFFICIENT}
    assert percentiles(rollout.policy, state) == {"v2": 100}


def test_a_person_rolls_back_without_telemetry_and_before_the_first_step() -> None:
    policy = a_policy()
    state, decision = operator_rolls_back(policy, begin(policy, "v1", "v2", NOON), "ada", at(1))
    assert (decision.action, decision.reason) == (Action.ROLL_BACK, Reason.OPERATOR)
    assert percentiles(policy, state) == {"v1": 100}


def test_a_policy_whose_only_step_is_100_promotes_without_evidence_and_says_so() -> None:
    policy = a_policy(steps=(100,))
    state, decision = decide(policy, begin(policy, "v1", "v2", NOON), None, NOON)
    assert (decision.action, decision.reason) == (Action.PROMOTE, Reason.WITHOUT_EVIDENCE)
    assert percentiles(policy, state) == {"v2": 100}


def test_fractions_of_a_percent_make_splits_that_sum_to_100() -> None:
    policy = a_policy(steps=(33.33, 100))
    state, _ = decide(policy, begin(policy, "v1", "v2", NOON), None, NOON)
    assert percentiles(policy, state) == {"v1": 66.67, "v2": 33.33}


def test_windows_of_two_splits_are_never_pooled() -> None:
    rollout = Rollout(a_policy(minimum_step_seconds=25))
    rollout.healthy()
    rollout.see(arm(5000, 250), arm(0))
    assert rollout.state.pending is not None
    assert rollout.state.pending.counts["v1"].requests == 5000
    assert rollout.see(arm(5000, 250), arm(0)).action is Action.ADVANCE
    assert rollout.state.pending is None


def test_windows_wait_for_each_other_until_both_versions_have_requests() -> None:
    apart, at_once = Rollout(), Rollout()
    apart.see(arm(0), arm(30, 6))
    assert apart.last.verdicts["failures"] is not Verdict.FAIL
    apart.see(arm(500, 4), arm(0))
    at_once.see(arm(500, 4), arm(30, 6))
    assert apart.last.verdicts["failures"] is Verdict.FAIL
    assert apart.last.evidence == at_once.last.evidence


def test_a_version_that_gets_no_more_requests_is_named_and_nothing_is_foretold() -> None:
    rollout = Rollout(a_policy(window_seconds=10))
    rollout.see(arm(950, 9), arm(50))
    for _ in range(4):
        assert rollout.see(arm(0), arm(50, 2)).reason is not Reason.NO_TRAFFIC
    gone = rollout.see(arm(0), arm(50, 2))
    assert (gone.action, gone.reason) == (Action.HOLD, Reason.NO_TRAFFIC)
    assert gone.words == "no requests to v1 since 12:00:10 UTC"
    assert gone.next_step is not None
    assert gone.next_step.seconds is None
    assert "requests to v1 have to come again" in gone.next_step.words
    again = rollout.see(arm(950, 9), arm(50))
    assert again.reason is not Reason.NO_TRAFFIC


def test_a_ceiling_needs_no_control() -> None:
    guardrails = (FailuresGuardrail(), CeilingGuardrail(at_most=0.05))
    rollout = Rollout(a_policy(guardrails=guardrails))
    rollout.see(arm(950, 9), arm(50))
    while rollout.last.action is not Action.ROLL_BACK:
        rollout.see(arm(0), arm(50, 15))
        assert rollout.state.total_counts["v2"].requests <= 200
    assert rollout.last.verdicts["ceiling:failures"] is Verdict.FAIL
    assert rollout.last.reason is Reason.HARM


def test_evidence_of_earlier_steps_stays() -> None:
    rollout = Rollout()
    rollout.healthy()
    rollout.apply_split()
    assert rollout.state.evidence["failures"].streams["rate"].seen.treatment_requests == 3000
    assert rollout.see(arm(100), arm(100)).action is Action.PROMOTE


def test_evidence_of_another_version_of_weir_loses_no_document_and_no_way_back() -> None:
    rollout = Rollout()
    rollout.healthy()
    document = json.loads(rollout.state.model_dump_json())
    document["evidence"] = {"failures": {"streams": {"failures": {"harm": {}, "safe": []}}}}
    stored = RolloutState.model_validate_json(json.dumps(document))
    assert stored.evidence == {}
    with pytest.raises(PermanentError) as refused:
        decide(rollout.policy, stored, None, at(60))
    assert refused.value.reason == "evidence.mismatch"
    _, back = operator_rolls_back(rollout.policy, stored, "ada", at(60))
    assert back.action is Action.ROLL_BACK
