"""A rollout policy in words, for ``weir plan``."""

from __future__ import annotations

from weir.spec.guardrails import (
    CeilingGuardrail,
    DriftGuardrail,
    FailuresGuardrail,
    Guardrail,
    LatencyGuardrail,
    MeanGuardrail,
    ScoreGuardrail,
    SlowGuardrail,
    Worse,
    quantile_name,
)
from weir.spec.rollout import Dispersion, RolloutPolicy


def policy_lines(policy: RolloutPolicy) -> list[str]:
    """What the policy asks for."""
    dispersed = [] if policy.dispersion is Dispersion.NONE else [f"  {_dispersed(policy)}"]
    return [
        *(f"  {guardrail.called}: {in_words(guardrail)}" for guardrail in policy.guardrails),
        *dispersed,
        f"  windows of {policy.window_seconds:g} s, at least {policy.minimum_requests} requests of"
        f" each version in a step; after {policy.maximum_wait_seconds:g} s without enough evidence:"
        f" {policy.on_inconclusive}",
    ]


def in_words(guardrail: Guardrail) -> str:
    """When the guardrail rolls back, and when it lets promotion pass."""
    match guardrail:
        case FailuresGuardrail() | SlowGuardrail():
            slack = f" + {guardrail.slack * 100:g} points" if guardrail.slack else ""
            return _back_and_on(
                f"more than {guardrail.margin:g} times the control's{slack}",
                f"less than {guardrail.promote_margin:g} times{slack}",
            )
        case LatencyGuardrail():
            quantiles = ", ".join(map(quantile_name, guardrail.quantiles))
            slack = f" + {guardrail.slack_ms:g} ms" if guardrail.slack_ms else ""
            return f"{quantiles}: " + _back_and_on(
                f"more than {guardrail.margin:g} times the control's{slack}",
                f"less than {guardrail.promote_margin:g} times{slack}",
            )
        case CeilingGuardrail():
            return _back_and_on(
                f"more than {guardrail.at_most * 100:g} %",
                f"less than {guardrail.promoting_share * 100:g} %",
            )
        case MeanGuardrail():
            lower = guardrail.worse is Worse.LOWER
            return _back_and_on(
                f"{'less' if lower else 'more'} than"
                f" {_bound(guardrail.margin, guardrail.allowance, lower)}",
                f"{'more' if lower else 'less'} than"
                f" {_bound(guardrail.promote_margin, guardrail.promote_allowance, lower)}",
            )
        case ScoreGuardrail():
            return _back_and_on(
                f"{guardrail.worse} by more than {guardrail.slack:g}",
                f"{guardrail.worse} by less than {guardrail.promote_slack:g}",
            )
        case DriftGuardrail():
            return _back_and_on(
                f"a shift of more than {guardrail.tolerance * 100:g} points",
                f"less than {guardrail.promote_tolerance * 100:g} points",
            )


def _back_and_on(back: str, on: str) -> str:
    return f"back when {back} is proved, on when {on} is"


def _bound(margin: float, slack: float, lower: bool) -> str:
    extra = f" {'-' if lower else '+'} {slack:g}" if slack else ""
    times = f"1/{margin:g}" if lower else f"{margin:g}"
    return f"{times} times the control's{extra}" if margin != 1 else f"the control's{extra}"


def _dispersed(policy: RolloutPolicy) -> str:
    how = {
        Dispersion.ESTIMATED: "evidence weakened by what the control's own windows differ",
        Dispersion.ROBUST: "whole windows are judged",
    }
    return f"failures may come in clumps: {how[policy.dispersion]}"
