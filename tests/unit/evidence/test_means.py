import numpy as np
import pytest

from tests.unit.evidence.chance import BOUND, GATE, guardrail
from weir.evidence.guardrail import Evidence, Guardrail, Names, Verdict
from weir.spec.guardrails import MeanGuardrail, Worse
from weir.window import Metric, VersionCounts


def arm(mean: float, n: int = 50) -> VersionCounts:
    """Numbers with a standard deviation of 1."""
    return VersionCounts(
        requests=n, metrics={"amount": Metric(n=n, sum=n * mean, sum_sq=n * (mean**2 + 1))}
    )


def mean(worse: str) -> Guardrail:
    return guardrail(MeanGuardrail.model_validate({"of": "amount", "worse": worse}))


def after(of: Guardrail, control: float, treatment: float) -> Evidence:
    evidence = of.start()
    for _ in range(40):
        evidence = of.update(evidence, arm(control), arm(treatment), GATE)
    return evidence


@pytest.mark.parametrize("worse", ["higher", "lower"])
@pytest.mark.parametrize("control", [10.0, -10.0])
def test_an_equal_version_is_safe_and_one_two_points_off_is_harmful(
    control: float, worse: str
) -> None:
    of = mean(worse)
    equal, off = after(of, control, control), after(of, control, control + 2)
    other = after(of, control, control - 2)
    assert of.log_e_harm(equal) < 0
    assert of.log_e_safe(equal, GATE) > BOUND
    bad, good = (off, other) if worse == "higher" else (other, off)
    assert of.log_e_harm(bad) > BOUND
    assert of.log_e_safe(bad, GATE) < 0
    assert of.log_e_harm(good) < 0
    assert of.log_e_safe(good, GATE) > BOUND


def test_too_few_numbers_are_named() -> None:
    of = mean("higher")
    evidence = of.update(of.start(), arm(10), arm(10, 5), GATE)
    assert of.explain(evidence, Verdict.INSUFFICIENT, 0, Names("v1", "v2")) == (
        "v2 reported amount 5 times and v1 50 times in 1 windows, too few to judge a mean"
    )
    assert of.interval(evidence, 0.05, GATE) is None


def test_a_worse_mean_is_named_in_words_and_numbers() -> None:
    of = mean("higher")
    said = of.explain(after(of, 10, 12), Verdict.FAIL, GATE, Names("v1", "v2"))
    assert said.startswith("v2's mean amount is 12, v1's 10; at most 1.05 times is ruled out at 1 ")


@pytest.mark.parametrize("promote_margin", [1.05, 1.1])
def test_a_number_that_hardly_ever_varies_is_not_proven_by_its_sameness(
    promote_margin: float,
) -> None:
    """The control says 1 always; the treatment is on the bound by rare zeros."""
    spec = MeanGuardrail(of="amount", worse=Worse.LOWER, margin=1.0, promote_margin=promote_margin)
    of, rng, false, runs = guardrail(spec), np.random.default_rng(3), 0, 300
    for _ in range(runs):
        evidence = of.start()
        for _ in range(75):
            ones = int(rng.binomial(20, 1 / promote_margin))
            evidence = of.update(
                evidence,
                counted(Metric(n=80, sum=80, sum_sq=80)),
                counted(Metric(n=20, sum=ones, sum_sq=ones)),
                GATE,
            )
            if of.log_e_safe(evidence, GATE) >= BOUND:
                false += 1
                break
    assert false / runs <= 0.05


def test_two_constant_numbers_that_are_equal_are_proven_so_in_time() -> None:
    of = guardrail(MeanGuardrail(of="amount"))
    evidence, constant = of.start(), counted(Metric(n=50, sum=50, sum_sq=50))
    for _ in range(40):
        evidence = of.update(evidence, constant, constant, GATE)
    assert of.log_e_safe(evidence, GATE) > BOUND


def counted(metric: Metric) -> VersionCounts:
    return VersionCounts(requests=metric.n, metrics={"amount": metric})


def test_numbers_that_are_missing_for_a_proof_are_named() -> None:
    of = mean("higher")
    evidence = of.start()
    for _ in range(15):
        evidence = of.update(evidence, arm(10), arm(10, 20), GATE)
    assert of.log_e_safe(evidence, GATE) == 0
    said = of.explain(evidence, Verdict.INSUFFICIENT, GATE, Names("v1", "v2"))
    assert said.endswith("nothing is proven safe before 1,000 of each, there are 300 and 750")
