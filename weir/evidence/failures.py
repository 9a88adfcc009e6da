"""The failure guardrail: the treatment's failure rate against the control's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from weir.evidence import ratio
from weir.evidence.bernoulli import BernoulliTest, Stratum, harm_test, safety_test
from weir.evidence.gates import gates
from weir.evidence.guardrail import Evidence, Names, Stream, Verdict, odds, points, share
from weir.spec.rollout import FailureClass, FailuresGuardrail
from weir.window import VersionCounts

STREAM = "failures"


def counted(counts: VersionCounts, classes: Sequence[FailureClass]) -> VersionCounts:
    """``counts`` whose ``failures`` are those of ``classes``.

    Counts without any class keep their ``failures``. The other classes stay in the requests: a
    client's error is a request that the version did not fail.
    """
    if not counts.failures_by_class:
        return counts
    failures = sum(counts.failures_by_class.get(kind, 0) for kind in classes)
    return VersionCounts.model_validate({**dict(counts), "failures": failures})


@dataclass(frozen=True)
class FailureRate:
    """Guardrail over VersionCounts.requests and .failures; see ``bernoulli`` for the test."""

    harm: BernoulliTest
    safe: tuple[BernoulliTest, ...]
    weight: float = 1.0
    name: str = "failures"

    @classmethod
    def of(cls, spec: FailuresGuardrail, evidence_steps: int) -> FailureRate:
        """From the policy; one safety test per step that evidence has to open."""
        ramp = gates(spec.promote_margin, spec.slack, evidence_steps)
        return cls(
            harm=harm_test(spec.margin, spec.slack),
            safe=tuple(safety_test(gate.ratio, gate.slack) for gate in ramp),
            weight=spec.weight,
        )

    def start(self) -> Evidence:
        stream = Stream(harm=self.harm.start(), safe=tuple(test.start() for test in self.safe))
        return Evidence(streams={STREAM: stream})

    def update(
        self, evidence: Evidence, control: VersionCounts, treatment: VersionCounts
    ) -> Evidence:
        pending_control = evidence.pending_control.plus(_bare(control))
        pending_treatment = evidence.pending_treatment.plus(_bare(treatment))
        if not pending_control.requests or not pending_treatment.requests:
            return evidence.model_copy(
                update={"pending_control": pending_control, "pending_treatment": pending_treatment}
            )
        stratum = Stratum(
            treatment_requests=pending_treatment.requests,
            treatment_failures=pending_treatment.failures,
            control_requests=pending_control.requests,
            control_failures=pending_control.failures,
        )
        stream = evidence.streams[STREAM]
        after = Stream(
            harm=self.harm.update(stream.harm, stratum),
            safe=tuple(
                test.update(wealth, stratum)
                for test, wealth in zip(self.safe, stream.safe, strict=True)
            ),
            seen=stream.seen.plus(stratum),
            curve=ratio.updated(stream.curve, stratum),
        )
        return Evidence(streams={STREAM: after})

    def log_e_harm(self, evidence: Evidence) -> float:
        return evidence.streams[STREAM].harm.log_e()

    def log_e_safe(self, evidence: Evidence, gate: int) -> float:
        return evidence.streams[STREAM].safe[gate].log_e()

    def interval(self, evidence: Evidence, alpha: float) -> ratio.Interval | None:
        return ratio.interval(evidence.streams[STREAM].curve, alpha)

    def explain(self, evidence: Evidence, verdict: Verdict, gate: int, names: Names) -> str:
        return f"{self._rates(evidence, names)}; {self._claim(evidence, verdict, gate)}"

    def _rates(self, evidence: Evidence, names: Names) -> str:
        seen = evidence.streams[STREAM].seen
        n1 = seen.treatment_requests + evidence.pending_treatment.requests
        x1 = seen.treatment_failures + evidence.pending_treatment.failures
        n0 = seen.control_requests + evidence.pending_control.requests
        x0 = seen.control_failures + evidence.pending_control.failures
        return (
            f"{names.treatment} fails {share(x1, n1)} of {n1:,} requests,"
            f" {names.control} {share(x0, n0)} of {n0:,}"
        )

    def _claim(self, evidence: Evidence, verdict: Verdict, gate: int) -> str:
        if verdict is Verdict.FAIL:
            likely = odds(self.log_e_harm(evidence))
            bound = f"{self.harm.ratio:.3g}{points(self.harm.slack)}"
            return f"a ratio of at most {bound} is ruled out at {likely}"
        test = self.safe[gate]
        likely = odds(self.log_e_safe(evidence, gate))
        bound = f"{test.ratio:.3g}{points(test.slack)}"
        if verdict is Verdict.PASS:
            return f"a ratio of {bound} or more is ruled out at {likely}"
        return f"a ratio of {bound} or more is not ruled out yet ({likely})"


def _bare(counts: VersionCounts) -> VersionCounts:
    return VersionCounts(requests=counts.requests, failures=counts.failures)
