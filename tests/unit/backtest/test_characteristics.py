"""What a backtest counts, promises and leaves out."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.rollouts import at
from weir.backtest.characteristics import Mapped, backtest, scenarios_of
from weir.backtest.plot import plot
from weir.backtest.recorded_traffic import traffic_in
from weir.backtest.rehearsal import Ending, Piece, rehearse
from weir.backtest.report import Report, Scenario, Share, Worse, as_data
from weir.backtest.simulation import Latencies, Simulation, Traffic, Treatment
from weir.backtest.words import short_form, tables
from weir.durations import duration
from weir.errors import UserError
from weir.rollout import Action, Reason
from weir.spec.guardrails import (
    CeilingGuardrail,
    FailuresGuardrail,
    LatencyGuardrail,
    SlowGuardrail,
)
from weir.spec.rollout import COUNTED_BY_DEFAULT, OnInconclusive, RolloutPolicy
from weir.window import Histogram, VersionCounts, Window

FAILURES = RolloutPolicy(guardrails=(FailuresGuardrail(),))
TRAFFIC = Traffic(6_000, 0.01, Latencies.log_normal(50, 0.5))
EQUAL, WORST = Scenario(), Scenario(Worse.FAILURES, 50)


def simulated(
    policy: RolloutPolicy = FAILURES,
    traffic: Traffic = TRAFFIC,
    *,
    runs: int = 20,
    seed: int = 1,
    scenarios: Sequence[Scenario] | None = (EQUAL, WORST),
    windows: int = 4_000,
    mapped: Mapped = map,
) -> Report:
    return backtest(
        policy,
        traffic,
        runs=runs,
        seed=seed,
        scenarios=scenarios,
        windows=windows,
        mapped=mapped,
    )


def one(policy: RolloutPolicy, treatment: Treatment, seed: int = 1, **more: int) -> Ending:
    simulation = Simulation(TRAFFIC, treatment, with_latencies=False)
    most = more.pop("most_windows", 10_000)
    return rehearse(policy, simulation, np.random.default_rng(seed), most, **more)


def test_an_equal_version_is_promoted_and_one_fifty_times_worse_is_rolled_back() -> None:
    equal, worst = simulated(runs=40).rows
    # 5 % are allowed to be rolled back: 7 of 40 has a chance of less than one in 200 then.
    assert equal.rolled_back.count <= 6
    assert equal.promoted.count == 40 - equal.rolled_back.count - equal.undecided.count
    assert worst.rolled_back.count == worst.runs == 40
    assert worst.promoted.count == 0


def test_the_worse_a_version_is_the_fewer_requests_it_gets() -> None:
    rows = simulated(scenarios=[Scenario(Worse.FAILURES, times) for times in (3, 10, 50)]).rows
    medians = [row.requests_to_rollback.median for row in rows if row.requests_to_rollback]
    assert len(medians) == 3
    assert medians == sorted(medians, reverse=True)


def test_requests_and_failures_until_a_rollback_are_those_of_the_treatment() -> None:
    endings = [one(FAILURES, Treatment(fails_times=50), seed) for seed in range(200)]
    requests = sum(ending.requests for ending in endings)
    failures = sum(ending.failures for ending in endings)
    # 5 % of 500 requests in every window.
    assert requests / sum(ending.windows for ending in endings) == pytest.approx(25, rel=0.05)
    assert failures / requests == pytest.approx(0.5, abs=0.05)
    assert {ending.reason for ending in endings} == {Reason.HARM}


def test_what_is_served_while_telemetry_is_late_counts_too() -> None:
    late = FAILURES.model_copy(update={"lag_seconds": 60.0})
    ending = one(late, Treatment(fails_times=50))
    assert ending.seconds == 65
    assert ending.requests == pytest.approx(325, abs=100)


def test_the_time_of_a_step_is_simulated_in_ever_longer_windows_of_all_its_requests() -> None:
    patient = FAILURES.model_copy(
        update={"soak_seconds": 40_000.0, "maximum_wait_seconds": 50_000.0}
    )
    ending = one(patient, Treatment())
    assert ending.action is Action.PROMOTE
    assert ending.windows < 400
    # At most 4 % later than the soak's end; half of 100 requests a second all the while.
    assert 40_000 < ending.seconds < 42_500
    assert ending.requests == pytest.approx(ending.seconds * 50, rel=0.05)


def test_long_windows_change_little_of_what_is_decided() -> None:
    for seed in range(3):
        long = one(FAILURES, Treatment(fails_times=2), seed)
        short = one(FAILURES, Treatment(fails_times=2), seed, fine_windows=10**9)
        assert long.action is short.action is Action.ROLL_BACK


def test_a_wait_that_is_over_is_undecided_or_a_rollback_without_evidence() -> None:
    hasty = {"maximum_wait_seconds": 12.0, "minimum_requests": 10**6}
    (row,) = simulated(FAILURES.model_copy(update=hasty), scenarios=[EQUAL]).rows
    assert row.undecided.count == row.runs
    hasty["on_inconclusive"] = OnInconclusive.ROLLBACK
    (row,) = simulated(FAILURES.model_copy(update=hasty), scenarios=[EQUAL]).rows
    assert row.rolled_back.count == row.without_evidence == row.runs
    assert row.seconds_to_rollback is not None
    assert row.seconds_to_rollback.median == 15


def test_a_policy_without_evidence_promotes_everything_at_once() -> None:
    report = simulated(RolloutPolicy(steps=(100,)), scenarios=None, runs=3)
    assert all(row.promoted.share == 1 for row in report.rows)
    assert report.windows == 0


def backwards(
    work: Callable[[Piece], Sequence[Ending]], pieces: Sequence[Piece]
) -> Iterator[Sequence[Ending]]:
    """Done in another order, as several processes would."""
    done = {number: work(piece) for number, piece in reversed(list(enumerate(pieces)))}
    return (done[number] for number in range(len(pieces)))


def test_the_same_seed_gives_the_same_report_however_the_work_is_shared_out() -> None:
    few: dict[str, Any] = {"runs": 7, "windows": 200}
    assert simulated(**few) == simulated(**few, mapped=backwards)
    assert simulated(**few) != simulated(**few, seed=2)


def test_rollouts_that_take_too_many_windows_are_fewer_and_that_is_said() -> None:
    report = simulated(runs=1_000, windows=300)
    assert all(1 <= row.runs < 1_000 for row in report.rows)
    # Whatever is begun is finished.
    assert report.windows < 3 * 600
    assert "2 of 2 versions have fewer rollouts than 1,000" in "\n".join(tables(report))


def test_what_is_left_of_the_budget_goes_to_what_lacks_rollouts() -> None:
    alone = simulated(runs=100, windows=600, scenarios=[EQUAL]).rows[0].runs
    beside = simulated(runs=100, windows=600, scenarios=[EQUAL, WORST]).rows[0].runs
    assert beside > 0.6 * alone


def test_a_rollout_without_an_end_is_given_up_and_counted_as_undecided() -> None:
    ending = one(FAILURES, Treatment(fails_times=1.5), most_windows=5)
    assert (ending.action, ending.windows, ending.cut) == (Action.ASK, 5, True)


def test_versions_are_worse_in_what_the_policy_guards() -> None:
    def kinds(*guardrails: FailuresGuardrail | LatencyGuardrail) -> set[Worse]:
        policy = RolloutPolicy(guardrails=guardrails, steps=(100,))
        return {row.scenario.worse_in for row in simulated(policy, scenarios=None, runs=1).rows}

    both = {Worse.NOTHING, Worse.FAILURES, Worse.LATENCY}
    assert kinds(FailuresGuardrail(), LatencyGuardrail()) == both
    assert kinds(FailuresGuardrail()) == {Worse.NOTHING, Worse.FAILURES}
    assert kinds(LatencyGuardrail()) == {Worse.NOTHING, Worse.LATENCY}


def test_many_times_as_often_as_never_is_refused() -> None:
    with pytest.raises(UserError) as raised:
        simulated(traffic=replace(TRAFFIC, failure_rate=0.0))
    assert raised.value.reason == "backtest.no_failures"


@pytest.mark.parametrize(("count", "runs"), [(0, 100), (3, 100), (50, 100), (100, 100), (1, 1)])
def test_an_interval_holds_its_share_and_stays_between_0_and_1(count: int, runs: int) -> None:
    share = Share(count, runs)
    low, high = share.interval
    assert 0 <= low <= share.share <= high <= 1
    assert (low, high) != (share.share, share.share)


def test_wilson_intervals_as_the_books_have_them() -> None:
    assert Share(0, 100).interval == pytest.approx((0, 0.0370), abs=1e-4)
    assert Share(50, 100).interval == pytest.approx((0.4038, 0.5962), abs=1e-4)


def test_the_tables_fit_a_terminal_of_80_columns() -> None:
    policy = RolloutPolicy(window_seconds=60, maximum_wait_seconds=100_000)
    report = simulated(policy, Traffic(600_000, 0.01, TRAFFIC.latencies), runs=4, scenarios=None)
    assert max(map(len, tables(report))) <= 80


def test_the_picture_is_well_formed_and_shows_every_version() -> None:
    report = simulated(scenarios=None, runs=3)
    root = ElementTree.fromstring(plot(report))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "at 6,000 requests/min, 1 % failing, median 50 ms" in texts
    assert {"1", "1.5", "2", "3", "5", "10", "50"} <= set(texts)


def test_a_picture_of_versions_that_are_never_rolled_back_says_so() -> None:
    report = simulated(scenarios=[EQUAL, Scenario(Worse.FAILURES, 1.25)], runs=2)
    assert "no version here is rolled back in half of the rollouts" in plot(report)


def test_data_for_other_programs_has_every_number() -> None:
    data = as_data(simulated(runs=5))
    equal, worst = data["versions"]
    assert data["runs"] == 5
    assert (worst["worse_in"], worst["times_worse"], worst["failure_rate"]) == ("failures", 50, 0.5)
    assert worst["rolled_back"]["count"] == 5
    assert worst["to_rollback"]["treatment_requests"]["median"] > 0
    assert worst["to_promotion"]["seconds"] is None
    assert equal["promoted"]["share"] == 1


def test_the_short_form_tells_both_versions_in_a_line_each() -> None:
    head, equal, worse = short_form(FAILURES, TRAFFIC)
    assert head.startswith("simulated at 6,000 requests/min, 1 % failing")
    assert equal.startswith("  an equal version: promoted in ")
    assert worse.startswith("  one failing 5 times as often: rolled back in ")
    assert "requests to it" in worse
    assert short_form(RolloutPolicy(steps=(100,)), TRAFFIC) == ()


def recorded(number: int, control: VersionCounts, treatment: VersionCounts) -> Window:
    return Window(
        id=number,
        start=at(10 * number),
        end=at(10 * number + 10),
        split={"v1": 95, "v2": 5},
        versions={"v1": control, "v2": treatment},
    )


def test_recorded_windows_tell_the_requests_and_how_the_control_serves_them() -> None:
    control = VersionCounts(
        requests=950,
        failures_by_class={"server_error": 19, "client_error": 100},
        latency_ms=Histogram(counts={50: 500, 60: 450}),
    )
    treatment = VersionCounts(requests=50, failures=50)
    traffic = traffic_in([recorded(n, control, treatment) for n in (0, 1)], COUNTED_BY_DEFAULT)
    assert traffic is not None
    assert traffic.requests_per_minute == pytest.approx(6_000)
    assert traffic.failure_rate == pytest.approx(0.02)
    assert traffic.latencies == Latencies.of(Histogram(counts={50: 1_000, 60: 900}))


def test_a_record_without_requests_to_the_control_tells_nothing() -> None:
    silent = recorded(0, VersionCounts(), VersionCounts(requests=5))
    assert traffic_in([silent], COUNTED_BY_DEFAULT) is None
    assert traffic_in([], COUNTED_BY_DEFAULT) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (5, "5 s"), (113.7, "114 s"), (355, "5.9 min"), (9_000, "2.5 h")],
)
def test_durations_in_the_unit_that_people_would_use(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("guardrail", "worse"),
    [
        (CeilingGuardrail(at_most=0.05), Worse.FAILURES),
        (CeilingGuardrail(of="slow", threshold_ms=200, at_most=0.05), Worse.LATENCY),
        (SlowGuardrail(threshold_ms=200), Worse.LATENCY),
    ],
)
def test_versions_are_worse_in_what_the_policy_watches(guardrail: Any, worse: Worse) -> None:
    equal, *others = scenarios_of(RolloutPolicy(guardrails=(guardrail,)))
    assert equal.worse_in is Worse.NOTHING
    assert {scenario.worse_in for scenario in others} == {worse}
