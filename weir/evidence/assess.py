"""All guardrails of a policy together: is the treatment harmful, is it proven safe?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from weir.evidence.bernoulli import log_sum_exp
from weir.evidence.failures import FailureRate
from weir.evidence.guardrail import Evidence, Guardrail, Names, Verdict, odds
from weir.evidence.latency import LatencyShift
from weir.evidence.ratio import Interval
from weir.spec.rollout import FailuresGuardrail, RolloutPolicy

LN10 = math.log(10)


class GuardrailEvidence(BaseModel):
    """Log10 of both e-values: 1.3 is 1 in 20, for harm beyond the margin and for safety.

    ``interval`` holds the ratio of the treatment's rate to the control's with 1 - alpha, whenever
    one looks; see ``ratio``. None where the guardrail has none.
    """

    model_config = ConfigDict(frozen=True)

    log10_e_harm: float
    log10_e_safe: float
    interval: Interval | None = None

    def in_words(self) -> str:
        """Both e-values as odds."""
        harm, safe = (odds(log10 * LN10) for log10 in (self.log10_e_harm, self.log10_e_safe))
        return f"evidence of harm {harm}, of safety {safe}"


@dataclass(frozen=True)
class Assessment:
    """What the evidence says at one gate. ``harmful`` wins over ``safe``."""

    harmful: bool
    safe: bool
    verdicts: Mapping[str, Verdict]
    evidence: Mapping[str, GuardrailEvidence]
    words: Mapping[str, str]


def evidence_steps(policy: RolloutPolicy) -> int:
    """How many steps evidence has to open: all but the last, which is promotion."""
    return len(policy.steps) - 1


def guardrails_of(policy: RolloutPolicy) -> tuple[Guardrail, ...]:
    """The policy's guardrails, ready to judge."""
    steps = evidence_steps(policy)
    return tuple(
        FailureRate.of(spec, steps)
        if isinstance(spec, FailuresGuardrail)
        else LatencyShift.of(spec, steps)
        for spec in policy.guardrails
    )


def assess(
    policy: RolloutPolicy,
    evidence: Mapping[str, Evidence],
    gate: int,
    names: Names,
    *,
    unreadable: bool = False,
) -> Assessment:
    """Judge ``evidence`` (by guardrail name) at ``gate``, for a policy with evidence steps.

    Harm: the weighted mean of the harm e-values reaches 1/alpha; a mean of e-values is one under
    any dependence. Safety: every guardrail alone reaches 1/beta; a version that is worse in any
    respect then passes with at most beta, without correction. ``unreadable`` telemetry turns
    every verdict that is not a failure into ``error`` and nothing is safe.
    """
    guardrails = guardrails_of(policy)
    total = sum(guardrail.weight for guardrail in guardrails)
    harm_limit, safe_limit = -math.log(policy.alpha), -math.log(policy.beta)
    harm = {g.name: g.log_e_harm(evidence[g.name]) for g in guardrails}
    safe = {g.name: g.log_e_safe(evidence[g.name], gate) for g in guardrails}
    parts = {g.name: harm[g.name] + math.log(g.weight / total) for g in guardrails}
    harmful = log_sum_exp(parts.values()) >= harm_limit
    worst = max(parts, key=lambda name: parts[name])

    def verdict(name: str) -> Verdict:
        if parts[name] >= harm_limit or (harmful and name == worst):
            return Verdict.FAIL
        if unreadable:
            return Verdict.ERROR
        return Verdict.PASS if safe[name] >= safe_limit else Verdict.INSUFFICIENT

    verdicts = {g.name: verdict(g.name) for g in guardrails}
    return Assessment(
        harmful=harmful,
        safe=all(given is Verdict.PASS for given in verdicts.values()),
        verdicts=verdicts,
        evidence={
            g.name: GuardrailEvidence(
                log10_e_harm=harm[g.name] / LN10,
                log10_e_safe=safe[g.name] / LN10,
                interval=g.interval(evidence[g.name], policy.alpha),
            )
            for g in guardrails
        },
        words={
            g.name: g.explain(evidence[g.name], verdicts[g.name], gate, names) for g in guardrails
        },
    )
