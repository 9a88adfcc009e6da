"""Every guardrail at its boundaries: how often is it wrong while base rates and splits move?"""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator

from tests.unit.evidence.chance import (
    BOUND,
    GATE,
    Draw,
    alarms,
    at_most,
    even,
    guardrail,
    latencies,
    metric,
)
from weir.evidence.guardrail import Guardrail
from weir.spec.guardrails import (
    CeilingGuardrail,
    DriftGuardrail,
    FailuresGuardrail,
    LatencyGuardrail,
    MeanGuardrail,
    ScoreGuardrail,
    SlowGuardrail,
)
from weir.window import Histogram, Metric, VersionCounts

ALPHA = 0.05
RUNS = 120

FAILURES = FailuresGuardrail()
SLOW = SlowGuardrail(threshold_ms=300)
CEILING = CeilingGuardrail(at_most=0.05)
LATENCY = LatencyGuardrail(margin=math.sqrt(2), promote_margin=2, slack_ms=0, slack=0)
HIGHER = MeanGuardrail(of="amount", margin=1.05, promote_margin=1.1)
LOWER = MeanGuardrail(of="amount", worse="lower", margin=1.05, promote_margin=1.1)
SCORE = ScoreGuardrail(of="score")
LOW_SCORE = ScoreGuardrail(of="score", worse="higher")
DRIFT = DriftGuardrail()

Traffic = Callable[[Generator], Draw]


def failing(times: float, plus: float = 0.0) -> Traffic:
    def traffic(chance: Generator) -> Draw:
        def draw(requests: int, treatment: bool, base: float) -> VersionCounts:
            share = 0.03 * base * times + plus if treatment else 0.03 * base
            return VersionCounts(requests=requests, failures=chance.binomial(requests, share))

        return draw

    return traffic


def failing_for(share: float) -> Traffic:
    def traffic(chance: Generator) -> Draw:
        return lambda requests, treatment, base: VersionCounts(
            requests=requests, failures=chance.binomial(requests, share)
        )

    return traffic


def slow(times: float, plus: float) -> Traffic:
    def traffic(chance: Generator) -> Draw:
        def draw(requests: int, treatment: bool, base: float) -> VersionCounts:
            share = 0.04 * base * times + plus if treatment else 0.04 * base
            late = chance.binomial(requests, share)
            held = Histogram(counts={90: requests - late, 150: late})
            return VersionCounts(requests=requests, latency_ms=held)

        return draw

    return traffic


def taking(times: float) -> Traffic:
    def traffic(chance: Generator) -> Draw:
        def draw(requests: int, treatment: bool, base: float) -> VersionCounts:
            median_ms = 40 * (times if treatment else 1.0)
            return VersionCounts(
                requests=requests, latency_ms=latencies(chance, requests, median_ms)
            )

        return draw

    return traffic


def reporting(of: Callable[[Generator, int, float], np.ndarray], times: float) -> Traffic:
    """``of`` gives so many numbers whose mean is proportional to the factor it is given."""

    def traffic(chance: Generator) -> Draw:
        def draw(requests: int, treatment: bool, base: float) -> VersionCounts:
            values = of(chance, requests, base * (times if treatment else 1.0))
            return VersionCounts(requests=requests, metrics={"amount": metric(values)})

        return draw

    return traffic


def normal(chance: Generator, count: int, factor: float) -> np.ndarray:
    return factor * 100 + chance.normal(0, 30, count)


def lognormal(chance: Generator, count: int, factor: float) -> np.ndarray:
    return factor * chance.lognormal(0, 1.2, count)


def zero_or_one(chance: Generator, count: int, factor: float) -> np.ndarray:
    return (chance.random(count) < 0.03 * factor).astype(float)


def scoring(higher: float) -> Traffic:
    """Scores 0, a half and 1."""

    def traffic(chance: Generator) -> Draw:
        def draw(requests: int, treatment: bool, base: float) -> VersionCounts:
            mean = 0.3 + 0.2 * base + (higher if treatment else 0.0)
            _, half, full = chance.multinomial(requests, (0.9 - mean, 0.2, mean - 0.1)).tolist()
            scores = Metric(n=requests, sum=half / 2 + full, sum_sq=half / 4 + full)
            return VersionCounts(requests=requests, metrics={"score": scores})

        return draw

    return traffic


def labelled(moved: float) -> Traffic:
    """Eight values; ``moved`` of all labels go from the first two to the others."""

    def traffic(chance: Generator) -> Draw:
        def draw(requests: int, treatment: bool, base: float) -> VersionCounts:
            shares = np.array([0.3, 0.3, *[0.4 / 6] * 6])
            if treatment:
                shares += moved * np.array([-0.5, -0.5, *[1 / 6] * 6])
            seen = chance.multinomial(requests, shares).tolist()
            labels = {f"v{place}": count for place, count in enumerate(seen) if count}
            return VersionCounts(requests=requests, labels={"prediction": labels})

        return draw

    return traffic


