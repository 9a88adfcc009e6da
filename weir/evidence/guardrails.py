"""From a policy to what judges it."""

from __future__ import annotations

from functools import lru_cache

from weir.evidence.drift import Drift
from weir.evidence.guardrail import Guardrail
from weir.evidence.latency import LatencyShift
from weir.evidence.means import Mean
from weir.evidence.rates import Ceiling, Rate
from weir.evidence.scores import Score
from weir.spec import guardrails as spec
from weir.spec.rollout import RolloutPolicy


def evidence_steps(policy: RolloutPolicy) -> int:
    """How many steps evidence has to open: all but the last, which is promotion."""
    return len(policy.steps) - 1


@lru_cache(maxsize=64)
def guardrails_of(policy: RolloutPolicy) -> tuple[Guardrail, ...]:
    """The policy's guardrails, ready to judge."""
    return tuple(_ready(each, policy) for each in policy.guardrails)


def _ready(guardrail: spec.Guardrail, policy: RolloutPolicy) -> Guardrail:
    # A policy without evidence asks no gate; its guardrails still need one to be built of.
    steps, dispersion = max(evidence_steps(policy), 1), policy.dispersion
    match guardrail:
        case spec.FailuresGuardrail() | spec.SlowGuardrail():
            return Rate.of(guardrail, steps, dispersion)
        case spec.LatencyGuardrail():
            return LatencyShift.of(guardrail, steps, dispersion)
        case spec.CeilingGuardrail():
            return Ceiling.of(guardrail, steps, dispersion)
        case spec.MeanGuardrail():
            return Mean.of(guardrail, steps, dispersion)
        case spec.ScoreGuardrail():
            return Score.of(guardrail, steps)
        case spec.DriftGuardrail():
            return Drift.of(guardrail, steps, dispersion)
