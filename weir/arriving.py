"""Whether callers arrive at the versions in the shares that the gateway was to give them.

The gateway says that it follows a split; telemetry tells what came of it. It changes no decision.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from weir.endpoint import Split
from weir.window import Window

LEVEL = 1e-9
"""How probable it may be that a window whose shares are right is complained of. A year has six
million windows of five seconds."""

SLACK = 0.01
"""So far, as a part of all requests, a share may really be off: not every proxy of a gateway
follows a change at the same instant. Never more than half of what a version is to take."""

HANDFUL = 5
"""So many requests too many or too few are stragglers after a change."""

_NONE: Mapping[str, int] = {}


@dataclass(frozen=True)
class Misfit:
    """``version`` was to take ``wanted`` percent of ``requests`` and took ``took`` of them."""

    version: str
    wanted: float
    took: int
    requests: int

    def __str__(self) -> str:
        if not self.wanted:
            return f"{self.version} was to take none of {self.requests:,} requests and took" + (
                f" {self.took:,}"
            )
        percent = round(100 * self.took / self.requests, 1)
        return (
            f"{self.version} was to take {self.wanted:g} % and took {percent:g} %"
            f" of {self.requests:,} requests"
        )

    def is_like(self, other: Misfit | None) -> bool:
        """Whether both say the same but for the figures, which differ with every window."""
        if other is None:
            return False
        return (self.version, self.wanted, self._is_too_much()) == (
            other.version,
            other.wanted,
            other._is_too_much(),
        )

    def _is_too_much(self) -> bool:
        return 100 * self.took > self.wanted * self.requests


def misfit(
    split: Split, requests: Mapping[str, int], in_flight: Mapping[str, int] = _NONE
) -> Misfit | None:
    """The version whose share is farthest off for what it was to take; None when all fit.

    A gateway chooses for each request by itself, so a version's requests are binomial, and the
    Chernoff bound says how improbable their share is: at most exp(-n KL(took || wanted)). Requests
    ``in_flight`` are counted as the version's where it took too little, and against it where it
    took too much: a slow version ends later, and is no misfit.
    """
    total = sum(requests.values())
    names = sorted({*split.versions(), *(name for name, count in requests.items() if count)})
    off = [
        Misfit(name, split.percentile(name), requests.get(name, 0), total)
        for name in names
        if _is_off(split.percentile(name) / 100, name, requests, in_flight, 2 * len(names))
    ]
    return max(off, key=_farness, default=None)


def misfit_in(window: Window | None) -> Misfit | None:
    """What does not fit in ``window``, by the split that it was under."""
    if window is None or not window.split:
        return None
    return misfit(
        Split.of(window.split),
        {name: counts.requests for name, counts in window.versions.items()},
        {name: counts.in_flight for name, counts in window.versions.items()},
    )


def _is_off(
    wanted: float,
    name: str,
    requests: Mapping[str, int],
    in_flight: Mapping[str, int],
    sides: int,
) -> bool:
    total, took, hanging = sum(requests.values()), requests.get(name, 0), in_flight.get(name, 0)
    others = sum(in_flight.values()) - hanging
    if abs(took - wanted * total) <= HANDFUL:
        return False
    enough = math.log(sides / LEVEL)
    least, most = wanted - min(SLACK, wanted / 2), min(1.0, wanted + SLACK)
    too_little = _surprise(took + hanging, total + hanging, least)
    too_much = _surprise(took, total + others, most)
    return too_little < -enough or too_much > enough


def _surprise(took: int, total: int, share: float) -> float:
    """n KL(took/total || share), negative when ``took`` is too little for ``share``."""
    if not total or share in (0.0, 1.0):
        return 0.0
    seen = took / total
    divergence = sum(
        part * math.log(part / expected)
        for part, expected in ((seen, share), (1 - seen, 1 - share))
        if part > 0
    )
    return math.copysign(total * divergence, seen - share)


def _farness(found: Misfit) -> tuple[float, bool]:
    """How far off for its share; of two that are as far, the one that is starved."""
    if not found.wanted:
        return math.inf, False
    took = 100 * found.took / found.requests / found.wanted
    return round(abs(took - 1), 9), took < 1
