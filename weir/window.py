"""What telemetry saw of every version between two instants."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from functools import cached_property
from itertools import accumulate
from typing import Annotated, Self, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from weir.happening import Happening
from weir.spec.rollout import FailureClass

HISTOGRAM_SCALE = 4
"""OpenTelemetry exponential scale: base 2^(1/16), buckets 4.4 % wide."""

BOUND_TOLERANCE = 1e-9
SPLIT_TOLERANCE = 0.05

LARGEST_ID = 2**53
"""Every reader of JSON has whole numbers up to here exactly."""

MOST_REQUESTS = 10**12
"""In one window: far beyond any endpoint, and sums of a thousand are exact in floating point."""

MOST_VALUES = 32
"""Of one label that are told apart: the most frequent of all versions together."""

OTHER = "other"
"""Whatever else a label was."""

MOST_POOLED = 10**9
"""Windows that may wait for each other: pooled sums are greater than one window's."""

FARTHEST_BUCKET_LOG2 = 64
"""No latency is farther than this many doublings from a millisecond, up or down."""

ROUNDING_TOLERANCE = 1e-6

Count = Annotated[int, Field(ge=0)]
LARGEST_SUM = 1e100
Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e140, le=1e140)]
"""Beyond LARGEST_SUM, that of one window, so that windows may be added, and squared without end."""

Percentile = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


Key = TypeVar("Key")
Held = TypeVar("Held")


def added(some: Mapping[Key, int], others: Mapping[Key, int]) -> dict[Key, int]:
    """Both counts by key, summed."""
    return _together(some, others, int.__add__)


def _together(
    some: Mapping[Key, Held], others: Mapping[Key, Held], plus: Callable[[Held, Held], Held]
) -> dict[Key, Held]:
    held = dict(some)
    for key, value in others.items():
        held[key] = plus(held[key], value) if key in held else value
    return held


class Histogram(BaseModel):
    """Counts in OpenTelemetry exponential buckets: bucket i covers (base^i, base^(i+1)] ms.

    ``base`` is 2^(2^-scale); ``zero`` counts observations of 0 ms.
    """

    model_config = ConfigDict(frozen=True)

    scale: int = Field(HISTOGRAM_SCALE, ge=-9, le=20)
    zero: Count = 0
    counts: Mapping[int, Count] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _buckets_are_latencies(self) -> Self:
        farthest = max(FARTHEST_BUCKET_LOG2 * 2.0**self.scale, 1)
        for index in self.counts:
            if abs(index) > farthest:
                raise ValueError(f"bucket {index} of scale {self.scale} is no latency")
        return self

    @property
    def base(self) -> float:
        """Upper over lower bound of every bucket."""
        return float(2.0 ** (2.0**-self.scale))

    def total(self) -> int:
        return self.zero + sum(self.counts.values())

    @cached_property
    def _tail(self) -> tuple[list[int], list[int]]:
        """Bucket indices in order, and how many observations are beyond each place."""
        ordered = sorted(self.counts.items())
        beyond = list(accumulate([count for _, count in reversed(ordered)], initial=0))
        return [index for index, _ in ordered], beyond[::-1]

    def above(self, bucket: int) -> int:
        """Observations in buckets greater than ``bucket``."""
        indices, beyond = self._tail
        return beyond[bisect_right(indices, bucket)]

    def slower_than(self, threshold_ms: float, *, sure: bool) -> int:
        """Observations greater than ``threshold_ms`` (0 or more), within a bucket's width.

        A threshold inside a bucket leaves that bucket in doubt: ``sure`` leaves it out (at most
        the true number), otherwise it counts (at least the true number).
        """
        if threshold_ms <= 0:
            return self.total() - self.zero
        bound = math.log2(threshold_ms) * 2**self.scale
        nearest = round(bound)
        # A bound computed from a power of the base is that bound, whatever the last bit says.
        if abs(bound - nearest) > BOUND_TOLERANCE:
            nearest = math.ceil(bound) if sure else math.floor(bound)
        return self.above(nearest - 1)

    def at_scale(self, scale: int) -> Histogram:
        """The same observations in the wider buckets of a ``scale`` that is not finer: exact."""
        if scale == self.scale:
            return self
        if scale > self.scale:
            raise ValueError(f"scale {self.scale} has no buckets of scale {scale}")
        counts: dict[int, int] = {}
        for index, count in self.counts.items():
            wider = index >> (self.scale - scale)
            counts[wider] = counts.get(wider, 0) + count
        return Histogram(scale=scale, zero=self.zero, counts=counts)

    def plus(self, other: Histogram) -> Histogram:
        """Both histograms together, at the coarser scale; an empty one has any."""
        if not other.total():
            return self
        if not self.total():
            return other
        scale = min(self.scale, other.scale)
        counts = added(self.at_scale(scale).counts, other.at_scale(scale).counts)
        return Histogram(scale=scale, zero=self.zero + other.zero, counts=counts)


