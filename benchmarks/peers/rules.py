"""What every rule gives: for each replicate, whether and at which window it ends the rollout.

A rule decides at the end of a window and has then seen that window. So everything up to and
including ``window`` has been served.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.traffic import Counts, Windows

Mask = NDArray[np.bool_]
NEVER = -1


@dataclass(frozen=True, eq=False)
class Ends:
    """The end of each replicate: at most one of ``rolled_back`` and ``promoted`` holds.

    ``window`` counts from 0 and is NEVER where neither does.
    """

    window: Counts
    rolled_back: Mask
    promoted: Mask

    def rollbacks(self) -> float:
        """The share of replicates that are rolled back."""
        return float(self.rolled_back.mean())

    def promotions(self) -> float:
        """The share of replicates that are promoted."""
        return float(self.promoted.mean())

    def served(self, counts: Counts) -> Counts:
        """The sum of ``counts`` per replicate until its end, or of all of them without an end."""
        until = np.where(self.window == NEVER, counts.shape[1] - 1, self.window)
        total: Counts = np.cumsum(counts, axis=1)[np.arange(len(until)), until]
        return total


class Rule(Protocol):
    """A decision rule with all its settings."""

    def ends(self, windows: Windows) -> Ends:
        """The end of each replicate, all of which the rule sees from their first window on."""
        ...


def first(seen: Mask) -> Counts:
    """The first column that holds in each row; NEVER where none does."""
    if not seen.shape[1]:
        return np.full(len(seen), NEVER)
    return np.where(seen.any(axis=1), seen.argmax(axis=1), NEVER)


def earlier(rollback: Counts, promotion: Counts, every: int = 1) -> Ends:
    """Ends from the first interval of each kind, intervals being ``every`` windows long.

    Rollback goes first in one interval.
    """
    back = (rollback != NEVER) & ((promotion == NEVER) | (rollback <= promotion))
    forth = (promotion != NEVER) & ~back
    interval = np.where(back, rollback, promotion)
    window = np.where(back | forth, (interval + 1) * every - 1, NEVER)
    return Ends(window, back, forth)


def breaches(windows: Windows, tolerated: float) -> Mask:
    """Windows whose treatment fails at more than ``tolerated``, or has no request to tell by."""
    # Rates are compared as counts; the tolerance keeps 29 of 100 from exceeding 0.29 by rounding.
    failed: Mask = (windows.x1 > tolerated * windows.n1 + 1e-9) | (windows.n1 == 0)
    return failed
