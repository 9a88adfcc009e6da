"""The most sensitive setting of a rule whose false alarms on given null data hold a target.

A target holds when no more than that share of the null's replicates is rolled back. On other data
of the same kind the share is the target give or take the error of a simulation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from benchmarks.peers.rules import Rule
from benchmarks.peers.traffic import Windows
from benchmarks.peers.ztest import ZTest, scores

Setting = TypeVar("Setting")
AnyRule = TypeVar("AnyRule", bound=Rule)


def false_alarms(rule: Rule, null: Windows) -> float:
    """The share of ``null`` that ``rule`` rolls back."""
    return rule.ends(null).rollbacks()


def matched(
    rule: Callable[[Setting], AnyRule], settings: Sequence[Setting], null: Windows, target: float
) -> AnyRule:
    """The rule of the first of ``settings`` that holds ``target`` on ``null``.

    ``settings`` go from the most to the least sensitive: false alarms never grow along them.
    Raises ValueError when the last one does not hold the target either.
    """
    low, high = 0, len(settings)
    while low < high:
        middle = (low + high) // 2
        if false_alarms(rule(settings[middle]), null) <= target:
            high = middle
        else:
            low = middle + 1
    if low == len(settings):
        raise ValueError(f"none of {len(settings)} settings holds {target:g} false alarms")
    return rule(settings[low])


def tolerances(null: Windows, every: int = 1) -> list[float]:
    """All thresholds that matter on ``null``: the treatment's rates per interval, ascending."""
    pooled = null.pooled(every)
    with_requests = pooled.n1 > 0
    return [float(rate) for rate in np.unique(pooled.x1[with_requests] / pooled.n1[with_requests])]


def tuned(null: Windows, target: float, first_look: int = 1, horizon: int | None = None) -> ZTest:
    """The z-test with the lowest limit that holds ``target`` over all windows of ``null``."""
    highest = np.sort(scores(null)[:, first_look - 1 :].max(axis=1))[::-1]
    allowed = int(target * len(highest) + 1e-9)
    if allowed >= len(highest):
        return ZTest(-np.inf, first_look, horizon)
    limit = float(np.nextafter(highest[allowed], np.inf))
    return ZTest(limit, first_look, horizon)
