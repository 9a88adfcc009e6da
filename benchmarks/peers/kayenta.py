"""Kayenta: the judge NetflixACAJudge with one critical metric, the failure rate.

Each window is one point an arm. Two-sided Mann-Whitney limits for the shift between the arms
(normal approximation, with corrections for ties and continuity, as in R's ``wilcox.test``) are held
against a quarter of the estimated shift. The metric is High when even the lower limit exceeds it
and the ratio of the means is no less than ``allowedIncrease``; Low is the mirror image. A critical
metric that does not pass makes the score 0, below any threshold.

The limits are places where a step function crosses a quantile. The judge searches them to within
1e-4; here they are computed, as the pairwise differences at which it steps. The estimated shift is
the median of those differences.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.rules import NEVER, Ends, Mask, earlier
from benchmarks.peers.traffic import Windows

Points = NDArray[np.float64]
CHUNK = 2_000_000
"""Pairwise differences held in memory at a time."""


@dataclass(frozen=True)
class Kayenta:
    """Judges all points so far after each number of points in ``looks``, which ascends.

    A look that does not pass rolls back; the last one promotes if it passes. A point is ``every``
    windows; points without requests are left out, and an arm without points does not pass.
    ``either`` is the judge's own default direction, by which a clear improvement fails, too.
    """

    looks: tuple[int, ...]
    confidence: float = 0.98
    tolerance: float = 0.25
    allowed_increase: float = 1.0
    allowed_decrease: float = 1.0
    either: bool = False
    every: int = 1

    def ends(self, windows: Windows) -> Ends:
        points = windows.pooled(self.every)
        treatment, control = _rates(points.x1, points.n1), _rates(points.x0, points.n0)
        rollback = np.full(windows.replicates, NEVER)
        seen = [look for look in self.looks if look <= points.horizon]
        for look in seen:
            undecided = np.flatnonzero(rollback == NEVER)
            passed = self.passes(treatment[undecided, :look], control[undecided, :look])
            rollback[undecided[~passed]] = look - 1
        finished = bool(self.looks) and len(seen) == len(self.looks)
        promotion = np.full(windows.replicates, seen[-1] - 1 if finished else NEVER)
        return earlier(rollback, promotion, self.every)

    def passes(self, treatment: Points, control: Points) -> Mask:
        """Whether each row of points passes against the control's; NaN is no point."""
        whole: Mask = np.isfinite(treatment.sum(axis=1) + control.sum(axis=1))
        passed = np.zeros_like(whole)
        size = max(1, CHUNK // max(1, treatment.shape[1] * control.shape[1]))
        rows = np.flatnonzero(whole)
        for start in range(0, len(rows), size):
            chunk = rows[start : start + size]
            passed[chunk] = self._passes(treatment[chunk], control[chunk])
        for row in np.flatnonzero(~whole):
            ours, theirs = (arm[row][~np.isnan(arm[row])] for arm in (treatment, control))
            passed[row] = (
                bool(len(ours) and len(theirs)) and self._passes(ours[None], theirs[None])[0]
            )
        return passed

    def _passes(self, treatment: Points, control: Points) -> Mask:
        """``passes`` for rows without NaN."""
        shifts = (treatment[:, :, None] - control[:, None, :]).reshape(len(treatment), -1)
        shifts.sort(axis=1)
        lower, upper = _limits(shifts, _deviation(treatment, control), self.confidence)
        margin = self.tolerance * np.abs(np.median(shifts, axis=1))
        effect = _effect(treatment, control)
        high = (lower > margin) & (effect >= self.allowed_increase)
        low = (upper < -margin) & (effect <= self.allowed_decrease)
        passed: Mask = ~(high | (low & self.either))
        return passed


def every_points(points: int, last: int) -> tuple[int, ...]:
    """Looks after each ``points`` points, up to ``last``."""
    return tuple(range(points, last + 1, points))


def _limits(shifts: Points, deviation: Points, confidence: float) -> tuple[Points, Points]:
    """Confidence limits of the shift from the ascending ``shifts`` of all pairs."""
    pairs = shifts.shape[1]
    quantile = NormalDist().inv_cdf((1 + confidence) / 2)
    # So many pairs have to lie beyond a limit. Few points cannot reach the quantile at all; the
    # limit then is the outermost difference, and complete separation is enough.
    beyond = np.ceil(pairs / 2 + 0.5 + quantile * deviation).astype(np.int64)
    beyond = np.clip(beyond, 1, pairs)
    row = np.arange(len(shifts))
    return shifts[row, pairs - beyond], shifts[row, beyond - 1]


def _deviation(treatment: Points, control: Points) -> Points:
    """The standard deviation of the Mann-Whitney statistic, with ties inside the arms.

    Ties between the arms do not matter: hardly any shift leaves them in place.
    """
    m, n = treatment.shape[1], control.shape[1]
    ties = _ties(treatment) + _ties(control)
    variance = m * n / 12 * (m + n + 1 - ties / ((m + n) * (m + n - 1)))
    deviation: Points = np.sqrt(np.maximum(variance, 0))
    return deviation


def _ties(points: Points) -> Points:
    """The sum of t^3 - t over groups of t equal points."""
    equal = (points[:, :, None] == points[:, None, :]).sum(axis=2).astype(float)
    total: Points = (equal**2 - 1).sum(axis=1)
    return total


def _effect(treatment: Points, control: Points) -> Points:
    """The ratio of the means; 1 over a control that never fails, as the judge has it."""
    ours, theirs = treatment.mean(axis=1), control.mean(axis=1)
    ratio: Points = np.where(theirs > 0, ours / np.where(theirs > 0, theirs, 1), 1.0)
    return ratio


def _rates(failures: NDArray[np.int64], requests: NDArray[np.int64]) -> Points:
    return np.where(requests > 0, failures / np.maximum(requests, 1), np.nan)
