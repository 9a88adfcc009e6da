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
from dataclasses import dataclass, field
from functools import lru_cache

from weir.evidence.mixture import Mixture, Wealth
from weir.evidence.stratum import Stratum

HARM_EFFECTS = (
    (0.18, 0.18),
    (0.3, 0.1),
    (0.47, 0.1),
    (1.0, 0.25),
    (1.94, 0.27),
    (3.6, 0.1),
)
"""(log of r over the bound's ratio, prior mass). Even in the log of the effect: at the instant of
detection a mixture has lost about one natural log for any regression, slight or gross."""

SAFE_RATIOS = ((0.01, 0.3), (0.25, 0.15), (0.6, 0.1))
AS_GOOD = 0.35
NEAR_THE_BOUND = 0.1
"""Prior masses of safe alternatives: versions mostly fail as the control, or hardly at all. One
that is a little worse than the control is proven by an alternative near the bound."""

CASH = 0.1

Stakes = tuple[tuple[float, float, float], ...]
_KEPT = "_stakes_kept"


@dataclass(frozen=True)
class BernoulliTest:
    """A mixture of alternatives ``points`` (ratio, prior mass) against ``ratio`` and ``slack``.

    All points lie on one side of ``ratio``; masses sum to 1. ``cash`` is the share of the wealth
    that is bet later; see ``mixture``.
    """

    ratio: float
    slack: float
    points: tuple[tuple[float, float], ...]
    cash: float = 0.0

    mixture: Mixture = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        masses = tuple(mass for _, mass in self.points)
        object.__setattr__(self, "mixture", Mixture(masses, self.cash))

    def start(self) -> Wealth:
        return self.mixture.start()

    def update(self, wealth: object, stratum: Stratum, phi: float = 1.0) -> Wealth:
        """The wealth after ``stratum``, whose both arms need requests; pool windows until then.

        The logs of the bets are divided by ``phi`` (at least 1), the factor by which failures vary
        more than independent ones do. Raises PermanentError ``evidence.mismatch`` for a wealth of
        another test.
        """
        held = self.mixture.after_drip(wealth)
        n1, n0 = stratum.treatment_requests, stratum.control_requests
        failures = stratum.treatment_failures + stratum.control_failures
        x1, x = stratum.treatment_failures / phi, failures / phi
        points = [
            wealth + x1 * log_r - x * log_all - paid / phi
            for wealth, (log_r, log_all, paid) in zip(
                held.points, self._stakes(n1, n0), strict=True
            )
        ]
        if held.cash is None:
            return Wealth(tuple(points))
        stirred = held.stirred + n1 / (n1 + n0) * failures + self.slack * n1
        return Wealth(tuple(points), held.cash, stirred, held.seen)

    def _stakes(self, n1: int, n0: int) -> Stakes:
        """For each alternative: log(r/ratio), log((n1 r + n0)/(n1 ratio + n0)), the slack's price.

        Kept for the latest n1 and n0: the quantiles of a window share them.
        """
        kept: tuple[int, int, Stakes] | None = self.__dict__.get(_KEPT)
        if kept is not None and kept[0] == n1 and kept[1] == n0:
            return kept[2]
        if not n1 or not n0:
            raise ValueError("a stratum needs requests on both arms")
        ratio, log, log1p = self.ratio, math.log, math.log1p
        log_null, grown = log(n1 * ratio + n0), n0 / ratio * self.slack
        stakes = tuple(
            [
                (
                    log(r / ratio),
                    log(mixed := n1 * r + n0) - log_null,
                    n1 * log1p(grown * (r - ratio) / mixed) if grown else 0.0,
                )
                for r, _ in self.points
            ]
        )
        self.__dict__[_KEPT] = (n1, n0, stakes)
        return stakes


@lru_cache(maxsize=256)
def harm_test(ratio: float, slack: float, cash: float = CASH) -> BernoulliTest:
    """Evidence against "p1 <= ratio * p0 + slack": alternatives from 1.2 to 37 times ``ratio``."""
    points = tuple((ratio * math.exp(effect), mass) for effect, mass in HARM_EFFECTS)
    return BernoulliTest(ratio, slack, points, cash)


@lru_cache(maxsize=256)
def safety_test(ratio: float, slack: float) -> BernoulliTest:
    """Evidence against "p1 >= ratio * p0 + slack": never failing, rarely, as the control, near."""
    near = min(ratio**0.65, 0.92 * ratio)
    fixed = tuple((min(r, 0.85 * ratio), mass) for r, mass in (*SAFE_RATIOS, (1.0, AS_GOOD)))
    return BernoulliTest(ratio, slack, (*fixed, (near, NEAR_THE_BOUND)))
