"""An exact test of the difference of two means of numbers in [0, 1].

For numbers in [0, 1] with mean mu and a guess g that is fixed before they are seen,
exp(lambda (x - mu) - psi(lambda) (x - g)^2) with psi(lambda) = -log(1 - lambda) - lambda has
expectation at most 1 for 0 <= lambda < 1 (empirical Bernstein; Fan, Grama & Liu 2015, Howard et al.
2021), and so has its mirror image. Both arms together, with lambda shared so that n1 lambda1 =
n0 lambda0, bound the difference of the means, from n, sum and sum of squares of each window alone:

    log E += lambda h (mean1 - mean0 - slack) - psi(lambda1) Q1 - psi(lambda0) Q0
    h = n1 n0 / (n1 + n0), lambda1 = lambda n0 / (n1 + n0), lambda0 = lambda n1 / (n1 + n0)

where Q sums (x - g)^2, and g is the arm's mean in past windows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from weir.evidence.bernoulli import CASH
from weir.evidence.mixture import Mixture, Wealth

LAMBDAS = (0.03, 0.08, 0.2, 0.4, 0.65, 0.9)


class Numbers(NamedTuple):
    """What an arm reported in a window: how often, sum, sum of squares, and the guess g."""

    n: int
    total: float
    squares: float
    guess: float

    def mirrored(self) -> Numbers:
        """The same of 1 - x."""
        return Numbers(
            self.n, self.n - self.total, self.n - 2 * self.total + self.squares, 1 - self.guess
        )

    def around(self) -> float:
        """The sum of (x - g)^2; not below 0 whatever rounding does."""
        spread = self.squares - 2 * self.guess * self.total + self.n * self.guess * self.guess
        return max(spread, 0.0)


class Pair(NamedTuple):
    """Both arms; each has at least one number."""

    treatment: Numbers
    control: Numbers

    def mirrored(self) -> Pair:
        return Pair(self.treatment.mirrored(), self.control.mirrored())


@dataclass(frozen=True)
class DifferenceTest:
    """Evidence against "the treatment's mean is at most the control's plus ``slack``".

    ``mirrored`` tests 1 - x instead: with -slack it is evidence against "at least plus slack".
    """

    slack: float
    mirrored: bool = False
    cash: float = 0.0

    @cached_property
    def mixture(self) -> Mixture:
        return Mixture((1 / len(LAMBDAS),) * len(LAMBDAS), self.cash)

    def start(self) -> Wealth:
        return self.mixture.start()

    def update(self, wealth: object, pair: Pair, phi: float = 1.0) -> Wealth:
        """The wealth after a window; ``phi`` divides the log of its bets."""
        seen = pair.mirrored() if self.mirrored else pair
        held = self.mixture.after_drip(wealth)
        h = harmonic(seen)
        points = [
            wealth + (log_bet(seen, each) - each * h * self.slack) / phi
            for wealth, each in zip(held.points, LAMBDAS, strict=True)
        ]
        return Wealth(tuple(points), held.cash, held.stirred + h / 4, held.seen)


def harm_test(slack: float) -> DifferenceTest:
    """Evidence against "higher by at most ``slack``"."""
    return DifferenceTest(slack, cash=CASH)


def safety_test(slack: float) -> DifferenceTest:
    """Evidence against "higher by at least ``slack``"."""
    return DifferenceTest(-slack, mirrored=True)


def log_bet(pair: Pair, strength: float) -> float:
    """The log of the bet with lambda = ``strength`` against "no difference"."""
    (n1, total1, *_), (n0, total0, *_) = pair
    h = harmonic(pair)
    first, second = strength * n0 / (n1 + n0), strength * n1 / (n1 + n0)
    paid = _psi(first) * pair.treatment.around() + _psi(second) * pair.control.around()
    return strength * h * (total1 / n1 - total0 / n0) - paid


def harmonic(pair: Pair) -> float:
    """The window's h."""
    n1, n0 = pair.treatment.n, pair.control.n
    return n1 * n0 / (n1 + n0)


def _psi(strength: float) -> float:
    return -math.log1p(-strength) - strength
