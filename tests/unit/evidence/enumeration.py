"""Expectations of e-values to the last outcome, for windows of a few requests."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from weir.evidence.stratum import Stratum

State = TypeVar("State")
Outcome = tuple[float, Stratum]


def binomial(n: int, x: int, p: float) -> float:
    return math.comb(n, x) * p**x * (1 - p) ** (n - x)


def outcomes(n1: int, p1: float, n0: int, p0: float) -> list[Outcome]:
    """Every outcome of one window with its probability."""
    return [
        (binomial(n1, x1, p1) * binomial(n0, x0, p0), Stratum(n1, x1, n0, x0))
        for x1, x0 in itertools.product(range(n1 + 1), range(n0 + 1))
    ]


def expectation(
    start: State,
    update: Callable[[State, int, Stratum], State],
    e_value: Callable[[State], float],
    windows: Iterable[Sequence[Outcome]],
) -> float:
    """The expectation of ``e_value`` after all windows; ``update`` knows the window's number."""
    held = [(1.0, start)]
    for number, window in enumerate(windows):
        held = [
            (known * probability, update(state, number, seen))
            for known, state in held
            for probability, seen in window
        ]
    return math.fsum(probability * e_value(state) for probability, state in held)
