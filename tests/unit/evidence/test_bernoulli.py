import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from weir.errors import PermanentError
from weir.evidence.bernoulli import BernoulliTest, harm_test, safety_test
from weir.evidence.mixture import Wealth, log_spaced, log_sum_exp
from weir.evidence.stratum import Stratum

STORED = TypeAdapter(Wealth)

ratios = st.floats(1, 8)
slacks = st.sampled_from([0.0, 0.002, 0.05, 0.3])
rates = st.floats(0, 1)
requests = st.integers(1, 4)


def stratum(n1: int, x1: int, n0: int, x0: int) -> Stratum:
    return Stratum(
        treatment_requests=n1, treatment_failures=x1, control_requests=n0, control_failures=x0
    )


def outcomes(n1: int, p1: float, n0: int, p0: float) -> list[tuple[float, Stratum]]:
    """Every outcome of one window with its probability."""

    def mass(n: int, x: int, p: float) -> float:
        return math.comb(n, x) * p**x * (1 - p) ** (n - x)

    return [
        (mass(n1, x1, p1) * mass(n0, x0, p0), stratum(n1, x1, n0, x0))
        for x1, x0 in itertools.product(range(n1 + 1), range(n0 + 1))
    ]


def expectation(test: BernoulliTest, windows: list[tuple[int, float, int, float]]) -> float:
    """The exact expectation of the e-value after ``windows`` of (n1, p1, n0, p0)."""
    total = 0.0
    for path in itertools.product(*(outcomes(*window) for window in windows)):
        wealth = test.start()
        for _, seen in path:
            wealth = test.update(wealth, seen)
        total += math.prod(probability for probability, _ in path) * math.exp(wealth.log_e)
    return total


@settings(max_examples=60, deadline=None)
@given(ratios, slacks, rates, rates, requests, requests, st.floats(0, 1))
def test_harm_e_values_expect_at_most_1_when_the_treatment_is_within_the_margin(
    ratio: float, slack: float, p0: float, other_p0: float, n1: int, n0: int, inside: float
) -> None:
    def tolerated(p: float) -> float:
        return min(1.0, inside * (ratio * p + slack))

    windows = [(n1, tolerated(p0), n0, p0), (2, tolerated(other_p0), 3, other_p0)]
    assert expectation(harm_test(ratio, slack), windows) <= 1 + 1e-9


@settings(max_examples=60, deadline=None)
@given(ratios, slacks, st.floats(0, 0.1), st.floats(0, 0.1), requests, requests, st.floats(0, 1))
def test_safety_e_values_expect_at_most_1_when_the_treatment_is_beyond_the_gate(
    ratio: float, slack: float, p0: float, other_p0: float, n1: int, n0: int, beyond: float
) -> None:
    def bad(p: float) -> float:
        least = min(1.0, ratio * p + slack)
        return least + beyond * (1 - least)

    if any(ratio * p + slack > 1 for p in (p0, other_p0)):
        return
    windows = [(n1, bad(p0), n0, p0), (3, bad(other_p0), 2, other_p0)]
    assert expectation(safety_test(ratio, slack), windows) <= 1 + 1e-9


def test_the_expectation_exceeds_1_as_soon_as_the_claim_is_false() -> None:
    assert expectation(harm_test(1.25, 0.0), [(4, 0.9, 4, 0.1), (4, 0.9, 4, 0.1)]) > 1.5
    assert expectation(safety_test(1.5, 0.3), [(4, 0.0, 4, 0.1), (4, 0.0, 4, 0.1)]) > 1.2


