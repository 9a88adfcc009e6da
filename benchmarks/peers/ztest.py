"""A pooled two-proportion z-test of all requests so far, looked at at every window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.rules import NEVER, Ends, earlier, first
from benchmarks.peers.traffic import Windows


@dataclass(frozen=True)
class ZTest:
    """Rolls back at the first window, not before window ``first_look``, with z >= ``limit``.

    Windows count from 1 here. A rollout that is not rolled back at window ``horizon`` is promoted
    then; without ``horizon`` never.
    """

    limit: float
    first_look: int = 1
    horizon: int | None = None

    def ends(self, windows: Windows) -> Ends:
        crossed = scores(windows) >= self.limit
        crossed[:, : self.first_look - 1] = False
        last = NEVER
        if self.horizon is not None and self.horizon <= windows.horizon:
            last = self.horizon - 1
        return earlier(first(crossed), np.full(windows.replicates, last))


def scores(windows: Windows) -> NDArray[np.float64]:
    """z after each window, positive when the treatment fails more often; 0 while undefined."""
    n1, x1, n0, x0 = (
        np.cumsum(counts, axis=1) for counts in (windows.n1, windows.x1, windows.n0, windows.x0)
    )
    known = (n1 > 0) & (n0 > 0) & (x1 + x0 > 0) & (x1 + x0 < n1 + n0)
    ours, theirs = np.where(known, n1, 1), np.where(known, n0, 1)
    pooled = np.where(known, (x1 + x0) / (ours + theirs), 0.5)
    deviation = np.sqrt(pooled * (1 - pooled) * (1 / ours + 1 / theirs))
    return np.where(known, (x1 / ours - x0 / theirs) / deviation, 0.0)
