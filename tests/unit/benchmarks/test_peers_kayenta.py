from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.peers.kayenta import Kayenta, _deviation, _limits, every_points
from benchmarks.peers.rules import NEVER
from benchmarks.peers.traffic import steady
from tests.unit.benchmarks.hand import told, windows

Z_98 = NormalDist().inv_cdf(0.99)


def passes(treatment: list[float], control: list[float], **settings: Any) -> bool:
    judge = Kayenta((), **settings)
    return bool(judge.passes(np.array([treatment]), np.array([control]))[0])


def alarms(points: int, either: bool, replicates: int = 20_000) -> float:
    chance = np.random.default_rng(points)
    ours, theirs = chance.normal(10, 1, (2, replicates, points))
    return 1 - float(Kayenta((), either=either).passes(ours, theirs).mean())


@pytest.mark.parametrize(
    ("points", "least", "most"), [(2, 0.22, 0.24), (3, 0.045, 0.055), (5, 0, 0.005), (20, 0, 0.005)]
)
def test_false_alarms_with_no_change_in_either_direction(
    points: int, least: float, most: float
) -> None:
    found = alarms(points, either=True, replicates=20_000 if points < 20 else 4_000)
    assert least <= found <= most


def test_one_direction_has_half_the_false_alarms() -> None:
    assert alarms(2, either=False) == pytest.approx(alarms(2, either=True) / 2, abs=0.01)


def test_the_limits_are_where_the_statistic_crosses_its_quantile() -> None:
    """By the definition: ranks of shifted points, with both corrections."""

    def statistic(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        both = np.concatenate((x, y))
        ranks = (both[:, None] > both).sum(axis=1) + ((both[:, None] == both).sum(axis=1) + 1) / 2
        m, n = len(x), len(y)
        centred = ranks[:m].sum() - m * (m + 1) / 2 - m * n / 2
        _, sizes = np.unique(both, return_counts=True)
        ties = (sizes**3 - sizes).sum()
        deviation = np.sqrt(m * n / 12 * (m + n + 1 - ties / ((m + n) * (m + n - 1))))
        return float((centred - np.sign(centred) / 2) / deviation)

    chance = np.random.default_rng(5)
    reached = 0
    for _ in range(200):
        m, n = chance.integers(2, 15, 2)
        x, y = chance.integers(0, 8, m) / 64, chance.integers(0, 5, n) / 64
        shifts = np.sort((x[:, None] - y).reshape(1, -1), axis=1)
        deviation = _deviation(x[None], y[None])
        (lower,), (upper,) = _limits(shifts, deviation, 0.98)
        assert statistic(x - lower - 1e-6, y) < Z_98
        assert statistic(x - upper + 1e-6, y) > -Z_98
        if lower > shifts[0, 0]:
            reached += 1
            assert statistic(x - lower + 1e-6, y) >= Z_98
        if upper < shifts[0, -1]:
            assert statistic(x - upper - 1e-6, y) <= -Z_98
    assert reached > 50


def test_two_points_an_arm_fail_when_a_clear_gap_lies_between_them() -> None:
    # Differences 0.01 to 0.03, median 0.02: the lower limit is the least of them, against 0.005.
    assert not passes([0.03, 0.04], [0.01, 0.02])
    # Least difference 0.001, a quarter of the median 0.0255 is more.
    assert passes([0.03, 0.06], [0.01, 0.029])


def test_a_small_ratio_of_means_passes_when_an_increase_is_allowed() -> None:
    ours, theirs = [0.012] * 10, [0.010] * 10
    assert not passes(ours, theirs)
    assert passes(ours, theirs, allowed_increase=1.25)


def test_a_control_that_never_fails_makes_any_steady_failure_high() -> None:
    assert not passes([0.01] * 5, [0.0] * 5)
    assert passes([0.0] * 5, [0.0] * 5)


def test_an_improvement_fails_only_in_the_judge_s_default_direction() -> None:
    ours, theirs = [0.01, 0.011, 0.012, 0.013, 0.014], [0.05, 0.06, 0.07, 0.08, 0.09]
    assert passes(ours, theirs)
    assert not passes(ours, theirs, either=True)


def test_points_without_traffic_are_left_out_and_an_arm_without_points_fails() -> None:
    assert not passes([0.03, 0.04, np.nan], [0.01, 0.02, np.nan])
    assert passes([0.03, np.nan, 0.01], [0.01, 0.02, 0.03])
    assert not passes([np.nan], [0.0])


def test_it_rolls_back_at_the_first_look_that_fails_and_promotes_at_the_last() -> None:
    judge = Kayenta((2, 4, 8))
    late = windows([9, 1, 9, 9, 9, 9, 9, 9], [2, 2, 2, 1, 1, 1, 1, 1])
    assert told(judge.ends(late)) == ("rolled back", 7)
    assert told(judge.ends(windows([8, 9, 9, 9], [2, 2, 2, 2]))) == ("rolled back", 1)
    assert told(judge.ends(windows([1] * 9, [2] * 9))) == ("promoted", 7)
    assert told(judge.ends(windows([1] * 5, [2] * 5))) == ("open", NEVER)
    assert told(Kayenta((2,), every=3).ends(windows([1] * 7, [2] * 7))) == ("promoted", 5)


def test_looks_come_at_equal_distances() -> None:
    assert every_points(10, 35) == (10, 20, 30)


def test_many_replicates_end_as_each_does_alone() -> None:
    many = steady(
        1, treatment=0.03, control=0.01, share_percent=50, requests=100, windows=20, replicates=40
    )
    judge = Kayenta((5, 10, 20))
    ends = judge.ends(many)
    assert ends.rolled_back.any()
    assert ends.promoted.any()
    for index in range(40):
        alone = judge.ends(many.some(np.arange(40) == index))
        assert alone.window[0] == ends.window[index]
        assert alone.promoted[0] == ends.promoted[index]
