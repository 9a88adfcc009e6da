"""Windows by chance, and what chance excuses."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from weir.evidence.guardrail import Guardrail
from weir.evidence.guardrails import guardrails_of
from weir.spec import guardrails as spec
from weir.spec.rollout import Dispersion, RolloutPolicy
from weir.window import Histogram, Metric, VersionCounts

BOUND = math.log(20)
"""1/alpha and 1/beta of the default policy."""

GATE = 2
"""The last one of the default policy."""

Draw = Callable[[int, bool, float], VersionCounts]
"""(requests, whether it is the treatment, the window's base rate as a factor) -> counts."""


def at_most(alpha: float, alarms: int, runs: int) -> bool:
    """Whether a rate of ``alpha`` may show itself so: Clopper and Pearson's bound at 99.9 %."""
    fewer = math.fsum(
        math.comb(runs, x) * alpha**x * (1 - alpha) ** (runs - x) for x in range(alarms)
    )
    return 1 - fewer >= 0.001


def guardrail(of: spec.Guardrail, dispersion: Dispersion = Dispersion.NONE) -> Guardrail:
    (only,) = guardrails_of(RolloutPolicy(guardrails=(of,), dispersion=dispersion))
    return only


def ramp(share: float) -> tuple[int, int]:
    """(treatment, control) requests when ``share`` of the rollout is over: 5, 25 and 50 %."""
    return ((10, 190), (50, 150), (100, 100))[int(3 * share)]


def even(share: float) -> tuple[int, int]:
    return 100, 100


def alarms(
    of: Guardrail,
    side: str,
    traffic: Callable[[Generator], Draw],
    runs: int,
    windows: int = 45,
    split: Callable[[float], tuple[int, int]] = ramp,
    swing: float = 0.5,
) -> int:
    """In how many of ``runs`` rollouts ``harm`` or ``safety`` was ever proven.

    Base rates swing by ``swing`` to either side meanwhile.
    """
    chance = np.random.default_rng(17)
    return sum(_proven(of, side, traffic(chance), windows, split, swing) for _ in range(runs))


def _proven(
    of: Guardrail,
    side: str,
    draw: Draw,
    windows: int,
    split: Callable[[float], tuple[int, int]],
    swing: float,
) -> bool:
    evidence = of.start()
    for window in range(windows):
        n1, n0 = split(window / windows)
        base = 1 + swing * math.sin(8 * window / windows)
        evidence = of.update(evidence, draw(n0, False, base), draw(n1, True, base), GATE)
        log_e = of.log_e_harm(evidence) if side == "harm" else of.log_e_safe(evidence, GATE)
        if log_e >= BOUND:
            return True
    return False


def metric(values: np.ndarray) -> Metric:
    return Metric(n=len(values), sum=float(values.sum()), sum_sq=float((values**2).sum()))


def latencies(chance: Generator, requests: int, median_ms: float, sigma: float = 0.5) -> Histogram:
    values = median_ms * np.exp(chance.normal(0, sigma, requests))
    buckets = np.ceil(np.log2(values) * 16).astype(int) - 1
    found, counts = np.unique(buckets, return_counts=True)
    return Histogram(counts=dict(zip(found.tolist(), counts.tolist(), strict=True)))
