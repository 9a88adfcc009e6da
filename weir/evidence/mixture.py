"""The wealth of a test that bets on several alternatives at once, and keeps some in reserve.

The e-value is the sum of what the alternatives hold and of the cash that has not been bet. Cash is
bet bit by bit on the same alternatives, so that a version which turns bad after a long healthy
time is not up against everything that the early bets have lost. How much is bet follows a power
law of what has been seen, S (failures that could have told the arms apart):

    cash(S) = cash(0) (1 + S / EARLY)^-FADING

so that some is left for every time scale. Only what earlier windows showed sets the size of a bet,
which keeps the expectation at most 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from weir.errors import PermanentError
from weir.evidence.compact import Compact

FADING = 0.5
EARLY = 20.0
LEAST_DRIP = 0.01
"""Cash is bet when S has grown by this part: many small windows bet once."""

_KEPT = "_log_e"
"""Asked for several times a window; functools.cached_property would cost more than the sum."""


@dataclass(frozen=True)
class Wealth(Compact):
    """The state of one test: JSON in, JSON out, bit for bit.

    ``points`` is the natural log of what each alternative holds, ``cash`` that of what has not
    been bet (None without cash). ``seen`` is S when cash was last bet, ``stirred`` what came since.
    """

    points: tuple[float, ...]
    cash: float | None = None
    stirred: float = 0.0
    seen: float = 0.0

    @property
    def log_e(self) -> float:
        """Natural log of the e-value: the sum over alternatives and cash."""
        kept: float | None = self.__dict__.get(_KEPT)
        if kept is None:
            kept = log_sum_exp(self.points if self.cash is None else (*self.points, self.cash))
            self.__dict__[_KEPT] = kept
        return kept


@dataclass(frozen=True)
class Mixture:
    """Prior ``masses`` of the alternatives, summing to 1, and the share kept as ``cash``."""

    masses: tuple[float, ...]
    cash: float = 0.0

    log_masses: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "log_masses", tuple(math.log(mass) for mass in self.masses))

    def start(self) -> Wealth:
        invested = math.log1p(-self.cash)
        return Wealth(
            points=tuple(invested + log_mass for log_mass in self.log_masses),
            cash=math.log(self.cash) if self.cash else None,
        )

    def after_drip(self, wealth: Wealth | object) -> Wealth:
        """The wealth before the next window, with some of the cash bet if it is time to.

        Raises PermanentError ``evidence.mismatch`` for a wealth of another test.
        """
        if wealth.__class__ is not Wealth or len(wealth.points) != len(self.masses):
            raise mismatch()
        if wealth.cash is None or wealth.stirred <= LEAST_DRIP * (wealth.seen + EARLY):
            return wealth
        seen = wealth.seen + wealth.stirred
        kept = FADING * math.log((wealth.seen + EARLY) / (seen + EARLY))
        moved = wealth.cash + math.log(-math.expm1(kept))
        log1p, exp = math.log1p, math.exp
        points = [
            # log(e^held + e^new), the greater one first.
            held + log1p(exp(new - held))
            if held > (new := moved + log_mass)
            else new + log1p(exp(held - new))
            for held, log_mass in zip(wealth.points, self.log_masses, strict=True)
        ]
        return Wealth(tuple(points), wealth.cash + kept, 0.0, seen)


def mismatch() -> PermanentError:
    """The stored evidence was gathered under another policy."""
    return PermanentError(
        "evidence.mismatch",
        "the stored evidence is not of the policy's guardrails.",
        remedy="Roll the rollout back and begin it again under the new policy.",
    )


def log_sum_exp(values: Iterable[float]) -> float:
    """log(sum(exp(values))) without overflow. ``values`` is not empty and finite."""
    held = values if isinstance(values, tuple) else tuple(values)
    top, exp = max(held), math.exp
    return top + math.log(math.fsum([exp(value - top) for value in held]))


def log_spaced(first: float, last: float, count: int) -> tuple[float, ...]:
    """``count`` values (at least 2) from ``first`` to ``last`` at equal ratios, ends exact."""
    growth = math.log(last / first) / (count - 1)
    inner = tuple(first * math.exp(growth * index) for index in range(1, count - 1))
    return (first, *inner, last)
