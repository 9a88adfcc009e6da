"""Simulated windows are what the described traffic would have left behind."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from weir.backtest.simulation import CONTROL, TREATMENT, Latencies, Simulation, Traffic, Treatment
from weir.window import Histogram, Window

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
EQUAL = Treatment()
TRAFFIC = Traffic(
    requests_per_minute=60_000, failure_rate=0.02, latencies=Latencies.log_normal(50, 0.5)
)


def window(
    treatment: Treatment = EQUAL,
    *,
    seed: int = 1,
    seconds: float = 60,
    traffic: Traffic = TRAFFIC,
    with_latencies: bool = True,
) -> Window:
    simulation = Simulation(traffic, treatment, with_latencies=with_latencies)
    split = {CONTROL: 75.0, TREATMENT: 25.0}
    generator = np.random.default_rng(seed)
    return simulation.window(generator, 7, NOON, NOON + timedelta(seconds=seconds), split)


def near(count: int, expected: float) -> bool:
    """Within five standard deviations of a Poisson count."""
    return abs(count - expected) <= 5 * math.sqrt(expected)


def test_a_window_holds_the_requests_of_its_time_shared_by_the_split() -> None:
    seen = window()
    assert (seen.id, seen.start, seen.end) == (7, NOON, NOON + timedelta(seconds=60))
    assert near(seen.of(CONTROL).requests, 45_000)
    assert near(seen.of(TREATMENT).requests, 15_000)


def test_each_version_fails_at_its_own_rate() -> None:
    seen = window(Treatment(fails_times=3))
    assert near(seen.of(CONTROL).failures, 0.02 * 45_000)
    assert near(seen.of(TREATMENT).failures, 0.06 * 15_000)


def test_no_version_fails_more_than_always() -> None:
    assert Treatment(fails_times=100).failure_rate(TRAFFIC) == 1.0
    treatment = window(Treatment(fails_times=100)).of(TREATMENT)
    assert treatment.failures == treatment.requests


def test_every_request_has_a_latency_around_the_median() -> None:
    seen = window().of(CONTROL)
    assert seen.latency_ms.total() == seen.requests
    assert quantile_ms(seen.latency_ms, 0.5) == pytest.approx(50, rel=0.05)
    assert quantile_ms(seen.latency_ms, 0.9) == pytest.approx(50 * math.exp(0.6408), rel=0.06)


def quantile_ms(held: Histogram, rank: float) -> float:
    """The upper end of the bucket that holds the quantile."""
    bucket = next(at for at in sorted(held.counts) if held.above(at) <= (1 - rank) * held.total())
    return held.base ** (bucket + 1)


@pytest.mark.parametrize("times", [1.0, 1.25, 2.0, 3.0])
def test_a_slower_version_takes_so_many_times_as_long_at_every_quantile(times: float) -> None:
    slower = TRAFFIC.latencies.slower(times)
    assert sum(slower.shares) == pytest.approx(1)
    for quantile in (0.5, 0.9, 0.99):
        wanted = times * TRAFFIC.latencies.quantile_ms(quantile)
        assert slower.quantile_ms(quantile) == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize(("median", "sigma"), [(0.001, 3), (86_400_000, 3), (50, 0.001)])
def test_the_most_extreme_latencies_are_still_windows(median: float, sigma: float) -> None:
    traffic = Traffic(6_000, 0.01, Latencies.log_normal(median, sigma))
    seen = window(Treatment(slower_times=50), traffic=traffic).of(TREATMENT)
    assert seen.latency_ms.total() == seen.requests


def test_recorded_latencies_are_drawn_again_in_their_own_buckets() -> None:
    recorded = Histogram(scale=3, zero=10, counts={4: 30, 6: 60})
    traffic = Traffic(60_000, 0.01, Latencies.of(recorded))
    drawn = window(traffic=traffic).of(CONTROL).latency_ms
    assert drawn.scale == 3
    assert set(drawn.counts) == {4, 6}
    assert near(drawn.zero, 4_500)
    assert near(drawn.counts[6], 27_000)


def test_without_a_guardrail_that_reads_them_no_latencies_are_drawn() -> None:
    seen = window(with_latencies=False)
    assert seen.of(TREATMENT).requests > 0
    assert seen.of(TREATMENT).latency_ms.total() == 0


def test_the_same_generator_gives_the_same_window_and_another_one_does_not() -> None:
    assert window(seed=3) == window(seed=3)
    assert window(seed=3) != window(seed=4)


def test_a_window_without_traffic_has_no_requests() -> None:
    seen = window(traffic=Traffic(0.001, 0.01, TRAFFIC.latencies), seconds=0.1)
    assert (seen.of(CONTROL).requests, seen.of(TREATMENT).requests) == (0, 0)
