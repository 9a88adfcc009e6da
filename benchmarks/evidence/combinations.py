"""Everything at once: gates, two margins, the reserve, several guardrails, dispersion."""

from __future__ import annotations

import numpy as np

from benchmarks.evidence.table import Section, number, percent
from weir.backtest.rehearsal import Ending, Piece, rehearse_piece
from weir.backtest.simulation import Latencies, Traffic, Treatment
from weir.durations import duration
from weir.rollout import Action
from weir.spec.rollout import RolloutPolicy

TRAFFIC = Traffic(6_000, 0.01, Latencies.log_normal(50, 0.5))
ROLLOUTS = 100
MOST_WINDOWS = 1_500
FAILURES = {"metric": "failures", "slack": 0.0}
LATENCY = {"metric": "latency"}
SLOW = {"metric": "slow", "threshold_ms": 150}
CEILING = {"metric": "ceiling", "at_most": 0.05}
POLICIES: dict[str, dict[str, object]] = {
    "failures": {"guardrails": [FAILURES]},
    "failures, no ramp (50, 100)": {"guardrails": [FAILURES], "steps": [50, 100]},
    "failures, latency": {"guardrails": [FAILURES, LATENCY]},
    "failures, latency, slow, ceiling": {"guardrails": [FAILURES, LATENCY, SLOW, CEILING]},
    "failures, one of five treatments": {"guardrails": [FAILURES], "alpha": 0.01},
    "failures, a/a-estimated": {"guardrails": [FAILURES], "dispersion": "a/a-estimated"},
    "failures, robust": {"guardrails": [FAILURES], "dispersion": "robust"},
}
VERSIONS = {"equal": 1.0, "on the margin": 1.25, "on the promotion margin": 1.5, "5x": 5.0}


def section() -> Section:
    rows, alarms, promotions = [], [], []
    for name, settings in POLICIES.items():
        policy = RolloutPolicy.model_validate(settings)
        ends = {version: _ends(policy, times) for version, times in VERSIONS.items()}
        equal, margin, promotion, gross = ends.values()
        alarms.append(_share(margin, Action.ROLL_BACK))
        promotions.append(_share(promotion, Action.PROMOTE))
        rows.append(
            [
                name,
                percent(_share(equal, Action.ROLL_BACK)),
                duration(float(np.median(_promoted_seconds(equal)))),
                percent(alarms[-1]),
                percent(promotions[-1]),
                number(float(np.median(_rolled_back_requests(gross)))),
            ]
        )
    return Section(
        title="Everything at once",
        words=(
            f"Whole rollouts through the state machine at 6,000 requests a minute, control 1 %,"
            f" {ROLLOUTS} of each: steps 5, 25, 50, 100, two margins (1.25 and 1.5, no slack), the"
            " reserve, windows of 5 s. Of an equal version: rolled back, and the median time until"
            " its promotion; on the margins: the decisions that alpha and beta bound; at 5x: median"
            " treatment requests until rollback."
        ),
        heads=[
            "policy",
            "equal: back",
            "equal: promoted after",
            "at 1.25x: back",
            "at 1.5x: promoted",
            "5x: requests",
        ],
        rows=rows,
        afterwards=(
            f"With {ROLLOUTS} rollouts a true 5 % shows as up to 10 %. Whatever is not decided"
            " within an hour at a step asks a person and is neither."
        ),
    )


def _ends(policy: RolloutPolicy, fails_times: float) -> list[Ending]:
    piece = Piece(
        policy=policy,
        traffic=TRAFFIC,
        treatment=Treatment(fails_times=fails_times),
        with_latencies=len(policy.guardrails) > 1,
        seed=1,
        scenario=int(fails_times * 100),
        first=0,
        rollouts=ROLLOUTS,
        windows=10**9,
        most_windows=MOST_WINDOWS,
    )
    return list(rehearse_piece(piece))


def _promoted_seconds(ends: list[Ending]) -> list[float]:
    return [end.seconds for end in ends if end.action is Action.PROMOTE]


def _rolled_back_requests(ends: list[Ending]) -> list[int]:
    return [end.requests for end in ends if end.action is Action.ROLL_BACK]


def _share(ends: list[Ending], action: Action) -> float:
    return sum(end.action is action for end in ends) / len(ends)
