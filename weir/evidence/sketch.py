"""What is remembered of past latencies: few buckets, few bytes."""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import accumulate, pairwise
from typing import NamedTuple

from weir.window import HISTOGRAM_SCALE, Histogram

MOST_REQUESTS = 20_000
"""Beyond this many all counts are halved: the memory follows the control within a day."""

MOST_BUCKETS = 48
LOWEST = 0.25
"""When there are too many buckets, those below this quantile become one, and then all wider."""


class Sketch(NamedTuple):
    """An exponential histogram whose buckets from ``first`` on have ``counts``, without gaps.

    ``total`` counts the observations, with ``zero`` of 0 ms.
    """

    scale: int = HISTOGRAM_SCALE
    total: int = 0
    zero: int = 0
    first: int = 0
    counts: tuple[int, ...] = ()

    def plus(self, other: Histogram) -> Sketch:
        """Both together, at the coarser scale, with few requests and few buckets."""
        scale = min(self.scale, other.scale, HISTOGRAM_SCALE)
        held, shift = self.at_scale(scale), other.scale - scale
        first, counts = held.first, list(held.counts)
        if other.counts:
            least, most = min(other.counts) >> shift, max(other.counts) >> shift
            if not counts:
                first = least
            if least < first:
                counts[:0] = [0] * (first - least)
                first = least
            counts.extend([0] * (most + 1 - first - len(counts)))
            for index, count in other.counts.items():
                counts[(index >> shift) - first] += count
        total, zero = held.total + other.total(), held.zero + other.zero
        while total > MOST_REQUESTS:
            # Sums are halved, not counts, which would lose a tail of one request in each bucket.
            halves = [below // 2 for below in accumulate(counts, initial=zero)]
            zero, total = halves[0], halves[-1]
            counts = [above - below for below, above in pairwise(halves)]
            first, counts = _trimmed(first, counts)
        if len(counts) > MOST_BUCKETS:
            first, counts = _raised(first, counts, LOWEST * total - zero)
        whole = Sketch(scale, total, zero, first, tuple(counts))
        while len(whole.counts) > MOST_BUCKETS:
            whole = whole.at_scale(whole.scale - 1)
        return whole

    def at_scale(self, scale: int) -> Sketch:
        """The same at a ``scale`` that is not finer."""
        if scale == self.scale:
            return self
        shift = self.scale - scale
        counts: dict[int, int] = {}
        for index, count in enumerate(self.counts, self.first):
            counts[index >> shift] = counts.get(index >> shift, 0) + count
        return Sketch(scale, self.total, self.zero, self.first >> shift, tuple(counts.values()))

    def bounds_ms(self, quantiles: tuple[float, ...]) -> tuple[float, ...]:
        """Upper bounds of the buckets that hold the ``quantiles`` (0 to 1), in milliseconds.

        0 where the quantile is an observation of 0 ms, or where there is none at all.
        """
        sums = list(accumulate(self.counts, initial=self.zero))
        found = []
        for quantile in quantiles:
            place = bisect_left(sums, max(math.ceil(quantile * self.total), 1))
            known = 0 < place < len(sums)
            found.append(2.0 ** min((self.first + place) / 2.0**self.scale, 1023) if known else 0.0)
        return tuple(found)


def _trimmed(first: int, counts: list[int]) -> tuple[int, list[int]]:
    """Without empty buckets at either end."""
    used = [place for place, count in enumerate(counts) if count]
    return (first + used[0], counts[used[0] : used[-1] + 1]) if used else (0, [])


def _raised(first: int, counts: list[int], least: float) -> tuple[int, list[int]]:
    """With everything that is among the lowest ``least`` requests in the first bucket."""
    place = bisect_left(list(accumulate(counts)), max(least, 1))
    return first + place, [sum(counts[: place + 1]), *counts[place + 1 :]]
