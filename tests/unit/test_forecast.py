"""What holds say of the next step: the lacks in words, and when they are over."""

from __future__ import annotations

import math
import random
import statistics
from datetime import timedelta

import pytest

from tests.rollouts import Rollout, a_policy, arm, at
from weir.decision import Action, NextStep
from weir.rollout import pause, split_applied
from weir.spec.guardrails import MeanGuardrail
from weir.window import VersionCounts


def held(rollout: Rollout) -> NextStep:
    assert rollout.last.action in (Action.HOLD, Action.ASK)
    assert rollout.last.next_step is not None
    return rollout.last.next_step


def following(words: str, seconds: float | None = None, requests: int | None = None) -> NextStep:
    """What is said at the step before 50 %."""
    return NextStep(words, seconds, requests, goal="50 %")


def test_only_a_wait_on_an_effective_split_has_a_next_step() -> None:
    rollout = Rollout()
    rollout.state = rollout.state.changed(split_applied_at=None)
    assert rollout.tick().next_step is None
    rollout.apply_split()
    assert rollout.tick().next_step is not None
    assert rollout.healthy().action is Action.ADVANCE
    assert rollout.last.next_step is None
    rollout.apply_split()
    assert rollout.healthy().action is Action.PROMOTE
    assert rollout.last.next_step is None


def test_before_the_first_window_there_is_no_forecast() -> None:
    rollout = Rollout()
    rollout.tick()
    assert held(rollout) == following(
        "for 50 %: failures has to be proven at 1 in 20, now 1 in 1; 100 more requests to v2;"
        " 100 more requests to v1 (no forecast yet)"
    )


def test_evidence_that_grows_foretells_when_it_is_enough() -> None:
    rollout = Rollout(a_policy(steps=(25, 100), minimum_requests=0))
    for _ in range(3):
        rollout.see(arm(600), arm(200))
    found = held(rollout)
    log10_e = rollout.last.evidence["failures"].log10_e_safe
    assert 0 < log10_e < 1.3
    assert found.seconds == pytest.approx((1.30103 - log10_e) * 30 / log10_e, rel=1e-4)
    assert found.requests == pytest.approx(found.seconds * 20, abs=1)
    assert found.words == (
        f"for promotion: failures has to be proven at 1 in 20, now 1 in {10**log10_e:.2g}"
        f" (at this pace in about {found.seconds:.1f} s, {found.requests:,} requests to v2)"
    )
    assert found.pace == f"at this pace in about {found.seconds:.1f} s, {found.requests:,} requests"


def test_evidence_that_shrinks_foretells_nothing() -> None:
    rollout = Rollout(a_policy(steps=(25, 100), minimum_requests=0))
    rollout.see(arm(600, 6), arm(200, 4))
    found = held(rollout)
    assert rollout.last.evidence["failures"].log10_e_safe < 0
    assert (found.seconds, found.requests, found.pace) == (None, None, "")
    assert found.words.endswith(
        "now 1 in 1 (no forecast yet: at the rates so far it does not come)"
    )


def test_evidence_of_earlier_steps_is_no_pace_of_this_one() -> None:
    rollout = Rollout(a_policy(steps=(5, 25, 100), minimum_requests=0, beta=1e-6))
    while rollout.see(arm(900), arm(100)).action is not Action.ADVANCE:
        pass
    rollout.apply_split()
    rollout.tick()
    assert held(rollout).words.endswith("(no forecast yet)")
    before = rollout.state.gate_log10_e["failures"]
    rollout.see(arm(300), arm(100))
    gained = rollout.last.evidence["failures"].log10_e_safe - before
    missing = 6 - rollout.last.evidence["failures"].log10_e_safe
    assert held(rollout).seconds == pytest.approx(10 * missing / gained)


def test_requests_come_at_the_pace_of_the_step() -> None:
    rollout = Rollout(a_policy(minimum_requests=5001))
    rollout.healthy()
    assert held(rollout) == following(
        "for 50 %: 2,001 more requests to v2; 2,001 more requests to v1 (at this pace in about"
        " 6.7 s, 2,001 requests to v2)",
        seconds=6.67,
        requests=2001,
    )


def test_a_version_without_requests_needs_one_whatever_the_minimum() -> None:
    rollout = Rollout(a_policy(minimum_requests=0))
    rollout.see(arm(500), arm(0))
    assert "; 1 more request to v2 (no forecast yet" in held(rollout).words


def test_the_minimum_time_is_counted_from_the_split() -> None:
    rollout = Rollout(a_policy(minimum_step_seconds=25))
    rollout.healthy()
    assert held(rollout) == following(
        "for 50 %: 15 s more of this step (at this pace in about 15 s, 4,500 requests to v2)",
        seconds=15,
        requests=4500,
    )


def test_a_soak_is_counted_from_the_proof() -> None:
    rollout = Rollout(a_policy(steps=(50, 100), soak_seconds=200))
    rollout.healthy()
    assert held(rollout).words.startswith("for promotion: soaking for 3.3 min (at this pace")
    rollout.healthy()
    assert (held(rollout).seconds, held(rollout).requests) == (190, 57_000)


