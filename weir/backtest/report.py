"""A backtest's results as values: scenarios, shares with intervals, rows, and the report. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from weir.backtest.rehearsal import Ending
from weir.backtest.simulation import Traffic, Treatment
from weir.rollout import Action, Reason

Z_95 = 1.959964


class Worse(StrEnum):
    """What a version is worse in."""

    NOTHING = "nothing"
    FAILURES = "failures"
    LATENCY = "latency"


@dataclass(frozen=True)
class Scenario:
    """A version that is ``times`` worse in one respect, throughout."""

    worse_in: Worse = Worse.NOTHING
    times: float = 1.0

    @property
    def treatment(self) -> Treatment:
        if self.worse_in is Worse.LATENCY:
            return Treatment(slower_times=self.times)
        return Treatment(fails_times=self.times)


@dataclass(frozen=True)
class Share:
    """``count`` of ``runs`` rollouts, and the probability behind it with 95 % (Wilson)."""

    count: int
    runs: int

    @property
    def share(self) -> float:
        return self.count / self.runs

    @property
    def interval(self) -> tuple[float, float]:
        share, runs, square = self.share, self.runs, Z_95**2
        middle = (share + square / (2 * runs)) / (1 + square / runs)
        half = math.sqrt(share * (1 - share) / runs + square / (4 * runs**2))
        half *= Z_95 / (1 + square / runs)
        low = 0.0 if self.count == 0 else middle - half
        return low, 1.0 if self.count == runs else middle + half


@dataclass(frozen=True)
class Spread:
    median: float
    p90: float


@dataclass(frozen=True)
class Row:
    """What became of one scenario's rollouts.

    Spreads are over the rollouts that ended so, None when none did. ``requests`` and ``failures``
    of the treatment are those from the first step to the rollback; the failures are all of them,
    also those that the control would have had. ``without_evidence`` of the rollbacks were
    ``on_inconclusive``'s answer. ``cut`` of the undecided were given up while simulating.
    """

    scenario: Scenario
    failure_rate: float
    latency_median_ms: float
    rolled_back: Share
    promoted: Share
    undecided: Share
    without_evidence: int
    cut: int
    seconds_to_rollback: Spread | None
    requests_to_rollback: Spread | None
    failures_to_rollback: Spread | None
    seconds_to_promotion: Spread | None

    @property
    def runs(self) -> int:
        return self.promoted.runs


@dataclass(frozen=True)
class Report:
    """``runs`` is what was asked for. ``left_out`` are metrics of guardrails that no traffic of
    this kind can feed: the rollouts were simulated without them."""

    traffic: Traffic
    rows: tuple[Row, ...]
    runs: int
    seed: int
    windows: int
    left_out: tuple[str, ...]

    def of(self, worse_in: Worse) -> tuple[Row, ...]:
        """The rows that are worse in ``worse_in``, the equal version first; () without any."""
        found = [row for row in self.rows if row.scenario.worse_in is worse_in]
        equal = [row for row in self.rows if row.scenario.worse_in is Worse.NOTHING]
        return (*equal, *found) if found else ()


def row_of(scenario: Scenario, traffic: Traffic, endings: Sequence[Ending]) -> Row:
    """``endings``, of which there is at least one, summed up."""

    def those(action: Action) -> list[Ending]:
        return [ending for ending in endings if ending.action is action]

    back, promoted, asked = (
        those(action) for action in (Action.ROLL_BACK, Action.PROMOTE, Action.ASK)
    )
    return Row(
        scenario=scenario,
        failure_rate=scenario.treatment.failure_rate(traffic),
        latency_median_ms=traffic.latencies.slower(scenario.treatment.slower_times).quantile_ms(
            0.5
        ),
        rolled_back=Share(len(back), len(endings)),
        promoted=Share(len(promoted), len(endings)),
        undecided=Share(len(asked), len(endings)),
        without_evidence=sum(ending.reason is not Reason.HARM for ending in back),
        cut=sum(ending.cut for ending in asked),
        seconds_to_rollback=_spread([ending.seconds for ending in back]),
        requests_to_rollback=_spread([ending.requests for ending in back]),
        failures_to_rollback=_spread([ending.failures for ending in back]),
        seconds_to_promotion=_spread([ending.seconds for ending in promoted]),
    )


def _spread(values: Sequence[float]) -> Spread | None:
    if not values:
        return None
    ordered = sorted(values)

    def quantile(share: float) -> float:
        return ordered[math.ceil(share * len(ordered)) - 1]

    return Spread(quantile(0.5), quantile(0.9))


def as_data(report: Report) -> dict[str, Any]:
    """The report for other programs; shares from 0 to 1, times in seconds."""
    traffic = report.traffic
    return {
        "requests_per_minute": traffic.requests_per_minute,
        "failure_rate": traffic.failure_rate,
        "latency_median_ms": traffic.latencies.quantile_ms(0.5),
        "runs": report.runs,
        "seed": report.seed,
        "windows_simulated": report.windows,
        "not_simulated": list(report.left_out),
        "versions": [_row_as_data(row) for row in report.rows],
    }


def _row_as_data(row: Row) -> dict[str, Any]:
    def spread(name: str) -> dict[str, float] | None:
        found = getattr(row, name)
        return None if found is None else asdict(found)

    return {
        "worse_in": str(row.scenario.worse_in),
        "times_worse": row.scenario.times,
        "failure_rate": row.failure_rate,
        "latency_median_ms": row.latency_median_ms,
        "runs": row.runs,
        "rolled_back": _share_as_data(row.rolled_back),
        "promoted": _share_as_data(row.promoted),
        "undecided": _share_as_data(row.undecided),
        "rolled_back_without_evidence": row.without_evidence,
        "given_up": row.cut,
        "to_rollback": {
            "seconds": spread("seconds_to_rollback"),
            "treatment_requests": spread("requests_to_rollback"),
            "treatment_failures": spread("failures_to_rollback"),
        },
        "to_promotion": {"seconds": spread("seconds_to_promotion")},
    }


def _share_as_data(share: Share) -> dict[str, float]:
    low, high = share.interval
    return {"count": share.count, "share": share.share, "low": low, "high": high}
