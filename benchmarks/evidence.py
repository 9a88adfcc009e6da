"""What the policy's defaults buy, by seeded simulation: python benchmarks/evidence.py

Counts, not seconds: the tables come out the same on every machine. Takes well under a minute.
"""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from weir.evidence.bernoulli import CASH, BernoulliTest, Stratum, harm_test, safety_test
from weir.evidence.gates import gates
from weir.evidence.latency import LatencyShift
from weir.rollout import (
    Action,
    begin,
    decide,
    next_window_id,
    next_window_start,
    percentiles,
    split_applied,
)
from weir.spec.guardrails import FailuresGuardrail, LatencyGuardrail
from weir.spec.rollout import RolloutPolicy
from weir.window import Histogram, VersionCounts, Window

ONE_OF_TWO_GUARDRAILS = math.log(2 / 0.05)
BETA = math.log(1 / 0.05)
NOON = datetime(2025, 11, 24, 12, tzinfo=UTC)


def failures(rng: random.Random, requests: int, rate: float) -> int:
    """A binomial draw, by skipping from failure to failure."""
    if rate <= 0:
        return 0
    if rate >= 1:
        return requests
    count, position = 0, 0
    while True:
        position += int(math.log(1 - rng.random()) / math.log1p(-rate)) + 1
        if position > requests:
            return count
        count += 1


def windows(
    rng: random.Random, control: float, treatment: float, share: float, requests: int, most: int
) -> Iterator[Stratum]:
    """Windows of ``requests`` treatment requests, ``most`` requests in all."""
    others = round(requests * (100 - share) / share)
    for _ in range(most // requests):
        yield Stratum(
            treatment_requests=requests,
            treatment_failures=failures(rng, requests, treatment),
            control_requests=others,
            control_failures=failures(rng, others, control),
        )


def first_crossing(test: BernoulliTest, limit: float, seen: Iterator[Stratum]) -> int | None:
    """Treatment requests when the e-value first reached ``limit``."""
    wealth, requests = test.start(), 0
    for stratum in seen:
        wealth = test.update(wealth, stratum)
        requests += stratum.treatment_requests
        if wealth.log_e() >= limit:
            return requests
    return None


def repeated(runs: int, once: Callable[[random.Random], int | None]) -> list[int | None]:
    return [once(random.Random(seed)) for seed in range(runs)]


def summary(found: list[int | None]) -> str:
    """Median and 90th percentile; runs without an end count as infinite."""
    ordered = sorted(math.inf if value is None else value for value in found)
    median, ninety = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.9)]
    return f"{_count(median):>8} {_count(ninety):>8}"


def _count(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:,.0f}"


def false_alarms() -> None:
    print("\nFalse decisions on the boundary, over 20,000 treatment requests at 25 %, 200 runs")
    print("control     rolled back (1.25 p0 + 0.2 pp)   safe (1.5 p0 + 0.2 pp)   bound of each 5 %")
    for control in (0.001, 0.01, 0.05):
        rolled = repeated(
            200,
            lambda rng, p=control: first_crossing(
                harm_test(1.25, 0.002),
                BETA,
                windows(rng, p, 1.25 * p + 0.002, 25, 100, 20_000),
            ),
        )
        safe = repeated(
            200,
            lambda rng, p=control: first_crossing(
                safety_test(1.5, 0.002), BETA, windows(rng, p, 1.5 * p + 0.002, 25, 100, 20_000)
            ),
        )
        alarms = [sum(value is not None for value in found) / 200 for found in (rolled, safe)]
        print(f"{control:7.1%} {alarms[0]:20.1%} {alarms[1]:26.1%}")


def detection() -> None:
    print("\nTreatment requests until rollback, at 5 % of traffic, windows of 5, two guardrails")
    print("control treatment   slack 0.2 pp (default)   slack 1 pp       (median, 90th percentile)")
    cases = [(0.0, rate) for rate in (0.02, 0.05, 0.08, 0.2, 0.5, 1.0)]
    cases += [(0.01, 0.01 * ratio) for ratio in (2, 3, 5, 10, 50)]
    for control, treatment in cases:
        cells = [
            summary(
                repeated(
                    60,
                    lambda rng, c=control, t=treatment, s=slack: first_crossing(
                        harm_test(1.25, s),
                        ONE_OF_TWO_GUARDRAILS,
                        windows(rng, c, t, 5, 5, 8_000),
                    ),
                )
            )
            for slack in (0.002, 0.01)
        ]
        print(f"{control:7.1%} {treatment:9.1%}   {cells[0]:>20}   {cells[1]:>20}")


def promotion() -> None:
    print("\nTreatment requests until an equal version passes each gate of steps 5, 25, 50, 100")
    print("(each gate from nothing, at its step's share; median of 20 runs; at most 40,000)")
    print("control  margin  slack    gate at 5 %   gate at 25 %   gate at 50 %")
    for control in (0.0, 0.001, 0.01, 0.05):
        for margin, slack in ((1.5, 0.0), (1.5, 0.002), (1.5, 0.01), (2.0, 0.002)):
            cells = []
            for gate, share in zip(gates(margin, slack, 3), (5, 25, 50), strict=True):
                found = repeated(
                    20,
                    lambda rng, c=control, s=share, g=gate: (
                        first_crossing(
                            safety_test(g.ratio, g.slack), BETA, windows(rng, c, c, s, 20, 40_000)
                        )
                        if c or g.slack
                        else None
                    ),
                )
                cells.append(_count(sorted(math.inf if v is None else v for v in found)[10]))
            row = "   ".join(f"{cell:>12}" for cell in cells)
            print(f"{control:7.1%} {margin:7g} {100 * slack:4g} pp {row}")


