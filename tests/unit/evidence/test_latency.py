import math
import random

import pytest
from pydantic import TypeAdapter

from weir.evidence.guardrail import Evidence, Names, Verdict
from weir.evidence.latency import LatencyShift
from weir.spec.guardrails import LatencyGuardrail
from weir.window import Histogram, VersionCounts

STORED = TypeAdapter(Evidence)
GATE = 1
"""The last one, so that safety means promotion."""

NAMES = Names(control="v1", treatment="v2")


def shift(**fields: object) -> LatencyShift:
    spec = {"slack_ms": 0, "margin": 1.0, "promote_margin": 2.0, **fields}
    return LatencyShift.of(LatencyGuardrail.model_validate(spec), 2)


def arm(*latencies_ms: float) -> VersionCounts:
    counts: dict[int, int] = {}
    for latency_ms in latencies_ms:
        bucket = math.ceil(math.log2(latency_ms) * 16) - 1
        counts[bucket] = counts.get(bucket, 0) + 1
    return VersionCounts(requests=len(latencies_ms), latency_ms=Histogram(counts=counts))


def sample(rng: random.Random, requests: int, factor: float = 1.0) -> VersionCounts:
    return arm(*(20 * factor * math.exp(rng.gauss(0, 0.5)) for _ in range(requests)))


def watch(
    guardrail: LatencyShift, seed: int, factor: float, windows: int, treatment: int = 20
) -> tuple[Evidence, bool]:
    """The evidence after ``windows``, and whether harm was proven on the way."""
    rng = random.Random(seed)
    evidence, harmed = guardrail.start(), False
    for _ in range(windows):
        evidence = guardrail.update(
            evidence, sample(rng, 180), sample(rng, treatment, factor), GATE
        )
        harmed = harmed or guardrail.log_e_harm(evidence) >= math.log(20)
    return evidence, harmed


def test_a_slower_version_is_harmful_within_a_few_hundred_requests() -> None:
    assert all(watch(shift(), seed, 1.5, windows=15)[1] for seed in range(5))


def test_an_equal_version_is_almost_never_harmful() -> None:
    assert sum(watch(shift(), seed, 1.0, windows=25)[1] for seed in range(40)) <= 2


def test_a_version_at_the_margin_is_almost_never_harmful() -> None:
    guardrail = shift(margin=1.41)
    assert sum(watch(guardrail, seed, 1.4, windows=25)[1] for seed in range(20)) <= 1


def test_an_equal_version_is_proven_safe_at_every_quantile() -> None:
    guardrail = shift()
    evidence, _ = watch(guardrail, 1, 1.0, windows=20, treatment=60)
    assert guardrail.log_e_safe(evidence, GATE) >= math.log(20)


def test_a_version_slow_only_in_its_tail_is_never_proven_safe() -> None:
    guardrail = shift()
    rng = random.Random(3)
    evidence = guardrail.start()
    for _ in range(20):
        slow = sample(rng, 57).plus(arm(900, 900, 900))
        evidence = guardrail.update(evidence, sample(rng, 180), slow, GATE)
        assert guardrail.log_e_safe(evidence, 1) < math.log(20)


def test_a_heavier_tail_is_not_excused_by_slack() -> None:
    """Slack of a point on top of the slowest hundredth would let a p99 of 20 s pass."""
    guardrail = shift(promote_margin=2.0, slack=0.01)
    evidence = guardrail.start()
    for _ in range(60):
        control = arm(*[20] * 980, *[60] * 10, *[64] * 10)
        treatment = arm(*[20] * 978, *[60] * 8, *[20_000] * 14)
        evidence = guardrail.update(evidence, control, treatment, GATE)
        assert guardrail.log_e_safe(evidence, 1) < math.log(20)


def test_latencies_of_one_bucket_are_proven_by_slack() -> None:
    guardrail = shift(promote_margin=2.0)
    evidence = guardrail.start()
    for _ in range(10):
        evidence = guardrail.update(evidence, arm(*[20] * 500), arm(*[20] * 500), GATE)
    assert guardrail.log_e_safe(evidence, 1) >= math.log(20)


