"""The latency guardrail: the treatment's latency quantiles against the control's.

For a quantile q, c is the control's q-quantile in *past* windows, so that it is fixed before the
window it judges. With m the margin and s = ``slack_ms``, "the treatment is at most m times (plus s)
slower" makes ``P(X1 > m c + s) <= P(X0 > c)`` true for every c: two Bernoulli arms with ratio 1.

Latencies come in buckets (base^i, base^(i+1)] of 4.4 % width (OpenTelemetry scale 4). c is the
upper bound of the bucket which holds the quantile, hence exact. ``m c + s`` mostly falls inside a
bucket and is rounded against the claim in question: up for harm, which then needs a margin up to
4.4 % greater, and down for safety, which then has to prove one up to 4.4 % smaller. A margin that
is a power of the base, as 2 is, costs nothing when s is 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from weir.evidence.comparison import Comparison, Stream, compared
from weir.evidence.gates import Gate, gates
from weir.evidence.guardrail import (
    Evidence,
    Interval,
    Names,
    Recent,
    Verdict,
    not_ruled_out,
    odds,
    share,
)
from weir.evidence.mixture import log_sum_exp
from weir.evidence.stratum import Stratum
from weir.spec.guardrails import LatencyGuardrail, quantile_name
from weir.spec.rollout import Dispersion
from weir.window import Histogram, VersionCounts

TAIL_REQUESTS = 2
"""A quantile is judged once the memory of the control has at least this many requests above it. A
halved memory has them for quantiles up to ``HIGHEST_QUANTILE``."""

TAIL_SLACK = 0.25


@dataclass(frozen=True)
class Quantile:
    """One quantile: its ``rank`` in 0 to 1, the gates, and the comparison of the tails."""

    name: str
    rank: float
    gates: tuple[Gate, ...]
    comparison: Comparison


@dataclass(frozen=True)
class LatencyShift:
    """Guardrail over VersionCounts.latency_ms.

    Harm averages the e-values of the quantiles (one quantile shifted is harm). Safety takes their
    least (every quantile has to be proven).
    """

    name: str
    weight: float
    margin: float
    slack_ms: float
    quantiles: tuple[Quantile, ...]
    compares: bool = True

    @classmethod
    def of(
        cls, spec: LatencyGuardrail, evidence_steps: int, dispersion: Dispersion = Dispersion.NONE
    ) -> LatencyShift:
        """From the policy; one safety test per step that evidence has to open."""
        return cls(
            name=spec.called,
            weight=spec.weight,
            margin=spec.margin,
            slack_ms=spec.slack_ms,
            quantiles=tuple(
                _quantile(spec, quantile, evidence_steps, dispersion) for quantile in spec.quantiles
            ),
        )

    def start(self) -> Evidence:
        return Evidence({each.name: each.comparison.start() for each in self.quantiles}, Recent())

    def update(
        self, evidence: Evidence, control: VersionCounts, treatment: VersionCounts, gate: int
    ) -> Evidence:
        slow0, slow1 = control.latency_ms, treatment.latency_ms
        n0, n1 = slow0.total(), slow1.total()
        if not n0 or not n1:
            return evidence
        recent = evidence.recent or Recent()
        # A bound between wide buckets of the memory is one between the windows' narrow ones, too.
        scale = min(slow0.scale, slow1.scale)
        slow0, slow1 = slow0.at_scale(scale), slow1.at_scale(scale)
        past = recent.control.at_scale(min(recent.control.scale, scale))
        known = past.total
        bounds_ms = past.bounds_ms(tuple([each.rank for each in self.quantiles]))
        streams = {
            each.name: evidence.streams[each.name]
            if known * (1 - each.rank) < TAIL_REQUESTS
            else self._judged(
                each, evidence.streams[each.name], bound_ms, (slow1, n1), (slow0, n0), gate
            )
            for each, bound_ms in zip(self.quantiles, bounds_ms, strict=True)
        }
        return Evidence(streams, Recent(recent.control.plus(slow0), recent.treatment.plus(slow1)))

    def _judged(
        self,
        quantile: Quantile,
        stream: Stream,
        bound_ms: float,
        treatment: tuple[Histogram, int],
        control: tuple[Histogram, int],
        gate: int,
    ) -> Stream:
        """``bound_ms`` is the control's quantile in past windows, a bucket's upper bound."""
        (slow1, n1), (slow0, n0) = treatment, control
        slower0, slack_ms = slow0.slower_than(bound_ms, sure=True), self.slack_ms
        harmful = slow1.slower_than(self.margin * bound_ms + slack_ms, sure=True)
        beyond = [
            Stratum(
                n1, slow1.slower_than(each.ratio * bound_ms + slack_ms, sure=False), n0, slower0
            )
            for each in (quantile.gates[-1], quantile.gates[gate])
        ]
        return quantile.comparison.update(stream, Stratum(n1, harmful, n0, slower0), gate, beyond)

    def log_e_harm(self, evidence: Evidence) -> float:
        each = tuple([evidence.streams[q.name].harm.log_e for q in self.quantiles])
        return log_sum_exp(each) - math.log(len(each))

    def log_e_safe(self, evidence: Evidence, gate: int) -> float:
        return min([_log_e_safe(evidence, each, gate) for each in self.quantiles])

    def interval(self, evidence: Evidence, alpha: float, gate: int) -> Interval | None:
        """Multiples of the control's latency (plus ``slack_ms``) that the tests leave."""
        safe = self.log_e_safe(evidence, gate), self.quantiles[0].gates[gate].ratio
        return not_ruled_out(alpha, self.log_e_harm(evidence), self.margin, safe)

    def explain(self, evidence: Evidence, verdict: Verdict, gate: int, names: Names) -> str:
        recent = evidence.recent or Recent()
        if not recent.control.total or not recent.treatment.total:
            return "no latencies of both versions yet"
        if verdict is Verdict.FAIL:
            worst = max(self.quantiles, key=lambda q: evidence.streams[q.name].harm.log_e)
            stream = evidence.streams[worst.name]
            seen = stream.seen
            slower = share(seen.treatment_failures, seen.treatment_requests)
            claim = (
                f"{slower} of {seen.treatment_requests:,} requests to {names.treatment} take more"
                f" than {self._bound(self.margin, worst, names)}, and"
                f" {share(seen.control_failures, seen.control_requests)} of {names.control}'s more"
                f" than that {worst.name} itself; a slowdown within the margin is ruled out at"
                f" {odds(stream.harm.log_e)}"
            )
        else:
            least, worst = min(
                ((_log_e_safe(evidence, each, gate), each) for each in self.quantiles),
                key=lambda each: each[0],
            )
            done = "is" if verdict is Verdict.PASS else "is not yet"
            bound = self._bound(worst.gates[gate].ratio, worst, names)
            claim = f"{bound} or more {done} ruled out ({odds(least)})"
        return f"{_quantiles(evidence, worst, names)}; {claim}"

    def _bound(self, margin: float, quantile: Quantile, names: Names) -> str:
        extra = f" plus {self.slack_ms:g} ms" if self.slack_ms else ""
        return f"{margin:.3g} times {names.control}'s {quantile.name}{extra}"


