"""By how much failures vary more than independent ones do: the control against itself.

Each window of the control is compared with the one before. For two windows with failure rate p in
common, Pearson's

    (x1/n1 - x0/n0)^2 / (p (1 - p) (1/n1 + 1/n0))

has expectation 1 if failures are independent, and phi if each comes phi-fold. A rate that moves
between two windows raises it too, which errs on the safe side.
"""

from __future__ import annotations

import math
from typing import NamedTuple

LEAST_PAIRS = 10


class Noise(NamedTuple):
    """The control's last window, and Pearson's sum over the pairs of windows with failures."""

    requests: int = 0
    failures: int = 0
    pearson: float = 0.0
    pairs: int = 0

    def plus(self, requests: int, failures: int) -> Noise:
        """After a window of the control."""
        n, x = requests + self.requests, failures + self.failures
        if not requests or not self.requests or not 0 < x < n:
            return Noise(requests, failures, self.pearson, self.pairs)
        rate = x / n
        apart = failures / requests - self.failures / self.requests
        variance = rate * (1 - rate) * (1 / requests + 1 / self.requests)
        return Noise(requests, failures, self.pearson + apart**2 / variance, self.pairs + 1)

    def phi(self) -> float | None:
        """The factor, at least 1; None while too few pairs are known.

        A mean of chi-squares, with one standard deviation on top: few pairs may well be too alike.
        """
        if self.pairs < LEAST_PAIRS:
            return None
        return max(1.0, self.pearson / self.pairs * (1 + math.sqrt(2 / self.pairs)))
