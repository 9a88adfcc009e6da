"""A confidence sequence for the ratio of two failure rates.

For every ratio rho the mixture over alternatives r of

    E(rho) = mean over r of exp(l(r) - l(rho)),
    l(r)   = sum over windows of x1 log r - (x1 + x0) log(n1 r + n0)

is an e-value against "the treatment fails exactly rho times as often" (the e-value of
``bernoulli``, without slack, on either side of rho). The ratios whose E has never passed 1/alpha
hold the true one, if it is one ratio throughout, with probability 1 - alpha at all times
together. l is concave in log rho, so they are an interval. One array of l on a grid is all the
state; between grid points l is bounded from above by the lines through their neighbours, so the
interval is never too short.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from weir.evidence.mixture import log_spaced, log_sum_exp
from weir.evidence.stratum import Stratum

GRID = log_spaced(1 / 32, 64, 34)
LOG_GRID = tuple(math.log(ratio) for ratio in GRID)
MIRRORED = tuple(-place for place in reversed(LOG_GRID))
PLACES = tuple(zip(GRID, LOG_GRID, strict=True))

Interval = tuple[float, float | None]
"""Least and greatest ratio that is not ruled out; 0 and None are "no bound"."""


def start() -> tuple[float, ...]:
    """l before any request."""
    return (0.0,) * len(GRID)


def updated(curve: Sequence[float], stratum: Stratum, phi: float = 1.0) -> tuple[float, ...]:
    """l on GRID after ``stratum``, whose both arms have requests. An empty curve is a start.

    ``phi`` divides what the stratum adds, as in ``bernoulli``.
    """
    n1, x1 = stratum.treatment_requests, stratum.treatment_failures / phi
    n0, x = stratum.control_requests, x1 + stratum.control_failures / phi
    log, base = math.log, x * math.log(n1 + n0)
    return tuple(
        [
            held + x1 * log_ratio - x * log(n1 * ratio + n0) + base
            for held, (ratio, log_ratio) in zip(curve or start(), PLACES, strict=True)
        ]
    )


def interval(curve: Sequence[float], alpha: float) -> Interval:
    """The ratios that are not ruled out at ``alpha``."""
    if not curve:
        return 0.0, None
    threshold = log_sum_exp(curve) - math.log(len(curve)) + math.log(alpha)
    upper = _least(MIRRORED, curve[::-1], threshold)
    lower = _least(LOG_GRID, curve, threshold)
    return (
        0.0 if lower is None else math.exp(lower),
        None if upper is None else math.exp(-upper),
    )


def _least(places: Sequence[float], values: Sequence[float], threshold: float) -> float | None:
    """The least place where the concave function through ``values`` may reach ``threshold``.

    None when it may do so below the first place.
    """
    first = [value >= threshold for value in values].index(True)
    if first == 0:
        return None
    found = places[first - 1]
    if first + 1 < len(places):
        found = max(found, _crossing(places, values, first, first + 1, threshold))
    if first >= 2:
        found = max(found, _crossing(places, values, first - 2, first - 1, threshold))
    return found


def _crossing(
    places: Sequence[float], values: Sequence[float], one: int, other: int, threshold: float
) -> float:
    """Where the line through two points reaches ``threshold``; nowhere is minus infinity."""
    slope = (values[other] - values[one]) / (places[other] - places[one])
    if slope <= 0:
        return -math.inf
    return places[one] + (threshold - values[one]) / slope
