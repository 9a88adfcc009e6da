"""Exact e-processes for two Bernoulli arms, window by window.

A stratum is one window's counts: n1 requests with x1 failures on the treatment, n0 with x0 on the
control. Against the bound ``p1 = ratio * p0 + slack`` and for one alternative ratio r,

    a     = n0 (r - ratio) / (ratio (n1 r + n0))
    log E = x1 log(r / ratio) - (x1 + x0) log((n1 r + n0) / (n1 ratio + n0)) - n1 log1p(slack a)

A treatment failure multiplies the wealth by 1 + a, a control failure by 1 - a ratio n1 / n0, and
the last term pays for the slack. The expectation of that product is at most 1 for every p0, every
n1 and n0, and every p1 on the tolerated side of the bound, so products over windows (whose splits
and rates may all differ) stay e-processes: they exceed 1/alpha with probability at most alpha,
however often one looks. With r > ratio the tolerated side is "not worse" (evidence of harm), with
r < ratio it is "not better" (evidence of safety). See Lindon & Malek (2022) on sequential
multinomial counts and Turner, Ly & Grünwald (2024) on safe tests of two proportions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from weir.errors import PermanentError

HARM_POINTS = 17
HARM_FARTHEST = 64.0
HARM_NEAREST = 1.1
SAFETY_POINTS = 12
SAFETY_FARTHEST = 0.02
SAFETY_NEAREST = 0.95
ANCHOR_MASS = 0.3
CASH = 0.4
DRIP_PER_FAILURE = 0.001


class Stratum(BaseModel):
    """Requests and failures of both arms while their rates are taken as constant."""

    model_config = ConfigDict(frozen=True)

    treatment_requests: int = Field(0, ge=0)
    treatment_failures: int = Field(0, ge=0)
    control_requests: int = Field(0, ge=0)
    control_failures: int = Field(0, ge=0)

    def plus(self, other: Stratum) -> Stratum:
        return Stratum(
            treatment_requests=self.treatment_requests + other.treatment_requests,
            treatment_failures=self.treatment_failures + other.treatment_failures,
            control_requests=self.control_requests + other.control_requests,
            control_failures=self.control_failures + other.control_failures,
        )


class Wealth(BaseModel):
    """The state of one test: JSON in, JSON out, bit for bit.

    ``log_points`` is the natural log of what each alternative holds. ``log_cash`` is what has not
    been bet (None without cash); ``stirred`` the failures, seen or tolerated, of the last stratum,
    which set how much cash is bet before the next.
    """

    model_config = ConfigDict(frozen=True)

    log_points: tuple[float, ...]
    log_cash: float | None = None
    stirred: float = 0.0

    def log_e(self) -> float:
        """Natural log of the e-value: the sum over alternatives and cash."""
        cash = () if self.log_cash is None else (self.log_cash,)
        return log_sum_exp((*self.log_points, *cash))


@dataclass(frozen=True)
class BernoulliTest:
    """A mixture of alternatives ``points`` (ratio, prior mass) against ``ratio`` and ``slack``.

    All points lie on one side of ``ratio``, and their masses and ``cash`` sum to 1. Cash is bet
    bit by bit (DRIP_PER_FAILURE) on the same alternatives, so that a version which turns bad
    after a long healthy time is not up against everything that the early bets have lost.
    """

    ratio: float
    slack: float
    points: tuple[tuple[float, float], ...]
    cash: float = 0.0

    def start(self) -> Wealth:
        return Wealth(
            log_points=tuple(math.log(mass) for _, mass in self.points),
            log_cash=math.log(self.cash) if self.cash else None,
        )

    def update(self, wealth: Wealth, stratum: Stratum) -> Wealth:
        """The wealth after ``stratum``, whose both arms need requests; pool windows until then.

        Raises PermanentError ``evidence.mismatch`` for a wealth of another test.
        """
        if len(wealth.log_points) != len(self.points):
            raise PermanentError(
                "evidence.mismatch",
                f"the stored evidence has {len(wealth.log_points)} alternatives,"
                f" the policy's test {len(self.points)}",
                remedy="Roll the rollout back and begin it again under the new policy.",
            )
        n1, x1 = stratum.treatment_requests, stratum.treatment_failures
        n0, x0 = stratum.control_requests, stratum.control_failures
        if not n1 or not n0:
            raise ValueError("a stratum needs requests on both arms")
        held, log_cash = self._after_drip(wealth)
        points = tuple(
            log_point
            + x1 * math.log(r / self.ratio)
            - (x1 + x0) * math.log((n1 * r + n0) / (n1 * self.ratio + n0))
            - n1 * math.log1p(self.slack * self._stake(r, n1, n0))
            for log_point, (r, _) in zip(held, self.points, strict=True)
        )
        stirred = x1 + x0 + self.slack * n1
        return Wealth(log_points=points, log_cash=log_cash, stirred=stirred)

    def _stake(self, r: float, n1: int, n0: int) -> float:
        return n0 * (r - self.ratio) / (self.ratio * (n1 * r + n0))

    def _after_drip(self, wealth: Wealth) -> tuple[tuple[float, ...], float | None]:
        # Only what earlier strata showed may set the size of a bet: that keeps E[E] <= 1.
        bet = DRIP_PER_FAILURE * wealth.stirred
        if wealth.log_cash is None or bet == 0:
            return wealth.log_points, wealth.log_cash
        moved = wealth.log_cash + math.log(-math.expm1(-bet)) - math.log1p(-self.cash)
        held = tuple(
            log_sum_exp((log_point, moved + math.log(mass)))
            for log_point, (_, mass) in zip(wealth.log_points, self.points, strict=True)
        )
        return held, wealth.log_cash - bet


def harm_test(ratio: float, slack: float, cash: float = CASH) -> BernoulliTest:
    """Evidence against "p1 <= ratio * p0 + slack": alternatives from 1.1 to 64 times ``ratio``."""
    mass = (1 - cash) / HARM_POINTS
    spaced = log_spaced(ratio * HARM_NEAREST, ratio * HARM_FARTHEST, HARM_POINTS)
    return BernoulliTest(ratio, slack, tuple((r, mass) for r in spaced), cash)


def safety_test(ratio: float, slack: float) -> BernoulliTest:
    """Evidence against "p1 >= ratio * p0 + slack": alternatives from 0.02 to 0.95 times ``ratio``.

    Versions are mostly as good as the control, or do not fail at all: r = 1 (where ``ratio`` is
    greater) and the smallest r hold ANCHOR_MASS each.
    """
    spaced = log_spaced(ratio * SAFETY_FARTHEST, ratio * SAFETY_NEAREST, SAFETY_POINTS)
    anchors = (spaced[0], 1.0) if ratio * SAFETY_NEAREST > 1 else (spaced[0],)
    mass = (1 - ANCHOR_MASS * len(anchors)) / SAFETY_POINTS
    points = dict.fromkeys(spaced, mass)
    for anchor in anchors:
        points[anchor] = points.get(anchor, 0.0) + ANCHOR_MASS
    return BernoulliTest(ratio, slack, tuple(points.items()))


def log_spaced(first: float, last: float, count: int) -> tuple[float, ...]:
    """``count`` values (at least 2) from ``first`` to ``last`` at equal ratios, ends exact."""
    growth = math.log(last / first) / (count - 1)
    inner = tuple(first * math.exp(growth * index) for index in range(1, count - 1))
    return (first, *inner, last)


def log_sum_exp(values: Iterable[float]) -> float:
    """log(sum(exp(values))) without overflow. ``values`` is not empty and finite."""
    held = tuple(values)
    top = max(held)
    return top + math.log(math.fsum(math.exp(value - top) for value in held))
