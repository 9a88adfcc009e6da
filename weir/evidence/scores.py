"""The guardrail on a score between 0 and 1 that versions report."""

from __future__ import annotations

from dataclasses import dataclass, replace

from weir.evidence import bounded
from weir.evidence.bounded import DifferenceTest, Pair
from weir.evidence.gated import Ramp
from weir.evidence.gates import widened, widths
from weir.evidence.guardrail import Evidence, Interval, Names, Verdict, odds
from weir.evidence.mixture import mismatch
from weir.evidence.scoring import Scores, Tallied, proper
from weir.spec.guardrails import ScoreGuardrail, Worse
from weir.window import Metric, VersionCounts


@dataclass(frozen=True)
class Score:
    """Guardrail over VersionCounts.metrics; exact for any scores in 0 to 1, see ``bounded``.

    Inside, higher is worse: where lower is, 1 - score is looked at.
    """

    name: str
    weight: float
    of_metric: str
    lower: bool
    harm: DifferenceTest
    slacks: tuple[float, ...]
    safe: Ramp[Pair]
    compares: bool = True

    @classmethod
    def of(cls, spec: ScoreGuardrail, evidence_steps: int) -> Score:
        """From the policy; earlier gates are wider, as for failures."""
        slacks = tuple(widened(spec.promote_slack, each) for each in widths(evidence_steps))
        return cls(
            name=spec.called,
            weight=spec.weight,
            of_metric=spec.of,
            lower=spec.worse is Worse.LOWER,
            harm=bounded.harm_test(spec.slack),
            slacks=slacks,
            safe=Ramp(tuple(bounded.safety_test(slack) for slack in slacks)),
        )

    def start(self) -> Evidence:
        scores = Scores(self.harm.start(), self.safe.start())
        return Evidence(scores=scores)

    def update(
        self, evidence: Evidence, control: VersionCounts, treatment: VersionCounts, gate: int
    ) -> Evidence:
        theirs, ours = (
            counts.metrics.get(self.of_metric, Metric()) for counts in (control, treatment)
        )
        if not ours.n or not theirs.n:
            return evidence
        held = _scores(evidence)
        if not proper(ours) or not proper(theirs):
            return Evidence(scores=replace(held, improper=held.improper + 1))
        pair = held.pair(theirs, ours)
        oriented = pair.mirrored() if self.lower else pair
        weight, upward, downward = held.bets(pair)
        after = Scores(
            harm=self.harm.update(held.harm, oriented),
            safe=self.safe.update(held.safe, gate, (oriented, oriented)),
            control=Tallied(held.control.n + theirs.n, held.control.total + theirs.sum),
            treatment=Tallied(held.treatment.n + ours.n, held.treatment.total + ours.sum),
            weight=weight,
            upward=upward,
            downward=downward,
            improper=held.improper,
        )
        return Evidence(scores=after)

    def log_e_harm(self, evidence: Evidence) -> float:
        return _scores(evidence).harm.log_e

    def log_e_safe(self, evidence: Evidence, gate: int) -> float:
        held = _scores(evidence)
        # Windows that were passed over may have been the bad ones: nothing is proven without them.
        return 0.0 if held.improper else self.safe.log_e(held.safe, gate)

    def interval(self, evidence: Evidence, alpha: float, gate: int) -> Interval | None:  # noqa: ARG002 no gate in it
        return _scores(evidence).interval(alpha)

    def explain(self, evidence: Evidence, verdict: Verdict, gate: int, names: Names) -> str:
        held = _scores(evidence)
        unfit = (
            f"; {held.improper} windows had a score outside 0 to 1, so nothing is proven safe"
            if held.improper
            else ""
        )
        if not held.weight:
            return f"no {self.of_metric} of both versions yet{unfit}"
        ours, theirs = held.treatment, held.control
        said = (
            f"{names.treatment}'s mean {self.of_metric} is {ours.total / ours.n:.3f} of"
            f" {ours.n:,}, {names.control}'s {theirs.total / theirs.n:.3f} of {theirs.n:,}"
        )
        side = "lower" if self.lower else "higher"
        if verdict is Verdict.FAIL:
            likely = odds(self.log_e_harm(evidence))
            claim = f"{side} by at most {self.harm.slack:.3g} is ruled out at {likely}"
        else:
            done = "is" if verdict is Verdict.PASS else "is not yet"
            likely = odds(self.log_e_safe(evidence, gate))
            claim = f"{side} by {self.slacks[gate]:.3g} or more {done} ruled out ({likely})"
        return f"{said}; {claim}{unfit}"


def _scores(evidence: Evidence) -> Scores:
    if evidence.scores is None:
        raise mismatch()
    return evidence.scores
