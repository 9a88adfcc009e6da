"""What the defaults of a policy buy: detection, gates, whole rollouts."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np

from benchmarks.evidence.ours import Weir, rows
from benchmarks.evidence.table import Section, number, percent
from benchmarks.peers.rules import NEVER
from benchmarks.peers.traffic import Windows, steady
from weir import rollout
from weir.backtest.characteristics import backtest
from weir.backtest.report import Row
from weir.backtest.simulation import USUAL_TRAFFIC
from weir.backtest.words import short_name
from weir.durations import duration
from weir.evidence.bernoulli import BernoulliTest, safety_test
from weir.evidence.gates import gates
from weir.spec.rollout import RolloutPolicy
from weir.window import Histogram, VersionCounts, Window

SHARE = 5
TREATMENT = 5
MOST = 8_000
REPLICATES = 200
ONE_OF_TWO = 0.05 / 2
SLACKS = (0.002, 0.01)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def detection() -> Section:
    cases = [(0.0, rate) for rate in (0.02, 0.05, 0.08, 0.5)]
    cases += [(0.01, 0.01 * ratio) for ratio in (2, 3, 5, 10, 50)]
    table = []
    for control, treatment in cases:
        cells = [_until_rollback(control, treatment, slack) for slack in SLACKS]
        table.append([percent(control), percent(treatment), *cells])
    return Section(
        title="Detection by the default policy",
        words=(
            f"Treatment requests until rollback, median and 90th percentile of {REPLICATES} runs,"
            f" at {SHARE} % of the traffic in windows of {TREATMENT} treatment requests, two"
            " guardrails (each with half of alpha)."
        ),
        heads=["control fails", "treatment fails", *(f"slack {100 * s:g} points" for s in SLACKS)],
        rows=table,
    )


def grossly_failing() -> Section:
    """Through the whole state machine: a version that fails every other request."""
    found = sorted(_requests_until_rollback(seed) for seed in range(REPLICATES))
    within = sum(requests <= 10 for requests in found) / len(found)
    return Section(
        title="A version that fails every other request",
        words=(
            f"The default policy, windows of {TREATMENT} treatment and 95 control requests with"
            f" latencies, control 1 %; {REPLICATES} rollouts through the state machine."
        ),
        heads=["treatment requests until rollback", "within 10"],
        rows=[
            [f"median {found[len(found) // 2]}, at most {found[-1]}", percent(within)],
        ],
        goal=found[len(found) // 2] <= 10,
        wanted=f"within 10 treatment requests: {percent(within)} of runs, the median",
    )


def promotion() -> Section:
    table = []
    for control in (0.0, 0.001, 0.01, 0.05):
        for margin, slack in ((1.5, 0.0), (1.5, 0.002), (1.5, 0.01), (2.0, 0.002)):
            cells = []
            for gate, share in zip(gates(margin, slack, 3), (5, 25, 50), strict=True):
                traffic = _equal(control, share)
                test = safety_test(gate.ratio, gate.slack)
                provable = control or gate.slack
                cells.append(number(_median_until(test, traffic)) if provable else "never")
            table.append([percent(control), f"{margin:g}", f"{100 * slack:g}", *cells])
    return Section(
        title="What an equal version has to serve",
        words=(
            "Treatment requests until a version as good as the control passes each gate on"
            " failures, each gate from nothing; median of 60 runs. A dash is more than 40,000."
        ),
        heads=["both fail", "promote_margin", "slack, points", "at 5 %", "at 25 %", "at 50 %"],
        rows=table,
    )


def whole_rollouts() -> Section:
    policy = RolloutPolicy()
    report = backtest(policy, USUAL_TRAFFIC, runs=100, seed=1)
    equal = report.rows[0]
    return Section(
        title="Whole rollouts of the default policy",
        words=(
            "`weir backtest` of an empty policy: 6,000 requests a minute, 1 % failing, latency"
            " median 50 ms. Times and requests are medians."
        ),
        heads=[
            "treatment",
            "rolled back",
            "promoted",
            "rolled back after, requests",
            "promoted after",
        ],
        rows=[_whole(row) for row in report.rows],
        wanted=(
            f"an equal version rolled back at most {percent(policy.alpha)} of the time:"
            f" {percent(equal.rolled_back.share)}; promoted in minutes:"
            f" {duration(equal.seconds_to_promotion.median) if equal.seconds_to_promotion else '–'}"
        ),
        goal=equal.rolled_back.share <= policy.alpha and equal.promoted.share >= 0.9,
    )


def _whole(row: Row) -> list[str]:
    back, on = row.seconds_to_rollback, row.seconds_to_promotion
    requests = row.requests_to_rollback
    return [
        short_name(row.scenario),
        percent(row.rolled_back.share),
        percent(row.promoted.share),
        f"{duration(back.median)}, {number(requests.median)} requests"
        if back and requests
        else "–",
        duration(on.median) if on else "–",
    ]


def _until_rollback(control: float, treatment: float, slack: float) -> str:
    traffic = steady(
        21,
        treatment=treatment,
        control=control,
        share_percent=SHARE,
        requests=TREATMENT,
        windows=MOST // TREATMENT,
        replicates=REPLICATES,
    )
    ends = Weir(slack=slack, alpha=ONE_OF_TWO, promotes=False).ends(traffic)
    served = np.where(ends.window == NEVER, np.inf, ends.served(traffic.n1))
    median, ninety = np.quantile(served, (0.5, 0.9), method="higher")
    return f"{_or_more(median)}, {_or_more(ninety)}"


def _or_more(requests: float) -> str:
    return f"> {MOST:,}" if math.isinf(requests) else number(requests)


def _equal(rate: float, share: float) -> Windows:
    return steady(
        22,
        treatment=rate,
        control=rate,
        share_percent=share,
        requests=20,
        windows=2_000,
        replicates=60,
    )


def _median_until(test: BernoulliTest, traffic: Windows) -> float:
    found = []
    for windows in rows(traffic):
        held, served = test.start(), math.inf
        for seen, stratum in enumerate(windows, 1):
            held = test.update(held, stratum)
            if held.log_e >= -math.log(0.05):
                served = seen * 20
                break
        found.append(served)
    return float(np.median(found))


def _requests_until_rollback(seed: int) -> int:
    rng = np.random.default_rng(seed)
    policy, now = RolloutPolicy(), NOON
    state, decision = rollout.decide(policy, rollout.begin(policy, "v1", "v2", now), None, now)
    state = rollout.split_applied(state, now)
    requests = 0
    while decision.action is not rollout.Action.ROLL_BACK and requests < 1_000:
        start, now = now, now + timedelta(seconds=5)
        window = Window(
            id=rollout.next_window_id(state),
            start=start,
            end=now,
            split=rollout.percentiles(policy, state),
            versions={"v1": _counts(rng, 95, 0.01), "v2": _counts(rng, TREATMENT, 0.5)},
        )
        state, decision = rollout.decide(policy, state, window, now)
        requests += TREATMENT
    return requests


def _counts(rng: np.random.Generator, requests: int, rate: float) -> VersionCounts:
    buckets = np.ceil(np.log2(50 * np.exp(rng.normal(0, 0.5, requests))) * 16).astype(int) - 1
    values, counts = np.unique(buckets, return_counts=True)
    return VersionCounts(
        requests=requests,
        failures=int(rng.binomial(requests, rate)),
        latency_ms=Histogram(counts=dict(zip(values.tolist(), counts.tolist(), strict=True))),
    )
