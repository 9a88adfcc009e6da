"""A backtest in words and numbers for people. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace

from weir.backtest.characteristics import SIMULATED, backtest, scenarios_of
from weir.backtest.report import Report, Row, Scenario, Share, Spread, Worse
from weir.backtest.simulation import Traffic
from weir.durations import duration
from weir.spec.rollout import RolloutPolicy

SHORT_RUNS = 20
SHORT_WINDOWS = 2_000
SHORT_SEED = 1
SHORT_TIMES_FAILING = 5.0
SHORT_TIMES_SLOWER = 2.0

SHORT_LEAST_FAILURE_RATE = 0.001

NONE = "–"


def short_form(policy: RolloutPolicy, traffic: Traffic) -> tuple[str, ...]:
    """An equal and a worse version under ``policy``, a line each: what to expect, in about 1 s.

    Where nothing was seen to fail, SHORT_LEAST_FAILURE_RATE does. Nothing for a policy that no
    simulation can judge.
    """
    if len(policy.steps) == 1 or all(one.metric not in SIMULATED for one in policy.guardrails):
        return ()
    traffic = replace(traffic, failure_rate=max(traffic.failure_rate, SHORT_LEAST_FAILURE_RATE))
    worse = Scenario(Worse.LATENCY, SHORT_TIMES_SLOWER)
    if Worse.FAILURES in {scenario.worse_in for scenario in scenarios_of(policy)}:
        worse = Scenario(Worse.FAILURES, SHORT_TIMES_FAILING)
    report = backtest(
        policy,
        traffic,
        runs=SHORT_RUNS,
        seed=SHORT_SEED,
        scenarios=(Scenario(), worse),
        windows=SHORT_WINDOWS,
        pieces=1,
    )
    return (
        f"simulated at {traffic_words(traffic)} (weir backtest tells more):",
        *(f"  {version_words(row.scenario)}: {_fate(row)}" for row in report.rows),
    )


def traffic_words(traffic: Traffic) -> str:
    return (
        f"{count(traffic.requests_per_minute)} requests/min, {percent(traffic.failure_rate)}"
        f" failing, median {milliseconds(traffic.latencies.quantile_ms(0.5))}"
    )


def version_words(scenario: Scenario) -> str:
    if scenario.worse_in is Worse.NOTHING:
        return "an equal version"
    how = "failing" if scenario.worse_in is Worse.FAILURES else "slower by"
    often = " as often" if scenario.worse_in is Worse.FAILURES else ""
    return f"one {how} {scenario.times:g} times{often}"


def _fate(row: Row) -> str:
    parts = []
    if row.promoted.count:
        assert row.seconds_to_promotion is not None
        after = duration(row.seconds_to_promotion.median)
        parts.append(f"promoted {_of(row.promoted)}, after about {after}")
    if row.rolled_back.count:
        assert row.requests_to_rollback is not None
        assert row.seconds_to_rollback is not None
        parts.append(
            f"rolled back {_of(row.rolled_back)}, after about"
            f" {count(_rounded(row.requests_to_rollback.median))} requests to it,"
            f" {duration(row.seconds_to_rollback.median)}"
        )
    undecided = Share(row.undecided.count - row.cut, row.runs)
    if undecided.count:
        parts.append(f"undecided {_of(undecided)}")
    if row.cut:
        parts.append(f"longer than is simulated here {_of(Share(row.cut, row.runs))}")
    return "; ".join(parts)


def _of(share: Share) -> str:
    return f"in {share.count} of {share.runs}"


def tables(report: Report) -> tuple[str, ...]:
    """What becomes of every version, and how long it takes: two tables of less than 80 columns."""
    fates: list[tuple[str, ...]] = [
        ("version", "that is", "rolled back", "promoted", "undecided", "rollouts")
    ]
    costs: list[tuple[str, ...]] = [
        ("", "to rollback:", "", "", "to promotion:"),
        ("version", "time", "requests to it", "failed", "time"),
    ]
    for row in report.rows:
        name = short_name(row.scenario)
        fates.append(
            (
                name,
                _that_is(row),
                _with_interval(row.rolled_back),
                _with_interval(row.promoted),
                _with_interval(row.undecided),
                f"{row.runs:,}",
            )
        )
        costs.append(
            (
                name,
                _both(row.seconds_to_rollback, duration),
                _both(row.requests_to_rollback, count),
                count(row.failures_to_rollback.median) if row.failures_to_rollback else NONE,
                _both(row.seconds_to_promotion, duration),
            )
        )
    return (
        *_aligned(fates),
        "",
        *_aligned(costs),
        "",
        *notes(report),
    )


def notes(report: Report) -> tuple[str, ...]:
    """What the numbers are, and what was not done."""
    said = [
        "Shares with their 95 % intervals. Times and requests: median, 90th percentile of the"
        " rollouts that ended so. Failed: requests to the treatment that failed until the"
        " rollback, median."
    ]
    few = [row for row in report.rows if row.runs < report.runs]
    if few:
        least = min(row.runs for row in few)
        said.append(
            f"{len(few)} of {len(report.rows)} versions have fewer rollouts than {report.runs:,},"
            f" {least:,} at least: theirs are long, and a backtest ends after some"
            f" {report.windows:,} windows."
        )
    cut = sum(row.cut for row in report.rows)
    if cut:
        said.append(f"{cut:,} rollouts were given up as too long and count as undecided.")
    if any(row.undecided.count > row.cut for row in report.rows):
        said.append(
            "Undecided: not proven within maximum_wait_seconds at a step, or deadline_seconds; a"
            " person is asked. More traffic, more slack or a wider promotion margin decides."
        )
    unproven = sum(row.without_evidence for row in report.rows)
    if unproven:
        said.append(
            f"{unproven:,} of the rollbacks are the answer of on_inconclusive, not of evidence."
        )
    if report.left_out:
        names = " and ".join(report.left_out)
        said.append(f"Not simulated: {names}. A promotion would have to wait for them too.")
    return tuple(line for sentence in said for line in textwrap.wrap(sentence, 79))


def short_name(scenario: Scenario) -> str:
    if scenario.worse_in is Worse.NOTHING:
        return "equal"
    return f"{'fails' if scenario.worse_in is Worse.FAILURES else 'slower'} {scenario.times:g}x"


def _that_is(row: Row) -> str:
    if row.scenario.worse_in is Worse.LATENCY:
        return milliseconds(row.latency_median_ms)
    return percent(row.failure_rate)


def _with_interval(share: Share) -> str:
    low, high = share.interval
    return f"{100 * share.share:.0f} % ({100 * low:.0f}–{100 * high:.0f})"


def _both(spread: Spread | None, words: Callable[[float], str]) -> str:
    """The median and the 90th percentile; once when they read the same."""
    if spread is None:
        return NONE
    return ", ".join(dict.fromkeys((words(spread.median), words(spread.p90))))


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def percent(share: float) -> str:
    return f"{_rounded(100 * share):g} %"


def milliseconds(value: float) -> str:
    return f"{_rounded(value):,g} ms"


def count(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.3g}"


def _rounded(value: float) -> float:
    """Three significant digits, and every digit before the point."""
    return round(value) if value >= 100 else float(f"{value:.3g}")
