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
from collections.abc import Mapping
from dataclasses import dataclass

from weir.evidence.bernoulli import (
    BernoulliTest,
    Stratum,
    harm_test,
    log_sum_exp,
    safety_test,
)
from weir.evidence.gates import Gate, gates
from weir.evidence.guardrail import Evidence, Names, Stream, Verdict, odds, points, share
from weir.evidence.ratio import Interval
from weir.spec.rollout import LatencyGuardrail, quantile_name
from weir.window import Histogram, VersionCounts

REFERENCE_REQUESTS = 20_000
"""Beyond this many the reference histogram is halved: it follows the control within a day."""

TAIL_REQUESTS = 2
"""A quantile is judged once the reference has at least this many requests above it. The halved
reference has them for quantiles up to ``HIGHEST_QUANTILE``."""

TAIL_SLACK = 0.25


@dataclass(frozen=True)
class LatencyShift:
    """Guardrail over VersionCounts.latency_ms.

    Harm averages the e-values of the quantiles (one quantile shifted is harm). Safety takes their
    least (every quantile has to be proven). ``gates`` and ``safe`` are by quantile.
    """

    quantiles: tuple[float, ...]
    margin: float
    slack_ms: float
    gates: Mapping[float, tuple[Gate, ...]]
    harm: BernoulliTest
    safe: Mapping[float, tuple[BernoulliTest, ...]]
    weight: float = 1.0
    name: str = "latency"

    @classmethod
    def of(cls, spec: LatencyGuardrail, evidence_steps: int) -> LatencyShift:
        """From the policy; one safety test per step that evidence has to open."""
        ramps = {
            quantile: gates(spec.promote_margin, tail_slack(spec.slack, quantile), evidence_steps)
            for quantile in spec.quantiles
        }
        return cls(
            quantiles=spec.quantiles,
            margin=spec.margin,
            slack_ms=spec.slack_ms,
            gates=ramps,
            harm=harm_test(1.0, 0.0),
            safe={
                quantile: tuple(safety_test(1.0, gate.slack) for gate in ramp)
                for quantile, ramp in ramps.items()
            },
            weight=spec.weight,
        )

    def start(self) -> Evidence:
        return Evidence(
            streams={
                quantile_name(quantile): Stream(
                    harm=self.harm.start(),
                    safe=tuple(test.start() for test in self.safe[quantile]),
                )
                for quantile in self.quantiles
            }
        )

    def update(
        self, evidence: Evidence, control: VersionCounts, treatment: VersionCounts
    ) -> Evidence:
        slow0 = evidence.pending_control.latency_ms.plus(control.latency_ms)
        slow1 = evidence.pending_treatment.latency_ms.plus(treatment.latency_ms)
        if not slow0.total() or not slow1.total():
            return evidence.model_copy(
                update={
                    "pending_control": VersionCounts(latency_ms=slow0),
                    "pending_treatment": VersionCounts(latency_ms=slow1),
                }
            )
        reference = evidence.control_latency_ms
        streams = {
            quantile_name(quantile): self._judged(
                _stream(evidence, quantile), quantile, reference, slow0, slow1
            )
            for quantile in self.quantiles
        }
        return Evidence(
            streams=streams,
            control_latency_ms=_recent(reference.plus(slow0)),
            treatment_latency_ms=_recent(evidence.treatment_latency_ms.plus(slow1)),
        )

    def _judged(
        self,
        stream: Stream,
        quantile: float,
        reference: Histogram,
        slow0: Histogram,
        slow1: Histogram,
    ) -> Stream:
        if reference.total() * (1 - quantile / 100) < TAIL_REQUESTS:
            return stream
        base = reference.base
        bucket = reference.quantile_bucket(quantile / 100)
        threshold_ms = 0.0 if bucket is None else base ** (bucket + 1)
        control_slower = slow0.total() - slow0.zero if bucket is None else slow0.above(bucket)

        def stratum(slower: int) -> Stratum:
            return Stratum(
                treatment_requests=slow1.total(),
                treatment_failures=slower,
                control_requests=slow0.total(),
                control_failures=control_slower,
            )

        harmed = stratum(slow1.slower_than(self.margin * threshold_ms + self.slack_ms, sure=True))
        return Stream(
            harm=self.harm.update(stream.harm, harmed),
            safe=tuple(
                test.update(
                    wealth,
                    stratum(
                        slow1.slower_than(gate.ratio * threshold_ms + self.slack_ms, sure=False)
                    ),
                )
                for test, wealth, gate in zip(
                    self.safe[quantile], stream.safe, self.gates[quantile], strict=True
                )
            ),
            seen=stream.seen.plus(harmed),
        )

    def log_e_harm(self, evidence: Evidence) -> float:
        each = (_stream(evidence, quantile).harm.log_e() for quantile in self.quantiles)
        return log_sum_exp(each) - math.log(len(self.quantiles))

    def log_e_safe(self, evidence: Evidence, gate: int) -> float:
        return min(self._safe(evidence, gate).values())

    def _safe(self, evidence: Evidence, gate: int) -> Mapping[float, float]:
        return {q: _stream(evidence, q).safe[gate].log_e() for q in self.quantiles}

    def interval(self, evidence: Evidence, alpha: float) -> Interval | None:  # noqa: ARG002 the protocol's
        return None

    def explain(self, evidence: Evidence, verdict: Verdict, gate: int, names: Names) -> str:
        if verdict is Verdict.FAIL:
            worst = max(self.quantiles, key=lambda q: _stream(evidence, q).harm.log_e())
            seen = _stream(evidence, worst).seen
            slower = share(seen.treatment_failures, seen.treatment_requests)
            likely = odds(_stream(evidence, worst).harm.log_e())
            claim = (
                f"{slower} of {names.treatment}'s {seen.treatment_requests:,} requests are slower"
                f" than {self._bound(self.margin)} {quantile_name(worst)} of {names.control},"
                f" {share(seen.control_failures, seen.control_requests)} of its own exceed that"
                f" {quantile_name(worst)}; equal shares are ruled out at {likely}"
            )
        else:
            each = self._safe(evidence, gate)
            worst = min(each, key=lambda quantile: each[quantile])
            done = "is" if verdict is Verdict.PASS else "is not yet"
            claim = (
                f"a shift to {self._bound(self.gates[worst][gate].ratio)} {quantile_name(worst)}"
                f"{points(self.gates[worst][gate].slack)} {done} ruled out ({odds(each[worst])})"
            )
        return f"{self._quantiles(evidence, worst, names)}; {claim}"

    def _bound(self, margin: float) -> str:
        extra = f" plus {self.slack_ms:g} ms" if self.slack_ms else ""
        return f"{margin:.3g} times{extra}"

    def _quantiles(self, evidence: Evidence, quantile: float, names: Names) -> str:
        ours = evidence.treatment_latency_ms.quantile_ms(quantile / 100)
        theirs = evidence.control_latency_ms.quantile_ms(quantile / 100)
        return (
            f"{names.treatment}'s {quantile_name(quantile)} is {ours:.3g} ms,"
            f" {names.control}'s {theirs:.3g} ms"
        )


def tail_slack(slack: float, quantile: float) -> float:
    """By how much the tail beyond the last gate may be heavier, as a share of all requests.

    ``slack``, but never more than TAIL_SLACK of the tail: a point on top of the slowest hundredth
    would double it, and the quantile could be anything.
    """
    return min(slack, TAIL_SLACK * (1 - quantile / 100))


def _stream(evidence: Evidence, quantile: float) -> Stream:
    return evidence.streams[quantile_name(quantile)]


def _recent(histogram: Histogram) -> Histogram:
    return histogram.halved() if histogram.total() > REFERENCE_REQUESTS else histogram
