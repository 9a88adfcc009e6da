from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.peers.argo import Argo
from benchmarks.peers.calibration import false_alarms, matched, tolerances, tuned
from benchmarks.peers.flagger import Flagger
from benchmarks.peers.rules import Rule
from benchmarks.peers.traffic import Windows, steady
from benchmarks.peers.ztest import ZTest


def null(seed: int, replicates: int = 2_000) -> Windows:
    return steady(
        seed,
        treatment=0.01,
        control=0.01,
        share_percent=25,
        requests=50,
        windows=200,
        replicates=replicates,
    )


SEEN, FRESH = null(1), null(2)


def test_the_z_limit_holds_its_target_and_no_lower_one_does() -> None:
    test = tuned(SEEN, 0.05)
    assert false_alarms(test, SEEN) == pytest.approx(0.05, abs=0.01)
    assert false_alarms(test, SEEN) <= 0.05
    assert false_alarms(ZTest(test.limit * 0.999), SEEN) >= false_alarms(test, SEEN)
    assert false_alarms(test, FRESH) <= 0.07


def test_an_unadjusted_z_test_alarms_far_too_often() -> None:
    limit = tuned(SEEN, 0.05).limit
    assert limit > 2.5
    assert false_alarms(ZTest(1.645), FRESH) > 0.3


def test_no_false_alarm_at_all_may_be_asked_for() -> None:
    assert false_alarms(tuned(SEEN, 0.0), SEEN) == 0
    assert false_alarms(tuned(SEEN, 1.0), SEEN) == 1


@pytest.mark.parametrize(
    "rule",
    [
        lambda tolerated: Argo(tolerated, every=10, count=20),
        lambda tolerated: Flagger(tolerated, threshold=2, every=10),
    ],
)
def test_a_matched_threshold_holds_its_target_and_the_next_lower_one_does_not(
    rule: Callable[[float], Argo | Flagger],
) -> None:
    settings = tolerances(SEEN, every=10)
    found = matched(rule, settings, SEEN, 0.05)
    assert false_alarms(found, SEEN) <= 0.05
    assert false_alarms(found, FRESH) <= 0.07
    assert false_alarms(rule(settings[settings.index(found.tolerated) - 1]), SEEN) > 0.05


def test_failure_limits_are_matched_as_thresholds_are() -> None:
    found = matched(lambda limit: Argo(0.01, limit, every=10), range(21), SEEN, 0.05)
    alarms = [false_alarms(Argo(0.01, limit, every=10), SEEN) for limit in range(21)]
    assert found.failure_limit == next(i for i, rate in enumerate(alarms) if rate <= 0.05)


def test_a_target_that_no_setting_holds_is_an_error() -> None:
    with pytest.raises(ValueError, match="none of 2 settings"):
        matched(lambda limit: Argo(0.0, limit), [0, 1], SEEN, 0.05)


def test_at_their_documented_thresholds_a_good_version_at_the_threshold_is_rolled_back() -> None:
    defaults: tuple[Rule, ...] = (Argo(0.01, every=10), Flagger(0.01, threshold=5, every=10))
    for rule in defaults:
        assert false_alarms(rule, FRESH) > 0.8