def late_onset() -> None:
    print(
        "\nControl 1 %, treatment turns bad after 20,000 healthy requests: requests until rollback"
    )
    print("ratio    without cash    with cash       (median, 90th percentile)   from the start")
    for ratio in (2, 5, 50):
        cells = []
        for cash, healthy in ((0.0, 20_000), (CASH, 20_000), (0.0, 0), (CASH, 0)):

            def once(
                rng: random.Random, r: float = ratio, c: float = cash, before: int = healthy
            ) -> int | None:
                test = harm_test(1.25, 0.002, cash=c)
                wealth = test.start()
                for stratum in windows(rng, 0.01, 0.01, 25, 100, before):
                    wealth = test.update(wealth, stratum)
                bad = 0
                for stratum in windows(rng, 0.01, 0.01 * r, 25, 20, 30_000):
                    wealth = test.update(wealth, stratum)
                    bad += 20
                    if wealth.log_e() >= ONE_OF_TWO_GUARDRAILS:
                        return bad
                return None

            cells.append(summary(repeated(15, once)))
        print(f"{ratio:4g}x  {cells[0]} {cells[1]}                       {cells[2]} {cells[3]}")


def histogram(rng: random.Random, requests: int, factor: float) -> VersionCounts:
    """Log-normal latencies, median 20 ms, sigma 0.5."""
    counts: dict[int, int] = {}
    for _ in range(requests):
        latency_ms = 20 * factor * math.exp(rng.gauss(0, 0.5))
        bucket = math.ceil(math.log2(latency_ms) * 16) - 1
        counts[bucket] = counts.get(bucket, 0) + 1
    return VersionCounts(requests=requests, latency_ms=Histogram(counts=counts))


def latency() -> None:
    print("\nLatency at 25 % of traffic, log-normal, median 20 ms: treatment requests (20 runs)")
    print("slower     until rollback          until every quantile is proven at the last gate")
    guardrail = LatencyShift.of(LatencyGuardrail(), 3)
    for factor in (1.0, 1.3, 1.5, 2.0, 3.0):
        harmful: list[int | None] = []
        proven: list[int | None] = []
        for seed in range(20):
            rng = random.Random(seed)
            evidence = guardrail.start()
            harm = safe = None
            for window in range(1, 101):
                evidence = guardrail.update(
                    evidence, histogram(rng, 60, 1), histogram(rng, 20, factor)
                )
                if guardrail.log_e_harm(evidence) >= ONE_OF_TWO_GUARDRAILS:
                    harm = harm or 20 * window
                    break
                if guardrail.log_e_safe(evidence, 2) >= BETA:
                    safe = safe or 20 * window
                    if factor == 1.0:
                        break
            harmful.append(harm)
            proven.append(safe)
        print(f"{factor:5.2g}x {summary(harmful)}        {summary(proven)}")


def first_gate() -> None:
    guardrail = LatencyShift.of(LatencyGuardrail(), 3)
    found: list[int | None] = []
    for seed in range(20):
        rng = random.Random(seed)
        evidence, requests = guardrail.start(), 0
        while guardrail.log_e_safe(evidence, 0) < BETA and requests < 1000:
            evidence = guardrail.update(evidence, histogram(rng, 190, 1), histogram(rng, 10, 1))
            requests += 10
        found.append(requests)
    print(f"An equal version passes the first gate at 5 % of traffic after {summary(found)}")


def rollouts() -> None:
    print("\nWhole rollouts, 150 requests/s, windows of 2 s, steps 5, 25, 50, 100 (10 runs)")
    print(
        "slack   control treatment  promoted  rolled back  seconds (median, most)  treatment req."
    )
    for slack, treatment in ((0.002, 0.0), (0.005, 0.0), (0.01, 0.0), (0.01, 0.08), (0.002, 0.08)):
        ends = [rollout(seed, slack, treatment) for seed in range(10)]
        seconds = [end[1] for end in ends]
        requests = [end[2] for end in ends]
        promoted = sum(end[0] is Action.PROMOTE for end in ends)
        back = sum(end[0] is Action.ROLL_BACK for end in ends)
        print(
            f"{100 * slack:3g} pp {0:9.1%} {treatment:8.1%} {promoted:9d} {back:12d}"
            f" {statistics.median(seconds):12.0f} {max(seconds):10.0f}"
            f" {statistics.median(requests):14,.0f}"
        )


def rollout(seed: int, slack: float, treatment: float) -> tuple[Action, float, int]:
    policy = RolloutPolicy(
        guardrails=(FailuresGuardrail(slack=slack), LatencyGuardrail()), minimum_requests=50
    )
    rng, now = random.Random(seed), NOON
    state, decision = decide(policy, begin(policy, "v1", "v2", now), None, now)
    requests = 0
    while not decision.final and decision.action is not Action.ASK:
        if state.split_applied_at is None:
            state = split_applied(state, now)
        split = percentiles(policy, state)
        count = failures(rng, 300, split["v2"] / 100)
        now += timedelta(seconds=2)
        ours, theirs = histogram(rng, count, 1), histogram(rng, 300 - count, 1)
        ours = ours.model_copy(update={"failures": failures(rng, count, treatment)})
        requests += count
        window = Window(
            id=next_window_id(state),
            start=next_window_start(state) or now,
            end=now,
            split=split,
            versions={"v1": theirs, "v2": ours},
        )
        state, decision = decide(policy, state, window, now)
    return decision.action, (now - NOON).total_seconds(), requests


def main() -> None:
    started = time.monotonic()
    for table in (false_alarms, detection, promotion, late_onset, latency, first_gate, rollouts):
        table()
    print(f"\n{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
