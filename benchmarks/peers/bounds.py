"""How few requests any test could need: what an oracle that knows the true rates would.

Evidence against a false hypothesis grows by at most its Kullback-Leibler divergence a request, and
a rollback takes log(1/alpha) of it. Both bounds count treatment requests and neglect what the last
window overshoots. They are infinite for a treatment within the margin, ``ratio`` times the
control's rate plus ``slack``.
"""

from __future__ import annotations

import math


def divergence(p: float, q: float) -> float:
    """KL(p || q) of two Bernoulli rates, in nats per request."""
    return _term(p, q) + _term(1 - p, 1 - q)


def known_control(
    treatment: float, control: float, alpha: float, ratio: float = 1.0, slack: float = 0.0
) -> float:
    """B1: the oracle is told the control's rate, and with it the margin.

    0 where nothing is tolerated: a single failure then refutes all.
    """
    margin = ratio * control + slack
    if treatment <= margin:
        return math.inf
    return math.log(1 / alpha) / divergence(treatment, margin)


def unknown_control(
    treatment: float,
    control: float,
    alpha: float,
    control_per_treatment: float,
    ratio: float = 1.0,
    slack: float = 0.0,
) -> float:
    """B2: the control's rate has to be learned as well.

    The control gets ``control_per_treatment`` requests, more than 0, for each of the treatment's.
    The hypothesis to refute is the most plausible pair of rates on the margin: it moves the
    control up and the treatment down to where that is cheapest. Never less than B1, and B1 in the
    limit of a large control.
    """
    if treatment <= ratio * control + slack:
        return math.inf
    rate = _most_plausible(treatment, control, control_per_treatment, ratio, slack)
    ours = divergence(treatment, min(1.0, ratio * rate + slack))
    theirs = control_per_treatment * divergence(control, rate)
    return math.log(1 / alpha) / (ours + theirs)


def _most_plausible(
    treatment: float, control: float, weight: float, ratio: float, slack: float
) -> float:
    """The control's rate on the margin with the least evidence against it, by bisection.

    The evidence is convex in the rate. It falls where the rate is the control's and rises where
    the margin has reached the treatment's, so that its slope changes sign in between.
    """
    low, high = control, min(1.0, (treatment - slack) / ratio)
    for _ in range(200):
        rate = (low + high) / 2
        if not low < rate < high:
            break
        margin = ratio * rate + slack
        slope = ratio * (margin - treatment) / (margin * (1 - margin))
        slope += weight * (rate - control) / (rate * (1 - rate))
        low, high = (rate, high) if slope < 0 else (low, rate)
    return (low + high) / 2


def _term(p: float, q: float) -> float:
    if p == 0:
        return 0.0
    return math.inf if q <= 0 else p * math.log(p / q)
