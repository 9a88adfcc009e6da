from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.peers.bounds import divergence, known_control, unknown_control

rates = st.integers(0, 10_000).map(lambda count: count / 10_000)
weights = st.floats(0.01, 100)


def test_the_divergence_is_that_of_two_bernoulli_rates() -> None:
    assert divergence(0.5, 0.25) == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3))
    assert divergence(0.3, 0.3) == 0
    assert divergence(0.0, 0.5) == pytest.approx(math.log(2))
    assert math.isinf(divergence(0.1, 0.0))


def test_a_known_control_leaves_the_margin_to_refute() -> None:
    # KL(0.5 || 0.0125) = 1.4985 nats; log 20 = 2.9957.
    assert known_control(0.5, 0.01, 0.05, ratio=1.25) == pytest.approx(
        2.9957 / divergence(0.5, 0.0125), rel=1e-4
    )
    assert known_control(0.5, 0.01, 0.05, ratio=1.25) == pytest.approx(2.0, abs=0.01)


def test_no_request_shows_what_is_not_so() -> None:
    for bound in (known_control(0.0125, 0.01, 0.05, 1.25), unknown_control(0, 0, 0.05, 1)):
        assert math.isinf(bound)
    assert math.isinf(unknown_control(0.0145, 0.01, 0.05, 19, ratio=1.25, slack=0.002))


def test_a_single_failure_refutes_a_margin_of_none() -> None:
    assert known_control(0.1, 0.0, 0.05) == 0


def test_equal_arms_meet_half_way() -> None:
    # For ratio 1 and equal traffic the most plausible common rate is the mean of both.
    expected = math.log(20) / (divergence(0.3, 0.2) + divergence(0.1, 0.2))
    assert unknown_control(0.3, 0.1, 0.05, 1.0) == pytest.approx(expected)


@given(rates, rates, weights, st.floats(1, 5), st.sampled_from([0.0, 0.002, 0.1]))
def test_learning_the_control_never_costs_less_than_knowing_it(
    treatment: float, control: float, weight: float, ratio: float, slack: float
) -> None:
    known = known_control(treatment, control, 0.05, ratio, slack)
    unknown = unknown_control(treatment, control, 0.05, weight, ratio, slack)
    assert unknown >= known * (1 - 1e-9)
    assert math.isinf(known) == math.isinf(unknown)


@given(rates.filter(lambda rate: 0.02 <= rate <= 0.9), st.sampled_from([0, 1e-4, 0.012]), weights)
def test_no_rate_on_the_margin_is_more_plausible(
    treatment: float, control: float, weight: float
) -> None:
    found = math.log(20) / unknown_control(treatment, control, 0.05, weight, 1.25, 0.002)
    for step in range(1, 200):
        rate = step / 200 * (treatment - 0.002) / 1.25
        evidence = divergence(treatment, 1.25 * rate + 0.002) + weight * divergence(control, rate)
        assert found <= evidence * (1 + 1e-9)


def test_a_large_control_is_as_good_as_a_known_one() -> None:
    known = known_control(0.03, 0.01, 0.05, 1.25)
    bounds = [unknown_control(0.03, 0.01, 0.05, weight, 1.25) for weight in (1, 3, 19, 1000, 1e6)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] > 1.5 * known
    assert bounds[-1] == pytest.approx(known, rel=1e-4)
