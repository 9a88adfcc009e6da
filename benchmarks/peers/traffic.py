"""Seeded windows of Bernoulli traffic for many replicates of one rollout at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Windows:
    """Requests n and failures x per window, of the treatment (1) and the control (0).

    All four have the shape (replicates, windows), and 0 <= x <= n. Raises ValueError otherwise.
    """

    n1: Counts
    x1: Counts
    n0: Counts
    x0: Counts

    def __post_init__(self) -> None:
        shapes = {self.n1.shape, self.x1.shape, self.n0.shape, self.x0.shape}
        if len(shapes) > 1 or self.n1.ndim != 2:
            raise ValueError(
                f"windows need four arrays of one shape (replicates, windows): {shapes}"
            )
        for n, x in ((self.n1, self.x1), (self.n0, self.x0)):
            if (x < 0).any() or (x > n).any():
                raise ValueError("failures lie between 0 and the requests of their window")

    @property
    def replicates(self) -> int:
        return len(self.n1)

    @property
    def horizon(self) -> int:
        """Windows per replicate."""
        return int(self.n1.shape[1])

    def pooled(self, every: int) -> Windows:
        """``every`` neighbouring windows as one; an incomplete rest is left out."""
        return Windows(*(_pooled(counts, every) for counts in (self.n1, self.x1, self.n0, self.x0)))

    def some(self, chosen: NDArray[np.bool_]) -> Windows:
        """The replicates for which ``chosen`` holds."""
        return Windows(self.n1[chosen], self.x1[chosen], self.n0[chosen], self.x0[chosen])


def steady(
    seed: int,
    *,
    treatment: float,
    control: float,
    share_percent: float,
    requests: int,
    windows: int,
    replicates: int,
) -> Windows:
    """Failure rates ``treatment`` and ``control`` throughout.

    Each window has ``requests`` of the treatment. They are ``share_percent`` of the traffic, and
    the control gets the others.
    """
    others = round(requests * (100 - share_percent) / share_percent)
    return _drawn(
        seed,
        replicates,
        np.full(windows, requests),
        np.full(windows, treatment),
        np.full(windows, others),
        np.full(windows, control),
    )


def ramp(
    seed: int,
    *,
    shares_percent: ArrayLike,
    control: ArrayLike,
    ratio: float,
    slack: float = 0.0,
    requests: ArrayLike,
    replicates: int,
) -> Windows:
    """A share and a control's failure rate for each window, of ``requests`` of both arms each.

    The treatment fails at ``ratio`` times the control's rate of the moment plus ``slack``.
    """
    shares, rates = np.asarray(shares_percent, float), np.asarray(control, float)
    both = np.asarray(requests, np.int64)
    n1 = np.rint(both * shares / 100).astype(np.int64)
    treatment = np.clip(ratio * rates + slack, 0, 1)
    return _drawn(seed, replicates, n1, treatment, both - n1, rates)


def _drawn(
    seed: int,
    replicates: int,
    n1: Counts,
    p1: NDArray[np.float64],
    n0: Counts,
    p0: NDArray[np.float64],
) -> Windows:
    rng = np.random.default_rng(seed)
    shape = (replicates, len(n1))
    return Windows(
        np.broadcast_to(n1, shape),
        rng.binomial(n1, p1, shape),
        np.broadcast_to(n0, shape),
        rng.binomial(n0, p0, shape),
    )


def _pooled(counts: Counts, every: int) -> Counts:
    replicates, windows = counts.shape
    whole = windows // every
    pooled: Counts = counts[:, : whole * every].reshape(replicates, whole, every).sum(axis=2)
    return pooled
