"""Flagger: a canary with one ``request-success-rate`` metric.

Every interval is a check of the treatment's success rate against a fixed minimum (99 % in its
documentation). A missed check, or one without traffic, is counted and holds the weight; the count
never goes back. Only the next tick sees that the count has reached the threshold, before it checks
anything, and rolls back. A passed check adds a step of weight, and one at the full weight
promotes. The control plays no part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.peers.rules import NEVER, Ends, breaches, earlier, first
from benchmarks.peers.traffic import Windows


@dataclass(frozen=True)
class Flagger:
    """Rolls back on the tick after failed check number ``threshold``, at least 1.

    A check covers ``every`` windows and fails when more than ``tolerated`` of its requests do.
    ``steps`` is maxWeight / stepWeight. The first step is taken without a check, as there is no
    traffic yet, so ``steps - 1`` passed checks lead to the full weight and one more promotes.
    Without ``steps`` the canary waits for ever.
    """

    tolerated: float = 0.01
    threshold: int = 1
    steps: int | None = None
    every: int = 1

    def ends(self, windows: Windows) -> Ends:
        breached = breaches(windows.pooled(self.every), self.tolerated)
        checks = breached.shape[1]
        full = first(np.cumsum(breached, axis=1) >= self.threshold)
        rollback = np.where((full == NEVER) | (full + 1 >= checks), NEVER, full + 1)
        if self.steps is None:
            return earlier(rollback, np.full(len(full), NEVER), self.every)
        passed = first(np.cumsum(~breached, axis=1) >= self.steps)
        # A check that the tick of the rollback would have passed is never made.
        over = (full != NEVER) & (passed > full)
        return earlier(rollback, np.where(over, NEVER, passed), self.every)