def tail_slack(slack: float, quantile: float) -> float:
    """By how much the tail beyond the last gate may be heavier, as a share of all requests.

    ``slack``, but never more than TAIL_SLACK of the tail: a point on top of the slowest hundredth
    would double it, and the quantile could be anything.
    """
    return min(slack, TAIL_SLACK * (1 - quantile / 100))


def _quantile(
    spec: LatencyGuardrail, quantile: float, evidence_steps: int, dispersion: Dispersion
) -> Quantile:
    ramp = gates(spec.promote_margin, tail_slack(spec.slack, quantile), evidence_steps)
    # The margin is in the latency that is compared; the shares beyond it are compared as equals.
    tails = tuple(Gate(1.0, gate.slack) for gate in ramp)
    return Quantile(
        name=quantile_name(quantile),
        rank=quantile / 100,
        gates=ramp,
        comparison=compared(1.0, 0.0, tails, dispersion),
    )


def _log_e_safe(evidence: Evidence, quantile: Quantile, gate: int) -> float:
    return quantile.comparison.safe.log_e(evidence.streams[quantile.name].safe, gate)


def _quantiles(evidence: Evidence, quantile: Quantile, names: Names) -> str:
    recent = evidence.recent or Recent()
    scale = min(recent.treatment.scale, recent.control.scale)
    (ours,), (theirs,) = (
        held.at_scale(scale).bounds_ms((quantile.rank,))
        for held in (recent.treatment, recent.control)
    )
    return (
        f"{names.treatment}'s {quantile.name} is {ours:.3g} ms, {names.control}'s {theirs:.3g} ms"
    )
