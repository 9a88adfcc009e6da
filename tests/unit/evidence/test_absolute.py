import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.evidence.chance import at_most
from tests.unit.evidence.enumeration import expectation, outcomes
from weir.evidence.absolute import LimitTest, above_test, below_test, share_interval
from weir.evidence.mixture import Wealth
from weir.evidence.stratum import Stratum

limits = st.floats(0.001, 0.95)
inside = st.floats(0, 1)
requests = st.integers(1, 4)


def expected(test: LimitTest, *windows: tuple[int, float], phi: float = 1.0) -> float:
    def update(held: Wealth, number: int, seen: Stratum) -> Wealth:
        return test.update(held, seen, phi)

    return expectation(
        test.start(),
        update,
        lambda held: math.exp(held.log_e),
        [outcomes(n, p, 0, 0.0) for n, p in windows],
    )


@settings(max_examples=60, deadline=None)
@given(limits, inside, inside, requests, requests, st.floats(1, 5))
def test_harm_expects_at_most_1_for_every_share_within_the_limit(
    limit: float, one: float, other: float, n: int, m: int, phi: float
) -> None:
    windows = ((n, limit * one), (m, limit), (n, limit * other))
    assert expected(above_test(limit), *windows, phi=phi) <= 1 + 1e-9


@settings(max_examples=60, deadline=None)
@given(limits, inside, inside, requests, requests, st.floats(1, 5))
def test_safety_expects_at_most_1_for_every_share_beyond_the_limit(
    limit: float, one: float, other: float, n: int, m: int, phi: float
) -> None:
    windows = (
        (n, limit + (1 - limit) * one),
        (m, limit),
        (n, limit + (1 - limit) * other),
    )
    assert expected(below_test(limit), *windows, phi=phi) <= 1 + 1e-9


def test_harm_expects_exactly_1_at_the_limit_while_cash_is_bet() -> None:
    assert expected(above_test(0.3), *[(3, 0.3)] * 4) == pytest.approx(1)


def test_the_expectation_exceeds_1_as_soon_as_the_claim_is_false() -> None:
    assert expected(above_test(0.1), (4, 0.5), (4, 0.5)) > 2
    assert expected(below_test(0.5), (4, 0.1), (4, 0.1)) > 2


@pytest.mark.parametrize("share", [0.01, 0.2, 0.9])
def test_the_interval_holds_the_share_at_all_times_together(share: float) -> None:
    runs, alpha, missed = 300, 0.1, 0
    seen = np.random.default_rng(5).binomial(15, share, (runs, 40)).cumsum(axis=1)
    for run in seen.tolist():
        bounds = (share_interval(x, 15 * (place + 1), alpha) for place, x in enumerate(run))
        missed += any(not least <= share <= greatest for least, greatest in bounds)
    assert at_most(alpha, missed, runs)


def test_an_interval_of_nothing_is_everything_and_of_much_is_short() -> None:
    assert share_interval(0, 0, 0.05) == (0, 1)
    least, greatest = share_interval(10**10, 10**12, 0.05)
    assert 0.0099 < least < 0.01 < greatest < 0.0101
    assert share_interval(50, 50, 0.05)[1] == 1


def test_an_interval_next_to_certainty_stays_within_0_and_1() -> None:
    for failures in (0, 1, 10**12 - 1, 10**12):
        low, high = share_interval(failures, 10**12, 0.05)
        assert 0 <= low <= failures / 10**12 <= high <= 1
