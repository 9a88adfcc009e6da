"""The exact test of one share against a limit, and its confidence sequence.

For a limit c and an alternative p, x of n requests multiply the wealth by
(p / c)^x ((1 - p) / (1 - c))^(n - x), whose expectation is at most 1 for every true share on the
tolerated side of c: Wald's likelihood ratio.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from weir.evidence.bernoulli import CASH, HARM_EFFECTS
from weir.evidence.mixture import Mixture, Wealth
from weir.evidence.stratum import Stratum

SAFE_SHARES = ((0.01, 0.3), (0.25, 0.3), (0.6, 0.4))
"""(share over the limit, prior mass) of alternatives that are safe."""

BISECTIONS = 40
BELOW_1 = math.nextafter(1, 0)

Interval = tuple[float, float]


@dataclass(frozen=True)
class LimitTest:
    """A mixture of alternatives ``points`` (share, prior mass) against the share ``limit``."""

    limit: float
    points: tuple[tuple[float, float], ...]
    cash: float = 0.0

    @cached_property
    def mixture(self) -> Mixture:
        return Mixture(tuple(mass for _, mass in self.points), self.cash)

    @cached_property
    def _logs(self) -> tuple[tuple[float, float], ...]:
        return tuple(
            (math.log(p / self.limit), math.log1p(-p) - math.log1p(-self.limit))
            for p, _ in self.points
        )

    def start(self) -> Wealth:
        return self.mixture.start()

    def update(self, wealth: object, stratum: Stratum, phi: float = 1.0) -> Wealth:
        """The wealth after the treatment's part of ``stratum``; ``phi`` as in BernoulliTest."""
        x = stratum.treatment_failures
        passed = stratum.treatment_requests - x
        held = self.mixture.after_drip(wealth)
        points = [
            wealth + (x * failed + passed * good) / phi
            for wealth, (failed, good) in zip(held.points, self._logs, strict=True)
        ]
        stirred = held.stirred + x + self.limit * stratum.treatment_requests
        return Wealth(tuple(points), held.cash, stirred, held.seen)


def above_test(limit: float) -> LimitTest:
    """Evidence against "the share is at most ``limit``"."""
    points = tuple((_between(limit, effect), mass) for effect, mass in HARM_EFFECTS)
    return LimitTest(limit, points, CASH)


def below_test(limit: float) -> LimitTest:
    """Evidence against "the share is at least ``limit``"."""
    return LimitTest(limit, tuple((part * limit, mass) for part, mass in SAFE_SHARES))


def share_interval(failures: float, requests: float, alpha: float) -> Interval:
    """The shares that are not ruled out at ``alpha``, at all times together.

    The shares p whose mixture of alternatives under Jeffreys' prior,
    B(x + 1/2, n - x + 1/2) / B(1/2, 1/2) / (p^x (1 - p)^(n - x)), has not passed 1/alpha.
    """
    x, n = failures, requests
    if not n:
        return 0.0, 1.0
    mixed = math.lgamma(x + 0.5) + math.lgamma(n - x + 0.5) - math.lgamma(n + 1) - math.log(math.pi)
    threshold = mixed + math.log(alpha)

    def held(p: float) -> bool:
        if p >= 1.0:
            return n <= x
        seen = x * math.log(p) if x else 0.0
        return seen + ((n - x) * math.log1p(-p) if n > x else 0.0) >= threshold

    def bound(outside: float, inside: float) -> float:
        for _ in range(BISECTIONS):
            middle = (outside + inside) / 2
            outside, inside = (outside, middle) if held(middle) else (middle, inside)
        return outside

    peak = min(max(x / n, 1e-12), 1 - 1e-12)
    return bound(0.0, peak) if x else 0.0, bound(1.0, peak) if n > x else 1.0


def _between(limit: float, effect: float) -> float:
    """``limit`` times exp(effect), or as far on the way to 1 as odds grow by that factor."""
    odds = limit / (1 - limit) * math.exp(effect)
    return min(odds / (1 + odds), BELOW_1)
