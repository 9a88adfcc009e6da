"""What every guardrail has in common: its state, its questions, its verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from weir.evidence.bernoulli import Stratum, Wealth
from weir.evidence.ratio import Interval
from weir.window import Histogram, VersionCounts


class Verdict(StrEnum):
    """``insufficient``: not decided yet. ``error``: telemetry could not be read."""

    PASS = "pass"
    FAIL = "fail"
    INSUFFICIENT = "insufficient"
    ERROR = "error"


class Stream(BaseModel):
    """One Bernoulli comparison of a guardrail: one harm test, one safety test per gate.

    ``seen`` sums the strata of the harm test so far, for words only. ``curve`` is that of
    ``ratio``, empty where no interval is kept.
    """

    model_config = ConfigDict(frozen=True)

    harm: Wealth
    safe: tuple[Wealth, ...]
    seen: Stratum = Stratum()
    curve: tuple[float, ...] = ()


class Evidence(BaseModel):
    """The state of one guardrail, JSON in and out without loss.

    ``pending_*`` are windows that wait until both versions have requests. The histograms, of
    recent requests only, set thresholds and make words; guardrails on counts leave them empty.
    """

    model_config = ConfigDict(frozen=True)

    streams: Mapping[str, Stream]
    pending_control: VersionCounts = Field(default_factory=VersionCounts)
    pending_treatment: VersionCounts = Field(default_factory=VersionCounts)
    control_latency_ms: Histogram = Field(default_factory=Histogram)
    treatment_latency_ms: Histogram = Field(default_factory=Histogram)

    def without_pending(self) -> Evidence:
        """The evidence when the split changes: windows of two splits are never one stratum."""
        empty = VersionCounts()
        return self.model_copy(update={"pending_control": empty, "pending_treatment": empty})


@dataclass(frozen=True)
class Names:
    control: str
    treatment: str


class Guardrail(Protocol):
    """One question about the treatment. Implementations are values built from the policy.

    Contract of both e-values: with ``control`` and ``treatment`` counted once per window,
    exp(log_e_harm) exceeds 1/alpha with probability at most alpha at any time as long as the
    treatment is within the margin, and exp(log_e_safe) of a gate 1/beta with at most beta as long
    as it is beyond the gate.
    """

    @property
    def name(self) -> str: ...

    @property
    def weight(self) -> float:
        """Share of alpha in proportion to the other guardrails' weights."""

    def start(self) -> Evidence: ...

    def update(
        self, evidence: Evidence, control: VersionCounts, treatment: VersionCounts
    ) -> Evidence:
        """The evidence after one window. ``failures`` are those that the policy counts."""

    def log_e_harm(self, evidence: Evidence) -> float:
        """Natural log of the e-value against "within the rollback margin"."""

    def log_e_safe(self, evidence: Evidence, gate: int) -> float:
        """Natural log of the e-value against "beyond gate number ``gate``"."""

    def interval(self, evidence: Evidence, alpha: float) -> Interval | None:
        """The treatment's rate over the control's, at all times together with 1 - ``alpha``.

        None where the guardrail compares no single pair of rates.
        """

    def explain(self, evidence: Evidence, verdict: Verdict, gate: int, names: Names) -> str:
        """The verdict in one clause of words and numbers."""


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
