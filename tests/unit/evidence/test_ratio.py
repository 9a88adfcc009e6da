from __future__ import annotations

import math
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from weir.evidence.mixture import log_sum_exp
from weir.evidence.ratio import GRID, interval, start, updated
from weir.evidence.stratum import Stratum

ALPHA = 0.05


def counts(n1: int, x1: int, n0: int, x0: int) -> Stratum:
    return Stratum(
        treatment_requests=n1, treatment_failures=x1, control_requests=n0, control_failures=x0
    )


@st.composite
def strata(draw: st.DrawFn) -> Stratum:
    n1, n0 = draw(st.integers(1, 500)), draw(st.integers(1, 5_000))
    return counts(n1, draw(st.integers(0, n1)), n0, draw(st.integers(0, n0)))


def log_e(history: list[Stratum], rho: float) -> float:
    """The e-value against ``rho`` by its definition, summed over all windows anew."""

    def likelihood(r: float) -> float:
        return sum(
            s.treatment_failures * math.log(r)
            - (s.treatment_failures + s.control_failures)
            * math.log(s.treatment_requests * r + s.control_requests)
            for s in history
        )

    each = log_sum_exp(likelihood(r) for r in GRID) - math.log(len(GRID))
    return each - likelihood(rho)


def curve(history: list[Stratum]) -> tuple[float, ...]:
    held = start()
    for stratum in history:
        held = updated(held, stratum)
    return held


@given(st.lists(strata(), min_size=1, max_size=6), st.floats(1 / 32, 64))
@settings(max_examples=200, deadline=None)
def test_no_ratio_outside_is_one_that_the_evidence_leaves_in(
    history: list[Stratum], rho: float
) -> None:
    least, greatest = interval(curve(history), ALPHA)
    if rho < least or (greatest is not None and rho > greatest):
        assert log_e(history, rho) >= -math.log(ALPHA) - 1e-6


@given(st.lists(strata(), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_the_interval_is_hardly_longer_than_the_evidence_asks_for(history: list[Stratum]) -> None:
    least, greatest = interval(curve(history), ALPHA)
    if least > 0:
        assert log_e(history, least / 1.28) >= -math.log(ALPHA) - 1e-6
    if greatest is not None:
        assert log_e(history, greatest * 1.28) >= -math.log(ALPHA) - 1e-6


def test_without_failures_every_ratio_is_possible() -> None:
    assert interval(curve([counts(500, 0, 9_500, 0)]), ALPHA) == (0.0, None)
    assert interval((), ALPHA) == (0.0, None)


def test_the_true_ratio_stays_inside_at_every_window_under_drifting_rates() -> None:
    chance = random.Random(7)
    missed = 0
    for _ in range(200):
        held = start()
        for step in range(60):
            base = 0.02 + 0.02 * math.sin(step / 5)
            n1, n0 = (50, 950) if step < 30 else (500, 500)
            x1 = sum(chance.random() < 2 * base for _ in range(n1))
            x0 = sum(chance.random() < base for _ in range(n0))
            held = updated(held, counts(n1, x1, n0, x0))
            least, greatest = interval(held, ALPHA)
            if not least <= 2 <= (greatest or math.inf):
                missed += 1
                break
    assert missed / 200 <= ALPHA
    assert least > 1
    assert greatest is not None
    assert greatest < 4
