"""The state of a guardrail on scores: tests, past means, and the sums of an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

from weir.evidence.bounded import LAMBDAS, Numbers, Pair, harmonic, log_bet
from weir.evidence.gated import Gated, State
from weir.window import Metric

ROUNDING = 1e-9

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Tallied:
    """How many scores an arm gave, and their sum."""

    n: int = 0
    total: float = 0.0

    def guess(self) -> float:
        """Their mean, leaning on a half while they are few."""
        return (self.total + 0.5) / (self.n + 1)


@dataclass(frozen=True, slots=True)
class Scores:
    """``weight`` sums h, ``upward`` and ``downward`` the bets of each lambda on "no difference".

    ``improper`` counts windows that were passed over because a score in them is not in 0 to 1.
    """

    harm: State
    safe: Gated
    control: Tallied = Tallied()
    treatment: Tallied = Tallied()
    weight: float = 0.0
    upward: tuple[float, ...] = (0.0,) * len(LAMBDAS)
    downward: tuple[float, ...] = (0.0,) * len(LAMBDAS)
    improper: int = 0

    def pair(self, control: Metric, treatment: Metric) -> Pair:
        """A window's numbers with the guesses that were made before it."""
        ours, theirs = self.treatment.guess(), self.control.guess()
        return Pair(
            Numbers(treatment.n, treatment.sum, treatment.sum_sq, ours),
            Numbers(control.n, control.sum, control.sum_sq, theirs),
        )

    def interval(self, alpha: float) -> Interval | None:
        """The differences, treatment less control, that are not ruled out at ``alpha``."""
        if not self.weight:
            return None
        price = math.log(2 * len(LAMBDAS) / alpha)

        def least(sums: tuple[float, ...]) -> float:
            return max(
                (held - price) / (each * self.weight)
                for held, each in zip(sums, LAMBDAS, strict=True)
            )

        return max(-1.0, least(self.upward)), min(1.0, -least(self.downward))

    def bets(self, pair: Pair) -> tuple[float, tuple[float, ...], tuple[float, ...]]:
        """(weight, upward, downward) after the window."""
        mirrored = pair.mirrored()
        return (
            self.weight + harmonic(pair),
            tuple(
                held + log_bet(pair, each) for held, each in zip(self.upward, LAMBDAS, strict=True)
            ),
            tuple(
                held + log_bet(mirrored, each)
                for held, each in zip(self.downward, LAMBDAS, strict=True)
            ),
        )


def proper(metric: Metric) -> bool:
    """Whether the sums can be those of scores in 0 to 1."""
    most = metric.n + ROUNDING * metric.n
    return -ROUNDING <= metric.sum <= most and metric.sum_sq <= metric.sum + ROUNDING * most
