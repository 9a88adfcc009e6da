"""All guardrails of a policy together: is the treatment harmful, is it proven safe?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from weir.evidence.guardrail import Evidence, Interval, Names, Verdict, odds
from weir.evidence.guardrails import guardrails_of
from weir.evidence.mixture import log_sum_exp, mismatch
from weir.spec.rollout import RolloutPolicy

LN10 = math.log(10)


@dataclass(frozen=True, slots=True)
class GuardrailEvidence:
    """Log10 of both e-values: 1.3 is 1 in 20, for harm beyond the margin and for safety.

    ``interval`` holds what the guardrail is about (a ratio, a difference, a share) with 1 - alpha,
    whenever one looks. None while nothing is known.
    """

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
    _explain: Callable[[str], str]

    def words(self, guardrails: Iterable[str] | None = None) -> str:
        """The verdicts of ``guardrails`` in words and numbers, of all if none are named."""
        return "; ".join(map(self._explain, self.verdicts if guardrails is None else guardrails))


def gate_log10_e(
    policy: RolloutPolicy, evidence: Mapping[str, Evidence], gate: int
) -> dict[str, float]:
    """How far each guardrail has come at ``gate``: log10 of the e-value of safety."""
    return {g.name: g.log_e_safe(evidence[g.name], gate) / LN10 for g in guardrails_of(policy)}


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
    if evidence.keys() != {guardrail.name for guardrail in guardrails}:
        raise mismatch()
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
    by_name = {g.name: g for g in guardrails}

    def explain(name: str) -> str:
        return by_name[name].explain(evidence[name], verdicts[name], gate, names)

    return Assessment(
        harmful=harmful,
        safe=all(given is Verdict.PASS for given in verdicts.values()),
        verdicts=verdicts,
        evidence={
            g.name: GuardrailEvidence(
                harm[g.name] / LN10,
                safe[g.name] / LN10,
                g.interval(evidence[g.name], policy.alpha, gate),
            )
            for g in guardrails
        },
        _explain=explain,
    )