class Metric(BaseModel):
    """What one version reported of one number: how often, its sum and its sum of squares."""

    model_config = ConfigDict(frozen=True)

    n: Count = 0
    sum: Finite = 0.0
    sum_sq: Annotated[Finite, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _sums_are_of_numbers(self) -> Self:
        if self.n > MOST_REQUESTS * MOST_POOLED:
            raise ValueError(f"more than {MOST_REQUESTS} values")
        most = self.n * self.sum_sq
        if self.sum**2 > most + ROUNDING_TOLERANCE * max(most, self.sum**2):
            raise ValueError(
                f"no {self.n} numbers have the sum {self.sum} and squares {self.sum_sq}"
            )
        return self

    def plus(self, other: Metric) -> Metric:
        n, total, squares = self.n + other.n, self.sum + other.sum, self.sum_sq + other.sum_sq
        # Rounded sums of many windows may differ from what numbers can have.
        return Metric(n=n, sum=total, sum_sq=max(squares, total**2 / n) if n else squares)


class VersionCounts(BaseModel):
    """One version in one window. ``failures`` are those that the policy counts.

    ``metrics`` are numbers that the version reported, by name; ``labels`` how often it gave each
    value of something with few values, by name (its predictions, say).

    Where requests have a class (``ok`` has none), ``failures`` are among the classified ones.
    ``in_flight`` requests had begun and not ended when the window was read; they are not among
    ``requests``. 0 where the platform cannot tell.
    """

    model_config = ConfigDict(frozen=True)

    requests: Count = 0
    failures: Count = 0
    failures_by_class: Mapping[FailureClass, Count] = Field(default_factory=dict)
    latency_ms: Histogram = Histogram()
    metrics: Mapping[str, Metric] = Field(default_factory=dict)
    labels: Mapping[str, Mapping[str, Count]] = Field(default_factory=dict)
    in_flight: Count = 0

    @model_validator(mode="after")
    def _failures_are_requests(self) -> Self:
        if self.failures > self.requests:
            raise ValueError(f"{self.failures} failures of {self.requests} requests")
        if self.latency_ms.total() > self.requests:
            raise ValueError("more latencies than requests")
        classified = sum(self.failures_by_class.values())
        if classified > self.requests:
            raise ValueError(f"classes of {classified} failures of {self.requests} requests")
        if self.failures_by_class and self.failures > classified:
            raise ValueError(f"{self.failures} failures, but only {classified} have a class")
        return self

    @property
    def is_classified(self) -> bool:
        """Whether the class of every failure is known."""
        return bool(self.failures_by_class) or not self.failures

    def plus(self, other: VersionCounts) -> VersionCounts:
        """Both together; without classes where those of one are not known."""
        known = self.is_classified and other.is_classified
        classes = added(self.failures_by_class, other.failures_by_class) if known else {}
        return VersionCounts(
            requests=self.requests + other.requests,
            failures=self.failures + other.failures,
            failures_by_class=classes,
            latency_ms=self.latency_ms.plus(other.latency_ms),
            metrics=_together(self.metrics, other.metrics, Metric.plus),
            labels=_together(self.labels, other.labels, added),
        )


NOTHING = VersionCounts()


class Window(BaseModel):
    """Requests completed in [start, end) and begun after the last split change.

    ``id`` rises by one per endpoint and rollout; windows never overlap, so no request is counted
    twice. ``split`` holds percentiles. ``decided_at`` is when it was decided on, None where that is
    not known; ``happened`` is what no window tells and came after the window before, in order.
    Serialises as one line of a window record.
    """

    model_config = ConfigDict(frozen=True)

    id: Annotated[int, Field(ge=-LARGEST_ID, le=LARGEST_ID)]
    start: AwareDatetime
    end: AwareDatetime
    split: Mapping[str, Percentile]
    versions: Mapping[str, VersionCounts]
    decided_at: AwareDatetime | None = None
    happened: tuple[Happening, ...] = ()

    @model_validator(mode="after")
    def _counts_are_of_one_window(self) -> Self:
        for name, counts in self.versions.items():
            labels = max((sum(each.values()) for each in counts.labels.values()), default=0)
            most = max(labels, counts.requests, counts.in_flight, counts.latency_ms.total())
            if most > MOST_REQUESTS:
                raise ValueError(f"{most} requests of {name} are more than {MOST_REQUESTS}")
            for called, metric in counts.metrics.items():
                if metric.n > MOST_REQUESTS:
                    raise ValueError(f"{metric.n} values of {called} are more than {MOST_REQUESTS}")
                if max(abs(metric.sum), metric.sum_sq) > LARGEST_SUM:
                    raise ValueError(f"the sums of {called} are beyond {LARGEST_SUM:g}")
        return self

    @model_validator(mode="after")
    def _split_is_of_one_traffic(self) -> Self:
        whole = sum(self.split.values())
        if whole > 100 + SPLIT_TOLERANCE:
            raise ValueError(f"the split sums to {whole:g} %")
        return self

    @model_validator(mode="after")
    def _takes_time(self) -> Self:
        if self.end <= self.start:
            raise ValueError(f"the window ends at {self.end}, not after its start {self.start}")
        return self

    def of(self, version: str) -> VersionCounts:
        return self.versions.get(version, NOTHING)
