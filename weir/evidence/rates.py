"""Guardrails on a share of requests, failed or slow: against the control's, or against a limit."""

from __future__ import annotations

from dataclasses import dataclass

from weir.evidence import ratio
from weir.evidence.absolute import LimitTest, above_test, below_test, share_interval
from weir.evidence.comparison import UNKNOWN_PHI, Comparison, Stream, compared
from weir.evidence.counting import Counting, Failed, Slower
from weir.evidence.gated import Ramp
from weir.evidence.gates import Gate, gates, widened, widths
from weir.evidence.guardrail import (
    Evidence,
    Interval,
    Names,
    Verdict,
    not_ruled_out,
    odds,
    points,
    share,
)
from weir.evidence.stratum import Stratum
from weir.spec.guardrails import CeilingGuardrail, FailuresGuardrail, SlowGuardrail
from weir.spec.rollout import Dispersion
from weir.window import VersionCounts

STREAM = "rate"


@dataclass(frozen=True)
class Rate:
    """The treatment's share of requests that ``counting`` counts, against the control's."""

    name: str
    weight: float
    counting: Counting
    margin: Gate
    gates: tuple[Gate, ...]
    comparison: Comparison
    compares: bool = True

    @classmethod
    def of(
        cls, spec: FailuresGuardrail | SlowGuardrail, evidence_steps: int, dispersion: Dispersion
    ) -> Rate:
        """From the policy; one safety test per step that evidence has to open."""
        ramp = gates(spec.promote_margin, spec.slack, evidence_steps)
        return cls(
            name=spec.called,
            weight=spec.weight,
            counting=Slower(spec.threshold_ms) if isinstance(spec, SlowGuardrail) else Failed(),
            margin=Gate(spec.margin, spec.slack),
            gates=ramp,
            comparison=compared(spec.margin, spec.slack, ramp, dispersion, ratios=True),
        )

    def start(self) -> Evidence:
        return Evidence({STREAM: self.comparison.start()})

    def update(
        self, evidence: Evidence, control: VersionCounts, treatment: VersionCounts, gate: int
    ) -> Evidence:
        stratum = self.counting.of(control, treatment)
        if not stratum.treatment_requests or not stratum.control_requests:
            return evidence
        stream = evidence.streams[STREAM]
        return Evidence({STREAM: self.comparison.update(stream, stratum, gate, (stratum, stratum))})

    def log_e_harm(self, evidence: Evidence) -> float:
        return evidence.streams[STREAM].harm.log_e

    def log_e_safe(self, evidence: Evidence, gate: int) -> float:
        return self.comparison.safe.log_e(evidence.streams[STREAM].safe, gate)

    def interval(self, evidence: Evidence, alpha: float, gate: int) -> Interval | None:
        stream = evidence.streams[STREAM]
        if self.comparison.ratios:
            return ratio.interval(stream.curve, alpha)
        safe = self.log_e_safe(evidence, gate), self.gates[gate].ratio
        return not_ruled_out(alpha, stream.harm.log_e, self.margin.ratio, safe)

    def explain(self, evidence: Evidence, verdict: Verdict, gate: int, names: Names) -> str:
        seen = evidence.streams[STREAM].seen
        return (
            f"{names.treatment} {_counts(self.counting, seen)},"
            f" {names.control} {share(seen.control_failures, seen.control_requests)}"
            f" of {seen.control_requests:,}; {self._claim(evidence, verdict, gate)}"
        )

    def _claim(self, evidence: Evidence, verdict: Verdict, gate: int) -> str:
        if verdict is Verdict.FAIL:
            bound = f"{self.margin.ratio:.3g}{points(self.margin.slack)}"
            return f"a ratio of at most {bound} is ruled out at {odds(self.log_e_harm(evidence))}"
        likely = odds(self.log_e_safe(evidence, gate))
        bound = f"{self.gates[gate].ratio:.3g}{points(self.gates[gate].slack)}"
        if verdict is Verdict.PASS:
            return f"a ratio of {bound} or more is ruled out at {likely}"
        return f"a ratio of {bound} or more is not ruled out yet ({likely})"


@dataclass(frozen=True)
class Ceiling:
    """The treatment's share of requests that ``counting`` counts, against fixed limits."""

    name: str
    weight: float
    counting: Counting
    limits: tuple[float, ...]
    comparison: Comparison
    compares: bool = False

    @classmethod
    def of(cls, spec: CeilingGuardrail, evidence_steps: int, dispersion: Dispersion) -> Ceiling:
        """From the policy. Whole windows are no samples of a limit: ``robust`` is as estimated.

        There is no control to estimate from: the treatment's own windows tell the noise.
        """
        limits = tuple(widened(spec.promoting_share, factor) for factor in widths(evidence_steps))
        return cls(
            name=spec.called,
            weight=spec.weight,
            counting=Failed() if spec.threshold_ms is None else Slower(spec.threshold_ms),
            limits=limits,
            comparison=Comparison(
                harm=above_test(spec.at_most),
                safe=Ramp(tuple(below_test(limit) for limit in limits)),
                estimated=dispersion is not Dispersion.NONE,
            ),
        )

    def start(self) -> Evidence:
        return Evidence({STREAM: self.comparison.start()})

    def update(
        self, evidence: Evidence, control: VersionCounts, treatment: VersionCounts, gate: int
    ) -> Evidence:
        stratum = self.counting.of(control, treatment)
        if not stratum.treatment_requests:
            return evidence
        most = self.counting.most(control, treatment)
        own = stratum.treatment_requests, stratum.treatment_failures
        stream = evidence.streams[STREAM]
        return Evidence({STREAM: self.comparison.update(stream, stratum, gate, (most, most), own)})

    def log_e_harm(self, evidence: Evidence) -> float:
        return self._stream(evidence).harm.log_e

    def log_e_safe(self, evidence: Evidence, gate: int) -> float:
        return self.comparison.safe.log_e(self._stream(evidence).safe, gate)

    def interval(self, evidence: Evidence, alpha: float, gate: int) -> Interval | None:  # noqa: ARG002 no gate in it
        stream = self._stream(evidence)
        seen = stream.seen
        if not seen.treatment_requests:
            return None
        phi = (stream.noise.phi() or UNKNOWN_PHI) if stream.noise is not None else 1.0
        return share_interval(seen.treatment_failures / phi, seen.treatment_requests / phi, alpha)

    def explain(self, evidence: Evidence, verdict: Verdict, gate: int, names: Names) -> str:
        what = _counts(self.counting, self._stream(evidence).seen)
        if verdict is Verdict.FAIL:
            likely = odds(self.log_e_harm(evidence))
            test = self.comparison.harm
            assert isinstance(test, LimitTest)
            claim = f"at most {100 * test.limit:.3g} % is ruled out at {likely}"
        else:
            done = "is" if verdict is Verdict.PASS else "is not yet"
            likely = odds(self.log_e_safe(evidence, gate))
            claim = f"{100 * self.limits[gate]:.3g} % or more {done} ruled out ({likely})"
        return f"{names.treatment} {what}; {claim}"

    def _stream(self, evidence: Evidence) -> Stream:
        return evidence.streams[STREAM]


def _counts(counting: Counting, seen: Stratum) -> str:
    part = share(seen.treatment_failures, seen.treatment_requests)
    return f"{counting.verb} {part} of {seen.treatment_requests:,} requests"
