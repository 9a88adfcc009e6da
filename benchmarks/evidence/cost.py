"""What a window costs, in time and in bytes of state."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta

import numpy as np
from pydantic import TypeAdapter

from benchmarks.evidence.table import Section, number
from weir import rollout
from weir.backtest.simulation import CONTROL, TREATMENT, Latencies, Simulation, Traffic, Treatment
from weir.evidence.guardrail import Evidence
from weir.rollout import RolloutState
from weir.spec.rollout import RolloutPolicy
from weir.window import Window

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
WINDOWS = 400
ROUNDS = 9
SETS = {
    "failures": [{"metric": "failures"}],
    "failures, latency at three quantiles": [{"metric": "failures"}, {"metric": "latency"}],
    "failures, slow, ceiling": [
        {"metric": "failures"},
        {"metric": "slow", "threshold_ms": 100},
        {"metric": "ceiling", "at_most": 0.05},
    ],
}
MICROSECONDS = 50.0
BYTES = 2_048
STORED = TypeAdapter(Evidence)


def section() -> Section:
    log_ns = _one_logarithm_ns()
    table, worst, largest = [], 0.0, 0
    for name, guardrails in SETS.items():
        policy = RolloutPolicy.model_validate(
            {
                "guardrails": guardrails,
                "minimum_requests": 10**9,
                "maximum_wait_seconds": 10**7,
                "deadline_seconds": 10**7,
            }
        )
        windows = _windows()
        state = _begun(policy, windows)
        microseconds = min(_microseconds(policy, state, windows) for _ in range(ROUNDS))
        each = microseconds / len(guardrails)
        sizes = [len(STORED.dump_json(held)) for held in _after(policy, state, windows).values()]
        worst, largest = max(worst, each), max(largest, *sizes)
        table.append(
            [
                name,
                number(microseconds),
                f"{each:.0f}",
                number(1_000 * each / log_ns),
                ", ".join(f"{size:,}" for size in sizes),
            ]
        )
    return Section(
        title="Cost",
        words=(
            f"`decide` whole (evidence, intervals, words, forecast, decision) on {WINDOWS} windows"
            f" of 500 requests, the fastest of {ROUNDS} rounds, in process time. One call of"
            f" math.log took {log_ns:.0f} ns in the same run."
        ),
        heads=[
            "guardrails",
            "us a window",
            "us a guardrail",
            "in logarithms",
            "bytes of state each",
        ],
        rows=table,
        wanted=(
            f"at most {MICROSECONDS:g} us and {BYTES:,} bytes for a window, guardrail and"
            f" treatment: {worst:.0f} us and {largest:,} bytes at worst"
        ),
        goal=worst <= MICROSECONDS and largest <= BYTES,
        afterwards=(
            "Of these, some 35 us are the state machine's, whatever the guardrails; a comparison"
            " takes some 15, of which latency has three, and the words most of the rest."
        ),
    )


def _windows() -> list[Window]:
    traffic = Traffic(6_000, 0.01, Latencies.log_normal(50, 0.5))
    simulation = Simulation(traffic, Treatment(), with_latencies=True)
    rng = np.random.default_rng(1)
    length = timedelta(seconds=5)
    return [
        simulation.window(
            rng,
            number + 1,
            NOON + number * length,
            NOON + (number + 1) * length,
            {CONTROL: 95.0, TREATMENT: 5.0},
        )
        for number in range(WINDOWS)
    ]


def _begun(policy: RolloutPolicy, windows: list[Window]) -> RolloutState:
    begun = rollout.begin(policy, CONTROL, TREATMENT, NOON)
    state, _ = rollout.decide(policy, begun, None, NOON)
    return rollout.split_applied(state, windows[0].start)


def _microseconds(policy: RolloutPolicy, state: RolloutState, windows: list[Window]) -> float:
    fresh = [window.model_copy(deep=True) for window in windows]
    started = time.process_time()
    for window in fresh:
        state, _ = rollout.decide(policy, state, window, window.end)
    return (time.process_time() - started) / len(windows) * 1e6


def _after(
    policy: RolloutPolicy, state: RolloutState, windows: list[Window]
) -> dict[str, Evidence]:
    for window in windows:
        state, _ = rollout.decide(policy, state, window, window.end)
    return dict(state.evidence)


def _one_logarithm_ns() -> float:
    values, log = [1.0 + number for number in range(100)], math.log
    best = math.inf
    for _ in range(200):
        started = time.process_time()
        for _ in range(20):
            [log(value) for value in values]
        best = min(best, time.process_time() - started)
    return best / 2_000 * 1e9
