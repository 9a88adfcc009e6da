"""What a rollout may decide, and why: closed lists, with words and numbers for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from weir.durations import duration
from weir.evidence.assess import GuardrailEvidence
from weir.evidence.guardrail import Verdict


class Action(StrEnum):
    """``ask`` holds too, until a person or later evidence decides."""

    HOLD = "hold"
    ADVANCE = "advance"
    PROMOTE = "promote"
    ROLL_BACK = "roll_back"
    ASK = "ask"


class Reason(StrEnum):
    """Why. Stable: alerts and scripts match on these.

    ``repeated`` is a window of a replay that counts for nothing.
    """

    FIRST_STEP = "first_step"
    PROVEN = "proven"
    WITHOUT_EVIDENCE = "without_evidence"
    HARM = "harm"
    SPLIT_PENDING = "split_pending"
    NO_TRAFFIC = "no_traffic"
    INSUFFICIENT = "insufficient"
    MINIMUM_REQUESTS = "minimum_requests"
    IN_FLIGHT = "in_flight"
    MINIMUM_TIME = "minimum_time"
    SOAKING = "soaking"
    TELEMETRY_ERROR = "telemetry_error"
    PAUSED = "paused"
    INCONCLUSIVE = "inconclusive"
    DEADLINE = "deadline"
    OPERATOR = "operator"
    REPEATED = "repeated"


@dataclass(frozen=True, slots=True)
class Tally:
    """Requests and counted failures of one version."""

    requests: int = 0
    failures: int = 0

    def plus(self, requests: int, failures: int) -> Tally:
        return Tally(requests=self.requests + requests, failures=self.failures + failures)


@dataclass(frozen=True, slots=True)
class NextStep:
    """What would have to happen for the next step, at the traffic and the rates of this one.

    ``seconds`` and ``requests`` (to the treatment) are from now on; None where the evidence does
    not grow, so that nothing can be foretold. ``goal`` is the next percentile, or promotion.
    """

    words: str
    seconds: float | None = None
    requests: int | None = None
    goal: str = ""

    @property
    def pace(self) -> str:
        """When, in short; nothing where that cannot be foretold or no time is missing."""
        if not self.seconds:
            return ""
        return f"at this pace in about {duration(self.seconds)}, {self.requests:,} requests"


class Decision(BaseModel):
    """One answer of the state machine, complete enough for an audit record.

    ``percentile`` is the treatment's share in percent that holds from now on. ``verdicts`` and
    ``evidence`` are by guardrail and empty where no evidence was asked for; ``counts`` are by
    version, since the rollout began. ``by`` names the person behind reason ``operator``.
    ``next_step`` is there while the rollout waits on a split.
    """

    model_config = ConfigDict(frozen=True)

    action: Action
    reason: Reason
    words: str
    at: datetime
    percentile: float
    verdicts: Mapping[str, Verdict] = Field(default_factory=dict)
    evidence: Mapping[str, GuardrailEvidence] = Field(default_factory=dict)
    counts: Mapping[str, Tally] = Field(default_factory=dict)
    by: str = ""
    next_step: NextStep | None = None

    @property
    def final(self) -> bool:
        """Promotion and rollback are never undone by later evidence."""
        return self.action in (Action.PROMOTE, Action.ROLL_BACK)
