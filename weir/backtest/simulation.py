"""Traffic as a version would see it, drawn by lot: the windows of a rollout that never happens.

Pure: the random generator is an argument, and the same generator gives the same windows. Requests
arrive independently (Poisson), the gateway draws the version of each, and each one fails and takes
its time independently of every other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np

from weir.window import HISTOGRAM_SCALE, Histogram, VersionCounts, Window

FARTHEST_SIGMAS = 5.0
"""Beyond it a log-normal latency is one in 3.5 million; it counts with the outermost bucket."""

LARGEST_SIGMA = 3.0
LEAST_LATENCY_MS = 0.001
GREATEST_LATENCY_MS = 86_400_000.0
MOST_REQUESTS_PER_MINUTE = 10_000_000.0
"""Within these every window that is simulated is one that ``Window`` takes."""

CONTROL, TREATMENT = "control", "treatment"


def _normal_cdf(sigmas: float) -> float:
    return (1 + math.erf(sigmas / math.sqrt(2))) / 2


@dataclass(frozen=True)
class Latencies:
    """How long requests take: ``shares[i]`` of them are in bucket ``first + i`` of the scale.

    Buckets are those of ``Histogram``. ``shares`` and ``zero``, the share that takes no time at
    all, sum to 1.
    """

    shares: tuple[float, ...]
    first: int
    scale: int = HISTOGRAM_SCALE
    zero: float = 0.0

    @classmethod
    def log_normal(cls, median_ms: float, sigma: float) -> Latencies:
        """Half of the requests faster than ``median_ms``, the logarithms spread by ``sigma``."""
        middle = math.log2(median_ms) * 2**HISTOGRAM_SCALE
        spread = sigma / math.log(2) * 2**HISTOGRAM_SCALE
        first = math.ceil(middle - FARTHEST_SIGMAS * spread) - 1
        last = math.ceil(middle + FARTHEST_SIGMAS * spread) - 1
        inner = [_normal_cdf((bound - middle) / spread) for bound in range(first + 1, last + 1)]
        below = [0.0, *inner, 1.0]
        return cls(tuple(high - low for low, high in pairwise(below)), first)

    @classmethod
    def of(cls, seen: Histogram) -> Latencies:
        """As they were in ``seen``, which holds at least one request."""
        seen = seen.at_scale(min(seen.scale, HISTOGRAM_SCALE))
        total = seen.total()
        indices = [index for index, count in seen.counts.items() if count]
        if not indices:
            return cls((), 0, seen.scale, 1.0)
        first, last = min(indices), max(indices)
        shares = tuple(seen.counts.get(index, 0) / total for index in range(first, last + 1))
        return cls(shares, first, seen.scale, seen.zero / total)

    def slower(self, times: float) -> Latencies:
        """Every request takes ``times`` as long (1 or more).

        A bucket that ends up between two is divided among them in proportion.
        """
        moved = math.log2(times) * 2**self.scale
        whole = math.floor(moved)
        later = moved - whole
        stay, go = (*self.shares, 0.0), (0.0, *self.shares)
        shares = tuple((1 - later) * a + later * b for a, b in zip(stay, go, strict=True))
        return Latencies(shares, self.first + whole, self.scale, self.zero)

    def quantile_ms(self, quantile: float) -> float:
        """The time that this share of the requests (more than 0, at most 1) does not exceed."""
        seen = self.zero
        if seen >= quantile:
            return 0.0
        for index, share in enumerate(self.shares, self.first):
            if share and seen + share >= quantile:
                return float(2.0 ** ((index + (quantile - seen) / share) / 2.0**self.scale))
            seen += share
        return float(2.0 ** ((self.first + len(self.shares)) / 2.0**self.scale))


@dataclass(frozen=True)
class Traffic:
    """An endpoint's own traffic, and how the control serves it. ``failure_rate`` is a share."""

    requests_per_minute: float
    failure_rate: float
    latencies: Latencies


USUAL_SIGMA = 0.5
USUAL_TRAFFIC = Traffic(
    requests_per_minute=6_000, failure_rate=0.01, latencies=Latencies.log_normal(50, USUAL_SIGMA)
)
"""What is assumed of an endpoint that nobody has seen at work."""


@dataclass(frozen=True)
class Treatment:
    """A version that fails ``fails_times`` as often as the control, and is ``slower_times``
    slower. No version fails more than always."""

    fails_times: float = 1.0
    slower_times: float = 1.0

    def failure_rate(self, traffic: Traffic) -> float:
        return min(1.0, self.fails_times * traffic.failure_rate)


class Simulation:
    """Windows of ``traffic`` shared by a control and ``treatment``.

    Without ``with_latencies`` the histograms stay empty, which is faster.
    """

    def __init__(self, traffic: Traffic, treatment: Treatment, *, with_latencies: bool) -> None:
        self._per_second = traffic.requests_per_minute / 60
        self._arms = {
            CONTROL: _Arm(traffic.failure_rate, traffic.latencies, with_latencies),
            TREATMENT: _Arm(
                treatment.failure_rate(traffic),
                traffic.latencies.slower(treatment.slower_times),
                with_latencies,
            ),
        }

    def window(
        self,
        generator: np.random.Generator,
        number: int,
        start: datetime,
        end: datetime,
        split: Mapping[str, float],
    ) -> Window:
        """What telemetry would say about [``start``, ``end``) under ``split``, in percentiles."""
        seconds = (end - start).total_seconds()
        return Window(
            id=number,
            start=start,
            end=end,
            split=split,
            versions={
                name: self.served(generator, name, seconds, share) for name, share in split.items()
            },
        )

    def served(
        self, generator: np.random.Generator, name: str, seconds: float, share: float
    ) -> VersionCounts:
        """What one version serves in ``seconds`` at ``share`` percent."""
        # Requests that arrive by Poisson and are shared out by lot arrive at each version by
        # Poisson, independently of the other.
        expected = self._per_second * seconds * share / 100
        return self._arms[name].serve(generator, int(generator.poisson(expected)))


class _Arm:
    def __init__(self, failure_rate: float, latencies: Latencies, with_latencies: bool) -> None:
        self._failure_rate = failure_rate
        self._latencies = latencies
        self._with_latencies = with_latencies
        shares = np.array([latencies.zero, *latencies.shares])
        self._shares = shares / shares.sum()

    def serve(self, generator: np.random.Generator, requests: int) -> VersionCounts:
        failures = int(generator.binomial(requests, self._failure_rate))
        if not self._with_latencies:
            return VersionCounts(requests=requests, failures=failures)
        zero, *counts = generator.multinomial(requests, self._shares).tolist()
        first = self._latencies.first
        histogram = Histogram(
            scale=self._latencies.scale,
            zero=zero,
            counts={index: count for index, count in enumerate(counts, first) if count},
        )
        return VersionCounts(requests=requests, failures=failures, latency_ms=histogram)
