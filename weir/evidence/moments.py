"""What means are judged by: sums over windows of both arms' means, with weights.

With h = n1 n0 / (n1 + n0) the weight of a window, D = mean1 - k mean0 - slack the excess over a
bound, and var1, var0 the variances of one number within a window,

    S = sum h D          V = max(var1, var0) sum h^2 (1 / n1 + k^2 / n0)

S / V is normal for many numbers. Every bound (k, slack) is read from the same sums.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from weir.evidence import normal
from weir.window import Metric

LEAST_WINDOWS = 10
LEAST_WHOLE_WINDOWS = 20
LEAST_VALUES = 500
LEAST_VALUES_OF_ARM = 30
SCALES = (0.02, 0.1, 0.5)
"""Effects that are looked for, in standard deviations of one number."""

RARE = 2.0
FLATTEST = 1e-6
TINIEST = 1e-100
"""The least deviation whose square is not 0."""

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Moments:
    """Means are kept relative to ``origin``, the control's first mean, so that digits last.

    ``weight`` is the sum of h, ``ours`` and ``theirs`` those of h mean1 and h mean0; ``over_n1``
    and ``over_n0`` the sums of h^2/n1 and h^2/n0, ``spread1`` and ``freedom1`` the sum of squares
    within windows and its degrees of freedom. ``squares`` are the sums of h^2 times 1, mean1,
    mean0, mean1^2, mean0^2 and mean1 mean0, for windows that are judged as wholes.
    """

    origin: float = 0.0
    windows: int = 0
    n1: int = 0
    n0: int = 0
    weight: float = 0.0
    ours: float = 0.0
    theirs: float = 0.0
    over_n1: float = 0.0
    over_n0: float = 0.0
    spread1: float = 0.0
    freedom1: int = 0
    spread0: float = 0.0
    freedom0: int = 0
    squares: tuple[float, ...] = (0.0,) * 6

    def plus(self, control: Metric, treatment: Metric) -> Moments:
        """After a window in which both reported something."""
        n1, n0 = treatment.n, control.n
        origin = self.origin if self.windows else control.sum / n0
        mean1, mean0 = treatment.sum / n1 - origin, control.sum / n0 - origin
        h = n1 * n0 / (n1 + n0)
        hh = h * h
        parts = (hh, hh * mean1, hh * mean0, hh * mean1**2, hh * mean0**2, hh * mean1 * mean0)
        return Moments(
            origin=origin,
            windows=self.windows + 1,
            n1=self.n1 + n1,
            n0=self.n0 + n0,
            weight=self.weight + h,
            ours=self.ours + h * mean1,
            theirs=self.theirs + h * mean0,
            over_n1=self.over_n1 + hh / n1,
            over_n0=self.over_n0 + hh / n0,
            spread1=self.spread1 + _within(treatment),
            freedom1=self.freedom1 + n1 - 1,
            spread0=self.spread0 + _within(control),
            freedom0=self.freedom0 + n0 - 1,
            squares=tuple(held + part for held, part in zip(self.squares, parts, strict=True)),
        )

    def enough(self, *, robust: bool) -> bool:
        """Whether sums of this many numbers may be taken as normal."""
        return (
            self.windows >= (LEAST_WHOLE_WINDOWS if robust else LEAST_WINDOWS)
            and self.n1 + self.n0 >= LEAST_VALUES
            and min(self.n1, self.n0) >= LEAST_VALUES_OF_ARM
        )

    def log_e(self, k: float, slack: float, *, above: bool, robust: bool) -> float:
        """The e-value against "mean1 is at most k mean0 + slack", or at least, by ``above``."""
        if not self.enough(robust=robust):
            return 0.0
        shift = self.origin * (1 - k) - slack
        total = self.ours - k * self.theirs + shift * self.weight
        variance, deviation = self._variance(k, shift, robust, abs(total) / self.weight)
        # In units of one number's standard deviation the variance of S is its information.
        total, information = total / deviation, variance / deviation**2
        return normal.one_sided(total if above else -total, information, SCALES)

    def interval(self, alpha: float, *, robust: bool) -> Interval | None:
        """The differences mean1 - mean0 that are not ruled out at ``alpha``."""
        if not self.enough(robust=robust):
            return None
        difference = (self.ours - self.theirs) / self.weight
        variance, deviation = self._variance(1.0, -difference, robust)
        wide = normal.half_width(variance / deviation**2, SCALES, alpha) * deviation / self.weight
        return difference - wide, difference + wide

    def means(self) -> tuple[float, float]:
        """(treatment, control), each window by its weight."""
        if not self.weight:
            return 0.0, 0.0
        return self.origin + self.ours / self.weight, self.origin + self.theirs / self.weight

    def _variance(
        self, k: float, shift: float, robust: bool, apart: float = 0.0
    ) -> tuple[float, float]:
        """(variance of S, standard deviation of one number).

        Both arms are taken to vary as the one that varies more. Of skewed numbers, an arm whose
        mean is too low by chance has too low a variance as well, and would prove that it is lower.
        And numbers that have not varied yet may do so rarely: the variance is at least that of
        rare numbers RARE times as large as the means, enough of them to move a mean by ``apart``,
        the distance from the bound.
        """
        var1 = self.spread1 / self.freedom1 if self.freedom1 else 0.0
        var0 = self.spread0 / self.freedom0 if self.freedom0 else 0.0
        ours, theirs = self.means()
        greater = max(var1, var0, RARE * apart * max(abs(ours), abs(theirs)))
        variance = greater * (self.over_n1 + k * k * self.over_n0)
        if robust:
            one, m1, m0, m11, m00, m10 = self.squares
            whole = (
                m11 + k * k * m00 - 2 * k * m10 + 2 * shift * (m1 - k * m0) + shift * shift * one
            )
            variance = max(variance, whole)
        # Numbers that never vary are taken to vary in their seventh digit.
        least = FLATTEST * (abs(self.origin) + sum(map(abs, self.means()))) or 1.0
        least = max(least, TINIEST)
        deviation = max(math.sqrt(greater), least)
        return max(variance, least * least * self.weight), deviation


def _within(metric: Metric) -> float:
    return max(metric.sum_sq - metric.sum**2 / metric.n, 0.0)
