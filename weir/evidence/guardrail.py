"""What every guardrail has in common: its state, its questions, its verdict."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from weir.evidence.compact import Compact
from weir.evidence.comparison import Stream
from weir.evidence.moments import Moments
from weir.evidence.scoring import Scores
from weir.evidence.sketch import Sketch
from weir.window import VersionCounts

Interval = tuple[float, float | None]
"""Least and greatest value that is not ruled out; None is "no bound"."""


class Verdict(StrEnum):
    """``insufficient``: not decided yet. ``error``: telemetry could not be read."""

    PASS = "pass"
    FAIL = "fail"
    INSUFFICIENT = "insufficient"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Recent:
    """What is remembered of both versions: sets thresholds, and makes words."""

    control: Sketch = field(default_factory=Sketch)
    treatment: Sketch = field(default_factory=Sketch)


@dataclass(frozen=True, slots=True)
class Labels:
    """How often the treatment and the control gave each value in past windows."""

    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def totals(self) -> tuple[int, int]:
        """(labels of the treatment, of the control)."""
        ours, theirs = zip(*self.counts.values(), strict=True) if self.counts else ((), ())
        return sum(ours), sum(theirs)

    def among(self, values: Container[str]) -> Labels:
        """Those of ``values`` only."""
        return Labels({value: both for value, both in self.counts.items() if value in values})


@dataclass(frozen=True, slots=True)
class Evidence(Compact):
    """The state of one guardrail, JSON in and out without loss. Each kind fills what it needs."""

    streams: Mapping[str, Stream] = field(default_factory=dict)
    recent: Recent | None = None
    labels: Labels | None = None
    moments: Moments | None = None
    scores: Scores | None = None


@dataclass(frozen=True)
class Names:
    control: str
    treatment: str


class Guardrail(Protocol):
    """One question about the treatment. Implementations are values built from the policy.

    Contract of both e-values: with ``control`` and ``treatment`` counted once per window,
    exp(log_e_harm) exceeds 1/alpha with probability at most alpha at any time as long as the
    treatment is within the margin, and exp(log_e_safe) of a gate 1/beta with at most beta as long
    as it is beyond the gate. Where a guardrail holds that only for large samples, it says so.
    """

    @property
    def name(self) -> str: ...

    @property
    def weight(self) -> float:
        """Share of alpha in proportion to the other guardrails' weights."""

    @property
    def compares(self) -> bool:
        """Whether it takes requests of the control to say anything."""

    def start(self) -> Evidence: ...

    def update(
        self, evidence: Evidence, control: VersionCounts, treatment: VersionCounts, gate: int
    ) -> Evidence:
        """The evidence after one window, in which both have requests if it ``compares``.

        ``failures`` are those that the policy counts. Gates before ``gate`` are passed already and
        need no evidence any more. Returns ``evidence`` itself for a window that says nothing.
        """

    def log_e_harm(self, evidence: Evidence) -> float:
        """Natural log of the e-value against "within the rollback margin"."""

    def log_e_safe(self, evidence: Evidence, gate: int) -> float:
        """Natural log of the e-value against "beyond gate number ``gate``"."""

    def interval(self, evidence: Evidence, alpha: float, gate: int) -> Interval | None:
        """The ratio, difference or share in question, at all times together with 1 - ``alpha``.

        None as long as nothing is known.
        """

    def explain(self, evidence: Evidence, verdict: Verdict, gate: int, names: Names) -> str:
        """The verdict in one clause of words and numbers."""


def not_ruled_out(
    alpha: float, log_e_harm: float, back: float, safe: tuple[float, float]
) -> Interval:
    """What the tests themselves leave of "how much worse": for guardrails without a curve.

    Not below ``back`` once that much is ruled out, and below the bound of ``safe``, a pair of
    (log e-value, bound), once it is.
    """
    limit = -math.log(alpha)
    log_e_safe, bound = safe
    return back if log_e_harm >= limit else 0.0, bound if log_e_safe >= limit else None


def odds(log_e: float) -> str:
    """How unlikely the refuted claim makes what was seen: ``1 in 20,000``."""
    exponent = max(log_e, 0.0) / math.log(10)
    if exponent >= 9:
        return f"1 in 10^{round(exponent)}"
    value = float(f"{10.0**exponent:.2g}")
    return f"1 in {value:,.0f}" if value >= 10 else f"1 in {value:.2g}"


def share(part: int, whole: int) -> str:
    """``7.9 %``; two significant digits below ten percent, ``none`` of it being ``0 %``."""
    if not part:
        return "0 %"
    percent = 100 * part / whole
    return f"{percent:.1f} %" if percent >= 1 else f"{percent:.2g} %"


def points(slack: float) -> str:
    """`` plus 0.2 points`` for a slack of 0.002; nothing for none."""
    return f" plus {100 * slack:.2g} points" if slack else ""
