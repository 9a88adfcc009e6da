"""Failures that are not independent: what each ``dispersion`` holds, and what none of them does."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator

from tests.unit.evidence.chance import Draw, alarms, at_most, guardrail, ramp
from weir.evidence.noise import LEAST_PAIRS, Noise
from weir.spec.guardrails import FailuresGuardrail
from weir.spec.rollout import Dispersion
from weir.window import VersionCounts

ALPHA = 0.05
RUNS = 120
BASE = 0.02
SPEC = FailuresGuardrail(slack=0)
BOUNDARY = {"harm": 1.25, "safety": 1.5}

Traffic = Callable[[Generator], Draw]


def clumped(times: float, size: int) -> Traffic:
    """Failures come ``size`` at a time."""

    def traffic(chance: Generator) -> Draw:
        def draw(requests: int, treatment: bool, base: float) -> VersionCounts:
            share = BASE * base * (times if treatment else 1)
            failures = size * chance.binomial(requests // size, share)
            return VersionCounts(requests=requests, failures=failures)

        return draw

    return traffic


def noisy(times: float) -> Traffic:
    """Each window of each arm has a rate of its own, with a coefficient of variation of 0.5."""

    def traffic(chance: Generator) -> Draw:
        def draw(requests: int, treatment: bool, base: float) -> VersionCounts:
            share = BASE * base * (times if treatment else 1) * chance.gamma(4, 1 / 4)
            return VersionCounts(
                requests=requests, failures=chance.binomial(requests, min(share, 1))
            )

        return draw

    return traffic


@pytest.mark.parametrize("side", BOUNDARY)
@pytest.mark.parametrize("dispersion", [Dispersion.ESTIMATED, Dispersion.ROBUST])
@pytest.mark.parametrize("size", [3, 5])
def test_clumped_failures_hold_the_budget(size: int, dispersion: Dispersion, side: str) -> None:
    of = guardrail(SPEC, dispersion)
    found = alarms(of, side, clumped(BOUNDARY[side], size), RUNS, windows=80)
    assert at_most(ALPHA, found, RUNS)


@pytest.mark.parametrize("side", BOUNDARY)
@pytest.mark.parametrize("dispersion", [Dispersion.ESTIMATED, Dispersion.ROBUST])
def test_noise_of_windows_holds_the_budget(dispersion: Dispersion, side: str) -> None:
    of = guardrail(SPEC, dispersion)

    def split(share: float) -> tuple[int, int]:
        n1, n0 = ramp(share)
        return 10 * n1, 10 * n0

    found = alarms(of, side, noisy(BOUNDARY[side]), RUNS, windows=80, split=split)
    assert at_most(ALPHA, found, RUNS)


def test_without_a_dispersion_clumps_are_taken_for_evidence() -> None:
    assert alarms(guardrail(SPEC), "harm", clumped(1.25, 5), 50, windows=80) > 15


@pytest.mark.parametrize("dispersion", [Dispersion.ESTIMATED, Dispersion.ROBUST])
def test_a_gross_regression_is_still_seen(dispersion: Dispersion) -> None:
    of = guardrail(SPEC, dispersion)
    assert alarms(of, "harm", clumped(5, 3), 20, windows=40, split=lambda share: (50, 150)) >= 18


@pytest.mark.parametrize("size", [1, 4])
def test_the_factor_is_the_size_of_clumps_or_a_little_more(size: int) -> None:
    chance = np.random.default_rng(3)
    noise = Noise()
    for _ in range(1_500):
        noise = noise.plus(400, int(size * chance.binomial(400 // size, 0.03)))
    factor = noise.phi()
    assert factor is not None
    assert 0.9 * size <= factor <= 1.25 * size


def test_the_factor_is_unknown_until_enough_windows_had_failures() -> None:
    noise = Noise()
    for _ in range(100):
        noise = noise.plus(1_000, 0)
    assert noise.phi() is None
    for _ in range(LEAST_PAIRS):
        assert noise.phi() is None
        noise = noise.plus(1_000, 10)
    assert noise.phi() is not None
