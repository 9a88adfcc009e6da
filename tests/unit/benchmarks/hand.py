"""Windows written out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.peers.rules import Ends
from benchmarks.peers.traffic import Windows


def windows(
    x1: Sequence[int],
    x0: Sequence[int] | None = None,
    n1: int | Sequence[int] = 100,
    n0: int | Sequence[int] = 100,
) -> Windows:
    """One replicate. The control never fails unless told to."""
    ours, theirs = (np.broadcast_to(np.asarray(n), (1, len(x1))) for n in (n1, n0))
    return Windows(ours, np.array([x1]), theirs, np.array([x0 or [0] * len(x1)]))


def told(ends: Ends) -> tuple[str, int]:
    """The end of a single replicate."""
    (window,), (back,), (forth,) = ends.window, ends.rolled_back, ends.promoted
    kind = "rolled back" if back else "promoted" if forth else "open"
    return kind, int(window)
