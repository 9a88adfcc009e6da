import math

import pytest

from tests.unit.evidence.enumeration import expectation, outcomes
from weir.evidence.assess import assess
from weir.evidence.guardrail import Evidence, Names, Verdict, odds, share
from weir.evidence.guardrails import guardrails_of
from weir.evidence.stratum import Stratum
from weir.spec.guardrails import CeilingGuardrail, FailuresGuardrail, LatencyGuardrail
from weir.spec.rollout import RolloutPolicy
from weir.window import Histogram, VersionCounts

NAMES = Names(control="v1", treatment="v2")


def arm(requests: int, failures: int = 0, bucket: int = 60) -> VersionCounts:
    latency_ms = Histogram(counts={bucket: requests} if requests else {})
    return VersionCounts(requests=requests, failures=failures, latency_ms=latency_ms)


def gathered(
    policy: RolloutPolicy, *windows: tuple[VersionCounts, VersionCounts], gate: int = 0
) -> dict[str, Evidence]:
    """Evidence of ``policy`` after windows of (control, treatment)."""
    held = {}
    for guardrail in guardrails_of(policy):
        evidence = guardrail.start()
        for control, treatment in windows:
            evidence = guardrail.update(evidence, control, treatment, gate)
        held[guardrail.name] = evidence
    return held


HEALTHY = (arm(3000), arm(3000))


def test_both_guardrails_pass_on_a_healthy_version() -> None:
    policy = RolloutPolicy()
    judged = assess(policy, gathered(policy, HEALTHY, HEALTHY, gate=2), 2, NAMES)
    assert judged.verdicts == {"failures": Verdict.PASS, "latency": Verdict.PASS}
    assert judged.safe
    assert not judged.harmful


def test_one_unproven_guardrail_is_enough_to_prevent_safety() -> None:
    policy = RolloutPolicy()
    judged = assess(policy, gathered(policy, HEALTHY, gate=2), 2, NAMES)
    assert judged.verdicts == {"failures": Verdict.PASS, "latency": Verdict.INSUFFICIENT}
    assert not judged.safe


def test_a_slow_version_fails_by_latency_alone() -> None:
    policy = RolloutPolicy()
    slow = (arm(3000), arm(100, bucket=100))
    judged = assess(policy, gathered(policy, HEALTHY, slow), 0, NAMES)
    assert judged.harmful
    assert judged.verdicts["latency"] is Verdict.FAIL
    assert judged.verdicts["failures"] is not Verdict.FAIL


def test_harm_is_the_weighted_mean_of_the_e_values() -> None:
    both = RolloutPolicy()
    evidence = gathered(both, (arm(1000, 9), arm(60, 4)))
    e_value = math.exp(guardrails_of(both)[0].log_e_harm(evidence["failures"]))
    alpha = 2 / (e_value + 1) * 1.001
    assert assess(both.model_copy(update={"alpha": alpha}), evidence, 0, NAMES).harmful
    assert not assess(both.model_copy(update={"alpha": alpha * 0.99}), evidence, 0, NAMES).harmful


@pytest.mark.parametrize("p0", [0.0, 0.03, 0.3])
def test_the_weighted_mean_over_guardrails_expects_at_most_1_of_a_tolerated_version(
    p0: float,
) -> None:
    policy = RolloutPolicy(
        guardrails=(
            FailuresGuardrail(margin=1, slack=0.05, weight=2),
            CeilingGuardrail(at_most=p0 + 0.05),
            FailuresGuardrail(name="wide", margin=1.2, promote_margin=2, slack=0.05, weight=0.5),
        )
    )
    guardrails = guardrails_of(policy)

    def update(held: tuple[Evidence, ...], number: int, seen: Stratum) -> tuple[Evidence, ...]:
        control = VersionCounts(requests=seen.control_requests, failures=seen.control_failures)
        treatment = VersionCounts(
            requests=seen.treatment_requests, failures=seen.treatment_failures
        )
        return tuple(
            guardrail.update(evidence, control, treatment, 0)
            for guardrail, evidence in zip(guardrails, held, strict=True)
        )

    def e_value(held: tuple[Evidence, ...]) -> float:
        return sum(
            guardrail.weight / 3.5 * math.exp(guardrail.log_e_harm(evidence))
            for guardrail, evidence in zip(guardrails, held, strict=True)
        )

    start = tuple(guardrail.start() for guardrail in guardrails)
    windows = [outcomes(n1, p0 + 0.05, n0, p0) for n1, n0 in ((2, 2), (3, 1), (1, 3))]
    assert expectation(start, update, e_value, windows) <= 1 + 1e-9


def test_weights_shift_the_budget_between_guardrails() -> None:
    def harmful(weight: float) -> bool:
        policy = RolloutPolicy(
            guardrails=(FailuresGuardrail(weight=weight), LatencyGuardrail(weight=1))
        )
        return assess(policy, gathered(policy, (arm(1000, 9), arm(60, 8))), 0, NAMES).harmful

    assert harmful(20)
    assert not harmful(0.001)


def test_unreadable_telemetry_is_an_error_and_never_safe() -> None:
    policy = RolloutPolicy()
    judged = assess(policy, gathered(policy, HEALTHY, HEALTHY, gate=2), 2, NAMES, unreadable=True)
    assert set(judged.verdicts.values()) == {Verdict.ERROR}
    assert not judged.safe


def test_no_evidence_is_insufficient() -> None:
    policy = RolloutPolicy()
    judged = assess(policy, gathered(policy), 0, NAMES)
    assert set(judged.verdicts.values()) == {Verdict.INSUFFICIENT}
    assert judged.evidence["failures"].log10_e_harm == pytest.approx(0)


@pytest.mark.parametrize(
    ("e_value", "said"),
    [(0.2, "1 in 1"), (4.23, "1 in 4.2"), (19_876, "1 in 20,000"), (1e30, "1 in 10^30")],
)
def test_odds_are_rounded_for_people(e_value: float, said: str) -> None:
    assert odds(math.log(e_value)) == said


def test_shares_keep_two_digits() -> None:
    assert [share(0, 0), share(17, 214), share(1, 3000)] == ["0 %", "7.9 %", "0.033 %"]
