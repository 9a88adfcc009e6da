import math

import numpy as np
import pytest

from tests.unit.evidence.chance import at_most, metric
from weir.evidence.moments import LEAST_WHOLE_WINDOWS, LEAST_WINDOWS, Moments
from weir.window import Metric

ALPHA = 0.1
NEVER = 1e-9


def constant(n: int, value: float) -> Metric:
    return Metric(n=n, sum=n * value, sum_sq=n * value * value)


def after(windows: int, control: Metric, treatment: Metric) -> Moments:
    held = Moments()
    for _ in range(windows):
        held = held.plus(control, treatment)
    return held


@pytest.mark.parametrize("robust", [False, True])
@pytest.mark.parametrize("kind", ["normal", "lognormal"])
def test_the_interval_holds_the_difference_at_all_times_together(kind: str, robust: bool) -> None:
    chance, runs, missed, narrow = np.random.default_rng(11), 150, 0, False
    for _ in range(runs):
        held, inside = Moments(), True
        for window in range(60):
            n1, n0 = (20, 80) if window < 30 else (50, 50)
            base = 10 + 2 * math.sin(window / 6)
            if kind == "normal":
                theirs, ours = chance.normal(base, 3, n0), chance.normal(base + 1, 3, n1)
            else:
                theirs, ours = (base + chance.lognormal(0, 1, n) for n in (n0, n1))
                ours = ours + 1
            held = held.plus(metric(theirs), metric(ours))
            found = held.interval(ALPHA, robust=robust)
            inside = inside and (found is None or found[0] <= 1 <= found[1])
        missed += not inside
        assert found is not None
        narrow = narrow or found[1] - found[0] < 1.5
    assert at_most(ALPHA, missed, runs)
    assert narrow


@pytest.mark.parametrize(("robust", "least"), [(False, LEAST_WINDOWS), (True, LEAST_WHOLE_WINDOWS)])
def test_few_windows_are_not_judged(robust: bool, least: int) -> None:
    control, treatment = constant(500, 5.0), constant(500, 50.0)
    few, enough = after(least - 1, control, treatment), after(least, control, treatment)
    assert few.log_e(1.0, 0.0, above=True, robust=robust) == 0
    assert few.interval(ALPHA, robust=robust) is None
    assert enough.interval(ALPHA, robust=robust) is not None


def test_an_arm_that_has_seen_only_zeros_by_chance_proves_little() -> None:
    """Its variance is 0, too; the control's tells how much it can vary."""
    control = Metric(n=95, sum=1, sum_sq=1)
    held = after(10, control, Metric(n=5))
    for robust in (False, True):
        assert held.log_e(1.1, 0.0, above=False, robust=robust) < 1


@pytest.mark.parametrize("value", [0.0, 0.1, 1e-200, -3.0, 9e48])
def test_numbers_that_never_vary_prove_no_difference(value: float) -> None:
    held = after(40, constant(100, value), constant(20, value))
    for robust in (False, True):
        for above in (False, True):
            found = held.log_e(1.0, 0.0, above=above, robust=robust)
            assert math.isfinite(found)
            assert found <= NEVER


def test_digits_far_behind_a_large_mean_are_no_difference() -> None:
    chance = np.random.default_rng(2)
    held = Moments()
    for _ in range(40):
        held = held.plus(
            metric(1e9 + chance.normal(0, 1, 80)), metric(1e9 + chance.normal(0, 1, 20))
        )
    assert held.log_e(1.0, 0.0, above=True, robust=False) < 1
