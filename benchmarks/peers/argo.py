"""Argo Rollouts: an analysis run with one metric.

Every interval the treatment's success rate is measured and held against a fixed condition
(``result[0] >= 0.95`` in its documentation). Failed measurements count up for the whole run, and
more than ``failureLimit`` of them abort it. Without traffic the query gives NaN, which meets no
condition: a failed measurement. The control plays no part.

Argo measures first at the very start of a run. Here the first interval has passed by then
(``initialDelay``), else every run would begin with a failed measurement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.peers.rules import Ends, breaches, earlier, first
from benchmarks.peers.traffic import Windows


@dataclass(frozen=True)
class Argo:
    """Aborts at the first measurement that makes ``failure_limit`` too few.

    A measurement covers ``every`` windows and fails when more than ``tolerated`` of its requests
    do. The ``count``-th measurement promotes, if it does not abort; without ``count`` measuring
    goes on for ever.
    """

    tolerated: float = 0.05
    failure_limit: int = 0
    count: int | None = None
    every: int = 1

    def ends(self, windows: Windows) -> Ends:
        failed = np.cumsum(breaches(windows.pooled(self.every), self.tolerated), axis=1)
        rollback = first(failed > self.failure_limit)
        done = np.zeros(failed.shape, bool)
        if self.count is not None:
            done[:, self.count - 1 :] = True
        return earlier(rollback, first(done), self.every)
