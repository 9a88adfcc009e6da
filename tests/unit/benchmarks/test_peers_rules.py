from __future__ import annotations

import numpy as np
import pytest

from benchmarks.peers.argo import Argo
from benchmarks.peers.flagger import Flagger
from benchmarks.peers.rules import NEVER, Rule
from benchmarks.peers.traffic import Windows, steady
from benchmarks.peers.ztest import ZTest, scores
from tests.unit.benchmarks.hand import told, windows


def test_argo_aborts_at_the_first_bad_interval() -> None:
    assert told(Argo(0.05).ends(windows([5, 0, 6, 0]))) == ("rolled back", 2)


def test_argo_counts_failed_measurements_for_the_whole_run() -> None:
    seen = windows([6, 0, 0, 6, 0, 6])
    assert told(Argo(0.05, failure_limit=1).ends(seen)) == ("rolled back", 3)
    assert told(Argo(0.05, failure_limit=2).ends(seen)) == ("rolled back", 5)
    assert told(Argo(0.05, failure_limit=3).ends(seen)) == ("open", NEVER)


def test_argo_promotes_at_the_last_measurement_unless_that_one_fails_it() -> None:
    assert told(Argo(0.05, count=3).ends(windows([0, 0, 0, 9]))) == ("promoted", 2)
    assert told(Argo(0.05, count=3).ends(windows([0, 0, 9, 0]))) == ("rolled back", 2)
    assert told(Argo(0.05, 1, count=3).ends(windows([0, 0, 9, 9]))) == ("promoted", 2)


def test_argo_fails_without_traffic() -> None:
    assert told(Argo(0.05).ends(windows([0, 0], n1=[100, 0]))) == ("rolled back", 1)


def test_argo_measures_over_whole_intervals() -> None:
    # Four in a hundred over the first two windows, six over the next two; the last one is cut off.
    assert told(Argo(0.05, every=2).ends(windows([8, 0, 6, 6, 50]))) == ("rolled back", 3)
    assert told(Argo(0.05, every=2).ends(windows([8, 0, 50]))) == ("open", NEVER)


def test_a_rate_on_the_threshold_passes_in_spite_of_rounding() -> None:
    assert told(Argo(0.29, count=1).ends(windows([29]))) == ("promoted", 0)


def test_flagger_never_resets_its_failed_checks_and_rolls_back_on_the_tick_after() -> None:
    seen = windows([2, 0, 0, 2, 0, 0])
    assert told(Flagger(0.01, threshold=2).ends(seen)) == ("rolled back", 4)
    assert told(Flagger(0.01, threshold=1).ends(seen)) == ("rolled back", 1)
    assert told(Flagger(0.01, threshold=3).ends(seen)) == ("open", NEVER)


def test_flagger_has_not_rolled_back_when_no_tick_follows() -> None:
    assert told(Flagger(0.01).ends(windows([0, 2]))) == ("open", NEVER)


def test_flagger_promotes_at_the_passed_check_on_its_full_weight() -> None:
    # Ten steps: the first is free, nine passes lead to the full weight, the tenth promotes.
    assert told(Flagger(0.01, steps=10).ends(windows([0] * 12))) == ("promoted", 9)


def test_a_failed_check_of_flagger_holds_the_weight() -> None:
    seen = windows([0, 2, 0, 2, 0, 0])
    assert told(Flagger(0.01, threshold=3, steps=3).ends(seen)) == ("promoted", 4)


def test_flagger_makes_no_check_on_the_tick_that_rolls_back() -> None:
    assert told(Flagger(0.01, steps=1).ends(windows([2, 0, 0]))) == ("rolled back", 1)
    assert told(Flagger(0.01, steps=2).ends(windows([0, 2]))) == ("open", NEVER)


def test_flagger_counts_a_check_without_traffic_as_failed() -> None:
    assert told(Flagger(0.01).ends(windows([0, 0, 0], n1=[0, 9, 9]))) == ("rolled back", 1)


def test_flagger_s_tick_after_is_a_whole_interval_later() -> None:
    assert told(Flagger(0.01, every=2).ends(windows([2, 2, 0, 0]))) == ("rolled back", 3)


def test_the_z_score_is_that_of_pooled_proportions() -> None:
    # 10 of 100 against 5 of 100: 0.05 / sqrt(0.075 * 0.925 * 0.02), over all windows so far.
    assert scores(windows([10], [5]))[0, 0] == pytest.approx(1.3423, abs=1e-4)
    assert scores(windows([4, 6], [1, 4], n1=50, n0=50))[0, 1] == pytest.approx(1.3423, abs=1e-4)


def test_the_z_score_is_zero_as_long_as_it_says_nothing() -> None:
    assert scores(windows([0, 0], n1=[0, 10])).tolist() == [[0, 0]]
    assert scores(windows([10], [10], n1=10, n0=10)).tolist() == [[0]]


def test_the_z_test_rolls_back_at_its_first_look_beyond_the_limit_or_promotes_at_its_horizon() -> (
    None
):
    seen = windows([5, 0, 0, 20], [0, 0, 0, 0])
    assert told(ZTest(2.0).ends(seen)) == ("rolled back", 0)
    assert told(ZTest(2.0, first_look=2).ends(seen)) == ("rolled back", 1)
    assert told(ZTest(9.0, horizon=4).ends(seen)) == ("promoted", 3)
    assert told(ZTest(9.0, horizon=5).ends(seen)) == ("open", NEVER)
    assert told(ZTest(9.0).ends(seen)) == ("open", NEVER)


@pytest.mark.parametrize(
    "rule",
    [
        Argo(0.02, 2, 20, 2),
        Flagger(0.02, 2, 10, 2),
        ZTest(2.0, 3, 35),
    ],
)
def test_many_replicates_end_as_each_does_alone(rule: Rule) -> None:
    many = steady(
        3, treatment=0.01, control=0.01, share_percent=25, requests=40, windows=41, replicates=60
    )
    ends = rule.ends(many)
    assert ends.rolled_back.any()
    assert ends.promoted.any()
    assert not (ends.rolled_back & ends.promoted).any()
    for index in range(many.replicates):
        alone = rule.ends(many.some(np.arange(many.replicates) == index))
        assert told(alone)[1] == ends.window[index]
        assert alone.rolled_back[0] == ends.rolled_back[index]
        assert alone.promoted[0] == ends.promoted[index]


def test_what_is_served_ends_with_the_window_of_the_end() -> None:
    seen = Windows(*(np.array([[10, 20, 30], [1, 2, 3]]) for _ in range(4)))
    ends = ZTest(-1.0, first_look=2).ends(seen)
    assert ends.served(seen.n1).tolist() == [30, 3]
    assert ZTest(9.0).ends(seen).served(seen.n1).tolist() == [60, 6]