def test_a_soak_that_has_not_begun_comes_on_top_of_the_evidence() -> None:
    short, long = (Rollout(a_policy(steps=(25, 100), soak_seconds=soak)) for soak in (0, 300))
    for rollout in (short, long):
        rollout.see(arm(600), arm(200))
    missing = held(short).seconds
    assert missing is not None
    assert held(long).seconds == pytest.approx(missing + 300)
    assert "; then soaking for 5 min (at this pace in about" in held(long).words


def test_the_longest_wait_counts() -> None:
    rollout = Rollout(a_policy(minimum_step_seconds=600, minimum_requests=4000))
    rollout.healthy()
    assert held(rollout).seconds == 590


def test_a_step_that_only_waits_for_hanging_requests_lacks_nothing() -> None:
    rollout = Rollout()
    rollout.see(arm(3000), arm(3000).model_copy(update={"in_flight": 500}))
    assert held(rollout) == following("50 % follows", seconds=0.0, requests=0)
    assert held(rollout).pace == ""


def test_what_no_traffic_brings_about_is_named_and_not_foretold() -> None:
    rollout = Rollout(a_policy(deadline_seconds=35, steps=(5, 50, 100)))
    rollout.state = pause(rollout.state, "ada", at(0))
    rollout.healthy()
    assert held(rollout) == following("for 50 %: the pause has to end")
    rollout.tick(error="timed out")
    assert held(rollout) == following(
        "for 50 %: telemetry has to be readable again; the pause has to end"
    )
    late = Rollout(a_policy(deadline_seconds=5))
    late.healthy()
    assert held(late) == following("for 50 %: a person has to decide, as the deadline is over")
    last = Rollout(a_policy(steps=(50, 100), deadline_seconds=20, soak_seconds=15))
    last.see(arm(20), arm(20))
    last.healthy()
    assert held(last).seconds == 15


def test_a_split_that_is_applied_again_changes_no_pace() -> None:
    rollout = Rollout(a_policy(steps=(25, 100), minimum_requests=0))
    for _ in range(3):
        rollout.see(arm(600), arm(200))
    before = held(rollout)
    rollout.state = split_applied(rollout.state, rollout.now)
    rollout.tick()
    assert held(rollout) == before


STEADY = {
    "1 % fail, half of the traffic": (50, 0.01, 20),
    "1 % fail, little of the traffic": (5, 0.01, 100),
    "nothing fails": (25, 0.0, 20),
    "5 % fail": (50, 0.05, 10),
    "failures are rare": (5, 0.001, 50),
}


@pytest.mark.parametrize("traffic", STEADY)
def test_half_way_through_steady_traffic_the_forecast_is_right_within_a_factor_of_two(
    traffic: str,
) -> None:
    assert 0.5 <= right(drive(*STEADY[traffic])) <= 2


@pytest.mark.parametrize("traffic", STEADY)
def test_with_the_chance_of_real_failures_it_is_so_in_most_rollouts(traffic: str) -> None:
    """For a proof that takes a while; that of 1 in 20 may come by luck."""
    ratios = [right(drive(*STEADY[traffic], random.Random(seed))) for seed in range(11)]
    assert sum(0.5 <= ratio <= 2 for ratio in ratios) >= 8
    assert 0.7 <= statistics.median(ratios) <= 1.5


def right(forecasts: list[NextStep]) -> float:
    """How much longer it was to take, half way through, than it did."""
    half = len(forecasts) // 2
    seconds = forecasts[half].seconds
    return (math.inf if seconds is None else seconds) / (10 * (len(forecasts) - half))


def drive(
    share: float, rate: float, per_second: float, chance: random.Random | None = None
) -> list[NextStep]:
    """The forecasts after each ten seconds of one step that ends with promotion.

    Without ``chance`` failures come evenly.
    """
    due = {"v1": 0.0, "v2": 0.0}

    def served(version: str, percentile: float) -> VersionCounts:
        requests = round(per_second * 10 * percentile / 100)
        if chance is not None:
            return arm(requests, sum(chance.random() < rate for _ in range(requests)))
        due[version] += requests * rate
        failures = int(due[version])
        due[version] -= failures
        return arm(requests, failures)

    beta = 0.05 if chance is None else 1e-8
    times = {"maximum_wait_seconds": 1e7, "deadline_seconds": 1e7}
    rollout, found = Rollout(a_policy(steps=(share, 100), beta=beta, **times)), []
    while not rollout.see(served("v1", 100 - share), served("v2", share)).final:
        found.append(held(rollout))
        assert rollout.now - rollout.state.started_at < timedelta(days=1)
    return found


def test_a_test_that_has_not_begun_to_speak_foretells_nothing() -> None:
    rollout = Rollout(a_policy(guardrails=(MeanGuardrail(of="amount"),)))
    rollout.healthy()
    assert held(rollout).words.endswith("now 1 in 1 (no forecast yet)")