BOUNDARIES = {
    "failures": (guardrail(FAILURES), failing(1.25, 0.002), failing(1.5, 0.002)),
    "slow": (guardrail(SLOW), slow(1.25, 0.005), slow(1.5, 0.005)),
    "ceiling": (guardrail(CEILING), failing_for(0.05), failing_for(0.075)),
    "latency": (guardrail(LATENCY), taking(math.sqrt(2)), taking(2)),
    "a normal mean": (guardrail(HIGHER), reporting(normal, 1.05), reporting(normal, 1.1)),
    "a lower normal mean": (
        guardrail(LOWER),
        reporting(normal, 1 / 1.05),
        reporting(normal, 1 / 1.1),
    ),
    "a skewed mean": (guardrail(HIGHER), reporting(lognormal, 1.05), reporting(lognormal, 1.1)),
    "a lower skewed mean": (
        guardrail(LOWER),
        reporting(lognormal, 1 / 1.05),
        reporting(lognormal, 1 / 1.1),
    ),
    "a rare event's mean": (
        guardrail(HIGHER),
        reporting(zero_or_one, 1.05),
        reporting(zero_or_one, 1.1),
    ),
    "a rarer event's mean": (
        guardrail(LOWER),
        reporting(zero_or_one, 1 / 1.05),
        reporting(zero_or_one, 1 / 1.1),
    ),
    "score": (guardrail(SCORE), scoring(-0.02), scoring(-0.05)),
    "a score that is better low": (guardrail(LOW_SCORE), scoring(0.02), scoring(0.05)),
    "drift": (guardrail(DRIFT), labelled(0.1), labelled(0.2)),
}


@pytest.mark.parametrize("kind", BOUNDARIES)
def test_a_version_at_the_rollback_boundary_is_rarely_harmful(kind: str) -> None:
    of, boundary, _ = BOUNDARIES[kind]
    assert at_most(ALPHA, alarms(of, "harm", boundary, RUNS), RUNS)


@pytest.mark.parametrize("kind", BOUNDARIES)
def test_a_version_at_the_promotion_boundary_is_rarely_safe(kind: str) -> None:
    of, _, boundary = BOUNDARIES[kind]
    assert at_most(ALPHA, alarms(of, "safety", boundary, RUNS), RUNS)


REGRESSIONS: dict[str, tuple[Guardrail, Traffic, int]] = {
    "failures": (guardrail(FAILURES), failing(3), 2_000),
    "slow": (guardrail(SLOW), slow(3, 0), 2_000),
    "ceiling": (guardrail(CEILING), failing_for(0.15), 600),
    "latency": (guardrail(LATENCY), taking(3), 600),
    "a higher mean": (guardrail(HIGHER), reporting(normal, 1.2), 1_000),
    "a lower mean": (guardrail(LOWER), reporting(normal, 0.8), 1_000),
    "score": (guardrail(SCORE), scoring(-0.2), 2_000),
    "drift": (guardrail(DRIFT), labelled(0.4), 1_000),
}
"""And within how many requests of the treatment it has to be seen."""

EQUALS: dict[str, tuple[Guardrail, Traffic, int]] = {
    "failures": (guardrail(FAILURES), failing(1), 5_000),
    "slow": (guardrail(SLOW), slow(1, 0), 4_000),
    "ceiling": (guardrail(CEILING), failing_for(0.03), 1_000),
    "latency": (guardrail(LATENCY), taking(1), 6_000),
    "a higher mean": (guardrail(HIGHER), reporting(normal, 1), 2_000),
    "a lower mean": (guardrail(LOWER), reporting(normal, 1), 2_000),
    "score": (guardrail(SCORE), scoring(0), 15_000),
    "drift": (guardrail(DRIFT), labelled(0), 2_000),
}
"""And within how many requests of the treatment it has to be proven, at an even split."""


@pytest.mark.parametrize("kind", REGRESSIONS)
def test_a_clear_regression_is_seen_soon(kind: str) -> None:
    of, regression, requests = REGRESSIONS[kind]
    runs, each = 20, 20
    found = alarms(of, "harm", regression, runs, requests // each, lambda share: (each, 180))
    assert found >= 0.9 * runs


@pytest.mark.parametrize("kind", EQUALS)
def test_an_equal_version_is_proven_safe_at_the_last_gate(kind: str) -> None:
    of, equal, requests = EQUALS[kind]
    runs = 10
    assert alarms(of, "safety", equal, runs, requests // 100, even) >= 0.9 * runs


def test_no_guardrail_says_anything_before_it_has_seen_anything() -> None:
    for of, *_ in BOUNDARIES.values():
        evidence = of.update(of.start(), VersionCounts(), VersionCounts(), GATE)
        assert of.log_e_harm(evidence) == pytest.approx(0)
        assert of.log_e_safe(evidence, GATE) == pytest.approx(0)
        assert of.log_e_harm(evidence) < BOUND
