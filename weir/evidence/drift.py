"""The guardrail on how far the distribution of a reported label moves.

The set A of values that the treatment gave more often than the control in *past* windows is fixed
before a window is looked at. Then "no set's share differs by more than the tolerance" bounds
P1(A) <= P0(A) + tolerance: a Bernoulli comparison with ratio 1. For rollback that is exact whatever
A is. For promotion it says that the set which has moved the most so far has moved by less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from weir.evidence.comparison import Comparison, compared
from weir.evidence.gates import Gate, widened, widths
from weir.evidence.guardrail import (
    Evidence,
    Interval,
    Labels,
    Names,
    Verdict,
    not_ruled_out,
    odds,
    share,
)
from weir.evidence.stratum import Stratum
from weir.spec.guardrails import DriftGuardrail
from weir.spec.rollout import Dispersion
from weir.window import MOST_VALUES, OTHER, VersionCounts

STREAM = "set"
LEAST_PAST = 100
"""Labels of each version before the set that moved can be told from chance."""


@dataclass(frozen=True)
class Drift:
    """Guardrail over VersionCounts.labels."""

    name: str
    weight: float
    of_label: str
    tolerance: float
    gates: tuple[Gate, ...]
    comparison: Comparison
    compares: bool = True

    @classmethod
    def of(cls, spec: DriftGuardrail, evidence_steps: int, dispersion: Dispersion) -> Drift:
        """From the policy; earlier gates are wider, as for failures."""
        ramp = tuple(
            Gate(1.0, widened(spec.promote_tolerance, factor)) for factor in widths(evidence_steps)
        )
        return cls(
            name=spec.called,
            weight=spec.weight,
            of_label=spec.of,
            tolerance=spec.tolerance,
            gates=ramp,
            comparison=compared(1.0, spec.tolerance, ramp, dispersion),
        )

    def start(self) -> Evidence:
        return Evidence({STREAM: self.comparison.start()}, labels=Labels())

    def update(
        self, evidence: Evidence, control: VersionCounts, treatment: VersionCounts, gate: int
    ) -> Evidence:
        theirs, ours = (counts.labels.get(self.of_label, {}) for counts in (control, treatment))
        new = Labels(
            {each: (ours.get(each, 0), theirs.get(each, 0)) for each in {**theirs, **ours}}
        )
        n1, n0 = new.totals()
        if not n1 or not n0:
            return evidence
        past = evidence.labels or Labels()
        stream = evidence.streams[STREAM]
        if min(past.totals()) >= LEAST_PAST:
            moved = risen(past)
            x1, x0 = new.among(
                [each for each in new.counts if _known(each, past) in moved]
            ).totals()
            stratum = Stratum(n1, x1, n0, x0)
            # The set changes with what is known; the noise is that of one value which does not.
            usual = max(past.counts, key=lambda each: (sum(past.counts[each]), each))
            watched = n0, new.counts.get(usual, (0, 0))[1]
            stream = self.comparison.update(stream, stratum, gate, (stratum, stratum), watched)
        labels = Labels(_fewest(_added(past.counts, new.counts)))
        return Evidence({STREAM: stream}, labels=labels)

    def log_e_harm(self, evidence: Evidence) -> float:
        return evidence.streams[STREAM].harm.log_e

    def log_e_safe(self, evidence: Evidence, gate: int) -> float:
        return self.comparison.safe.log_e(evidence.streams[STREAM].safe, gate)

    def interval(self, evidence: Evidence, alpha: float, gate: int) -> Interval | None:
        """The distances that the tests leave."""
        safe = self.log_e_safe(evidence, gate), self.gates[gate].slack
        return not_ruled_out(alpha, self.log_e_harm(evidence), self.tolerance, safe)

    def explain(self, evidence: Evidence, verdict: Verdict, gate: int, names: Names) -> str:
        past = evidence.labels or Labels()
        n1, n0 = past.totals()
        if not n1 or not n0:
            return f"no {self.of_label} of both versions yet"
        moved = sorted(risen(past), key=lambda value: -past.counts[value][0])
        x1, x0 = past.among(moved).totals()
        named = ", ".join(moved[:3]) + (", …" if len(moved) > 3 else "") or "nothing"
        said = (
            f"{names.treatment}'s {self.of_label} is {named} for {share(x1, n1)} of {n1:,},"
            f" {names.control}'s for {share(x0, n0)} of {n0:,}"
        )
        if verdict is Verdict.FAIL:
            likely = odds(self.log_e_harm(evidence))
            return f"{said}; a shift of at most {_points(self.tolerance)} is ruled out at {likely}"
        done = "is" if verdict is Verdict.PASS else "is not yet"
        likely = odds(self.log_e_safe(evidence, gate))
        return f"{said}; a shift of {_points(self.gates[gate].slack)} {done} ruled out ({likely})"


def risen(past: Labels) -> frozenset[str]:
    """The values whose share is greater with the treatment."""
    n1, n0 = past.totals()
    return frozenset(
        value for value, (ours, theirs) in past.counts.items() if ours * n0 > theirs * n1
    )


def _known(value: str, past: Labels) -> str:
    return value if value in past.counts else OTHER


Counts = Mapping[str, tuple[int, int]]


def _added(some: Counts, others: Counts) -> Counts:
    held = dict(some)
    for value, (ours, theirs) in others.items():
        known = held.get(value, (0, 0))
        held[value] = known[0] + ours, known[1] + theirs
    return held


def _fewest(counts: Counts) -> Counts:
    """The most frequent values of both versions; what remains is one value of its own."""
    if len(counts) <= MOST_VALUES:
        return counts
    ordered = sorted(counts, key=lambda value: (value == OTHER, -sum(counts[value]), value))
    kept = {value: counts[value] for value in ordered[: MOST_VALUES - 1]}
    rest = Labels({value: counts[value] for value in ordered[MOST_VALUES - 1 :]}).totals()
    return _added(kept, {OTHER: rest})


def _points(tolerance: float) -> str:
    return f"{100 * tolerance:.3g} points"
