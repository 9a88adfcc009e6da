import math

import numpy as np
import pytest

from tests.unit.evidence.chance import GATE, at_most, guardrail, metric
from weir.evidence.guardrail import Evidence, Guardrail, Names, Verdict
from weir.spec.guardrails import ScoreGuardrail
from weir.window import Metric, VersionCounts

ALPHA = 0.1


def arm(scores: Metric) -> VersionCounts:
    return VersionCounts(requests=scores.n, metrics={"score": scores})


def after(
    of: Guardrail,
    windows: int,
    control: Metric,
    treatment: Metric,
    before: Evidence | None = None,
) -> Evidence:
    evidence = before or of.start()
    for _ in range(windows):
        evidence = of.update(evidence, arm(control), arm(treatment), GATE)
    return evidence


@pytest.mark.parametrize("worse", ["lower", "higher"])
def test_the_interval_holds_the_difference_at_all_times_together(worse: str) -> None:
    of = guardrail(ScoreGuardrail.model_validate({"of": "score", "worse": worse}))
    chance, runs, missed = np.random.default_rng(4), 150, 0
    found = None
    for _ in range(runs):
        evidence, inside = of.start(), True
        for window in range(40):
            n1, n0 = (10, 90) if window < 20 else (50, 50)
            theirs, ours = chance.beta(4, 4, n0), 0.25 + 0.6 * chance.beta(4, 4, n1)
            evidence = of.update(evidence, arm(metric(theirs)), arm(metric(ours)), GATE)
            found = of.interval(evidence, ALPHA, GATE)
            assert found is not None
            inside = inside and found[0] <= 0.05 <= (found[1] or 0)
        missed += not inside
    assert at_most(ALPHA, missed, runs)
    assert found is not None
    assert -0.15 < found[0] < found[1] < 0.25


def test_windows_with_scores_outside_0_to_1_are_counted_and_passed_over() -> None:
    of = guardrail(ScoreGuardrail(of="score"))
    outside = Metric(n=10, sum=15, sum_sq=22.5)
    evidence = after(of, 3, Metric(n=10, sum=9, sum_sq=8.1), outside)
    assert of.log_e_harm(evidence) == pytest.approx(0)
    said = of.explain(evidence, Verdict.INSUFFICIENT, 0, Names("v1", "v2"))
    assert said == (
        "no score of both versions yet; 3 windows had a score outside 0 to 1,"
        " so nothing is proven safe"
    )


def test_a_worse_score_is_named_in_words_and_numbers() -> None:
    of = guardrail(ScoreGuardrail(of="score"))
    evidence = after(of, 20, Metric(n=90, sum=81, sum_sq=73), Metric(n=50, sum=10, sum_sq=5))
    said = of.explain(evidence, Verdict.FAIL, 0, Names("v1", "v2"))
    assert said.startswith(
        "v2's mean score is 0.200 of 1,000, v1's 0.900 of 1,800;"
        " lower by at most 0.02 is ruled out at 1 in "
    )


def test_windows_that_were_passed_over_may_have_been_the_bad_ones() -> None:
    of = guardrail(ScoreGuardrail(of="score"))
    equal = Metric(n=200, sum=170, sum_sq=150)
    evidence = after(of, 30, equal, equal)
    assert of.log_e_safe(evidence, GATE) > math.log(20)
    spoiled = after(of, 1, equal, Metric(n=10, sum=-4.1, sum_sq=25.09), evidence)
    assert of.log_e_safe(spoiled, GATE) == 0


def test_the_guesses_are_those_of_past_windows() -> None:
    of = guardrail(ScoreGuardrail(of="score"))
    before = after(of, 2, Metric(n=10, sum=9, sum_sq=8.2), Metric(n=10, sum=2, sum_sq=0.5))
    assert before.scores is not None
    one, other = (
        before.scores.pair(
            Metric(n=9, sum=total, sum_sq=total), Metric(n=9, sum=total, sum_sq=total)
        )
        for total in (0.0, 9.0)
    )
    assert (one.treatment.guess, one.control.guess) == (other.treatment.guess, other.control.guess)
