"""One-sided tests on sums that are nearly normal: for whole windows, and for means.

With S a sum whose expectation is at most 0 under the claim, and I its variance, the mixture of
exp(lambda S - lambda^2 I / 2) over a half-normal lambda of scale tau is

    log E = log 2 - log(1 + tau^2 I) / 2 + z^2 / 2 + log Phi(z),   z = tau S / sqrt(1 + tau^2 I)

(Robbins' normal mixture, one-sided; Howard et al. 2021, proposition 6). Asymptotic where S is a sum
of few or of skewed parts: benchmarks/evidence measures how often it is wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from weir.evidence.compact import Compact
from weir.evidence.mixture import log_sum_exp, mismatch
from weir.evidence.stratum import Stratum

LEAST_WINDOWS = 20
ROBUST_SCALES = (0.03, 0.1, 0.3)
"""In failures. A bet that a clump of several could outweigh is too high a bet."""

_FAR = -30.0
_LOG_2 = math.log(2)


def one_sided(total: float, information: float, scales: tuple[float, ...]) -> float:
    """Log of the mean over ``scales`` (tau) of the e-values, S being ``total``."""
    each = tuple([_one_scale(total, information, tau) for tau in scales])
    return log_sum_exp(each) - math.log(len(scales))


def half_width(information: float, scales: tuple[float, ...], alpha: float) -> float:
    """How far S may be from its expectation, at all times together with 1 - ``alpha``.

    The two-sided boundary of each scale at its part of alpha; the narrowest holds.
    """
    part = 2 * math.log(len(scales) / alpha)
    return min(
        math.sqrt((1 + tau**2 * information) / tau**2 * (part + math.log1p(tau**2 * information)))
        for tau in scales
    )


def _one_scale(total: float, information: float, tau: float) -> float:
    grown = 1 + tau * tau * information
    z = tau * total / math.sqrt(grown)
    return _LOG_2 - math.log(grown) / 2 + _half_square_and_log_phi(z)


def _half_square_and_log_phi(z: float) -> float:
    if z < _FAR:
        # Phi(z) is about phi(z) / -z (Mills), which no longer fits into a float.
        return -math.log(-z) - math.log(2 * math.pi) / 2
    return z * z / 2 + math.log(math.erfc(-z / math.sqrt(2)) / 2)


@dataclass(frozen=True)
class Windows(Compact):
    """The state of a ``RobustTest``: sum and sum of squares of the windows' differences.

    ``independent`` is what the variance were if failures came one by one. It is the least that is
    assumed: before an arm with few failures has one, its windows seem to hardly differ.
    """

    windows: int = 0
    total: float = 0.0
    squares: float = 0.0
    independent: float = 0.0

    @cached_property
    def log_e(self) -> float:
        """Natural log of the e-value."""
        if self.windows < LEAST_WINDOWS:
            return 0.0
        return one_sided(self.total, max(self.squares, self.independent), ROBUST_SCALES)


@dataclass(frozen=True)
class RobustTest:
    """The claim of a ``BernoulliTest``, judged by how whole windows differ.

    U = x1 - theta x - n1 (1 - theta) slack with theta = n1 ratio / (n1 ratio + n0) has expectation
    0 on the bound, and its own square stands for its variance, however failures clump within a
    window. ``harm`` tells the side. Silent for the first LEAST_WINDOWS windows.
    """

    ratio: float
    slack: float
    harm: bool

    def start(self) -> Windows:
        return Windows()

    def update(self, held: object, stratum: Stratum, phi: float = 1.0) -> Windows:  # noqa: ARG002 its variance is measured
        """Raises PermanentError ``evidence.mismatch`` for a state of another test."""
        if not isinstance(held, Windows):
            raise mismatch()
        n1, x1, n0 = (
            stratum.treatment_requests,
            stratum.treatment_failures,
            stratum.control_requests,
        )
        theta = n1 * self.ratio / (n1 * self.ratio + n0)
        failures = x1 + stratum.control_failures
        excess = x1 - theta * failures - n1 * (1 - theta) * self.slack
        if not self.harm:
            excess = -excess
        return Windows(
            windows=held.windows + 1,
            total=held.total + excess,
            squares=held.squares + excess * excess,
            independent=held.independent + theta * (1 - theta) * failures,
        )