def test_the_first_window_only_sets_the_thresholds() -> None:
    guardrail = shift()
    evidence = guardrail.update(guardrail.start(), arm(*[10] * 500), arm(*[1000] * 500), GATE)
    assert guardrail.log_e_harm(evidence) == pytest.approx(0)
    evidence = guardrail.update(evidence, arm(*[10] * 500), arm(*[1000] * 20), GATE)
    assert guardrail.log_e_harm(evidence) > math.log(20)


def test_a_quantile_without_enough_requests_above_it_is_not_judged() -> None:
    guardrail = shift(quantiles=(99,))
    evidence = guardrail.start()
    evidence = guardrail.update(evidence, arm(*[10] * 150), arm(*[10] * 10), GATE)
    evidence = guardrail.update(evidence, arm(*[10] * 10), arm(*[10] * 10), GATE)
    assert evidence.streams["p99"].seen.treatment_requests == 0


def test_milliseconds_of_slack_excuse_small_absolute_differences() -> None:
    def harm(slack_ms: float) -> float:
        guardrail = shift(slack_ms=slack_ms)
        evidence = guardrail.update(guardrail.start(), arm(*[2.0] * 500), arm(2.0), GATE)
        evidence = guardrail.update(evidence, arm(*[2.0] * 500), arm(*[6.0] * 50), GATE)
        return guardrail.log_e_harm(evidence)

    assert harm(0) > math.log(20)
    assert harm(5) < math.log(20)


def test_a_threshold_inside_a_bucket_is_rounded_against_the_claim() -> None:
    guardrail = shift(margin=1.41, promote_margin=2.05, quantiles=(50,))
    control = VersionCounts(requests=500, latency_ms=Histogram(counts={50: 250, 51: 250}))

    def log_e(bucket: int) -> tuple[float, float]:
        treatment = VersionCounts(requests=50, latency_ms=Histogram(counts={bucket: 50}))
        evidence = guardrail.update(guardrail.start(), control, treatment, GATE)
        evidence = guardrail.update(evidence, control, treatment, GATE)
        return guardrail.log_e_harm(evidence), guardrail.log_e_safe(evidence, 1)

    # The median is the upper bound of bucket 50; 1.41 times falls into bucket 58, 2.05 into 67.
    assert log_e(58)[0] < 0
    assert log_e(59)[0] > math.log(20)
    assert log_e(66)[1] > math.log(20)
    assert log_e(67)[1] < 0


def test_the_reference_follows_the_control_and_stays_bounded() -> None:
    guardrail = shift()
    evidence = guardrail.start()
    for _ in range(10):
        evidence = guardrail.update(evidence, arm(*[10] * 5000), arm(10), GATE)
    for _ in range(10):
        evidence = guardrail.update(evidence, arm(*[40] * 5000), arm(40), GATE)
    assert evidence.recent is not None
    assert evidence.recent.control.total <= 20_000
    assert evidence.recent.control.bounds_ms((0.5,))[0] > 35


def test_control_latencies_of_zero_do_not_break_the_thresholds() -> None:
    guardrail = shift()
    zeros = VersionCounts(requests=500, latency_ms=Histogram(zero=500))
    evidence = guardrail.update(guardrail.start(), zeros, zeros, GATE)
    evidence = guardrail.update(evidence, zeros, arm(*[50] * 40), GATE)
    assert guardrail.log_e_harm(evidence) > math.log(20)


def test_the_worst_quantile_is_named_in_words_and_numbers() -> None:
    guardrail = shift()
    evidence, _ = watch(guardrail, 5, 2.0, windows=10)
    said = guardrail.explain(evidence, Verdict.FAIL, 0, NAMES)
    assert "of 180 requests to v2 take more than 1 times v1's p" in said
    assert "a slowdown within the margin is ruled out at 1 in " in said
    assert "2 times v1's p" in guardrail.explain(evidence, Verdict.INSUFFICIENT, 1, NAMES)


def test_evidence_goes_through_json_unchanged() -> None:
    evidence, _ = watch(shift(), 9, 1.2, windows=6)
    assert STORED.validate_json(STORED.dump_json(evidence)) == evidence