def test_a_single_alternative_has_the_closed_form_of_a_likelihood_ratio() -> None:
    test = BernoulliTest(ratio=1.0, slack=0.0, points=((3.0, 1.0),))
    wealth = test.update(test.start(), stratum(10, 2, 30, 1))
    expected = (3 / (60 / 40)) ** 2 * (1 / (60 / 40))
    assert math.exp(wealth.log_e) == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_a_state_reloaded_from_json_at_every_window_stays_bit_identical(seed: int) -> None:
    rng = random.Random(seed)
    for test in (harm_test(1.25, 0.002), safety_test(1.5, 0.002)):
        kept = reloaded = test.start()
        for _ in range(30):
            n1, n0 = rng.randint(1, 300), rng.randint(1, 3000)
            seen = stratum(n1, rng.randint(0, n1 // 8), n0, rng.randint(0, n0 // 20))
            kept = test.update(kept, seen)
            reloaded = STORED.validate_json(STORED.dump_json(test.update(reloaded, seen)))
        assert reloaded == kept


def test_the_order_of_windows_does_not_matter_without_cash() -> None:
    windows = [stratum(50, 1, 900, 3), stratum(5, 2, 40, 0), stratum(300, 0, 300, 2)]
    test = harm_test(1.25, 0.002, cash=0)
    ends = []
    for order in itertools.permutations(windows):
        wealth = test.start()
        for window in order:
            wealth = test.update(wealth, window)
        ends.append(wealth.log_e)
    assert ends == pytest.approx([ends[0]] * 6)
    assert ends[0] != pytest.approx(0)


def test_prior_masses_sum_to_1_and_alternatives_lie_on_their_side() -> None:
    for test in (harm_test(1.25, 0.002), harm_test(1.0, 0.0)):
        assert math.fsum(mass for _, mass in test.points) == pytest.approx(1)
        assert test.start().log_e == pytest.approx(0)
        assert all(r > test.ratio for r, _ in test.points)
    for test in (safety_test(1.5, 0.002), safety_test(1.0, 0.01)):
        assert math.fsum(mass for _, mass in test.points) == pytest.approx(1)
        assert all(r < test.ratio for r, _ in test.points)


def test_betting_cash_neither_makes_nor_loses_wealth() -> None:
    test = harm_test(1.25, 0.0)
    stirred = test.update(test.start(), stratum(100, 9, 900, 10))
    clean = test.update(stirred, stratum(100, 0, 900, 0))
    assert clean.cash is not None
    assert stirred.cash is not None
    assert clean.cash < stirred.cash
    assert clean.log_e == pytest.approx(stirred.log_e, abs=1e-12)


def test_cash_keeps_the_e_value_from_falling_far_and_shortens_a_late_detection() -> None:
    def requests_until_harm(cash: float) -> int:
        rng = random.Random(7)
        test = harm_test(1.25, 0.002, cash=cash)
        wealth = test.start()
        for _ in range(40):
            wealth = test.update(
                wealth, stratum(500, sum(rng.random() < 0.01 for _ in range(500)), 500, 5)
            )
        for window in itertools.count(1):
            failures = sum(rng.random() < 0.05 for _ in range(20))
            wealth = test.update(wealth, stratum(20, failures, 20, int(window % 5 == 0)))
            if wealth.log_e >= math.log(20):
                return 20 * window
        raise AssertionError

    assert requests_until_harm(0.4) < 0.8 * requests_until_harm(0.0)


def test_without_any_failure_only_slack_proves_safety() -> None:
    clean = stratum(3000, 0, 3000, 0)
    with_slack, without = safety_test(1.5, 0.002), safety_test(1.5, 0.0)
    assert with_slack.update(with_slack.start(), clean).log_e > math.log(20)
    assert without.update(without.start(), clean).log_e == pytest.approx(0)


def test_a_version_that_always_fails_is_harmful_within_ten_requests() -> None:
    test = harm_test(1.25, 0.002)
    wealth = test.update(test.start(), stratum(5, 5, 95, 1))
    assert wealth.log_e > math.log(20)


def test_a_stratum_with_an_empty_arm_is_a_mistake_of_the_caller() -> None:
    test = harm_test(1.25, 0.002)
    with pytest.raises(ValueError, match="both arms"):
        test.update(test.start(), stratum(5, 1, 0, 0))


def test_evidence_of_another_test_is_refused() -> None:
    with pytest.raises(PermanentError) as refused:
        harm_test(1.25, 0.0).update(safety_test(1.5, 0.0).start(), stratum(1, 0, 1, 0))
    assert refused.value.reason == "evidence.mismatch"


def test_false_alarms_stay_below_alpha_on_the_margin_under_a_ramp_with_drifting_rates() -> None:
    alarms, runs = 0, 200
    for seed in range(runs):
        rng = random.Random(seed)
        test = harm_test(1.25, 0.0)
        wealth = test.start()
        for window in range(60):
            n1 = (5, 25, 50)[window // 20]
            rate = 0.02 + 0.06 * window / 60
            x1 = sum(rng.random() < 1.25 * rate for _ in range(n1))
            x0 = sum(rng.random() < rate for _ in range(100 - n1))
            wealth = test.update(wealth, stratum(n1, x1, 100 - n1, x0))
            if wealth.log_e >= math.log(20):
                alarms += 1
                break
    assert alarms / runs <= 0.05


def test_log_sum_exp_neither_overflows_nor_loses_the_least() -> None:
    assert log_sum_exp((1000.0, 1000.0)) == pytest.approx(1000 + math.log(2))
    assert log_sum_exp((-2000.0, 0.0)) == 0.0


def test_log_spaced_ends_are_exact() -> None:
    assert log_spaced(4.0, 1.5, 3) == (4.0, pytest.approx(math.sqrt(6)), 1.5)
