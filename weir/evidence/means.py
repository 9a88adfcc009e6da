"""The guardrail on the mean of a number that versions report."""

from __future__ import annotations

from dataclasses import dataclass

from weir.evidence.gates import widths
from weir.evidence.guardrail import Evidence, Interval, Names, Verdict, odds
from weir.evidence.moments import Moments
from weir.spec.guardrails import MeanGuardrail, Worse
from weir.spec.rollout import Dispersion
from weir.window import Metric, VersionCounts

LEAST_PROVEN = 1_000
"""Numbers of each version before anything is proven safe: rare bad ones have to have come."""


@dataclass(frozen=True)
class Bound:
    """ "mean1 = factor * mean0 + slack": the tolerated side is below it, or above for ``lower``.

    The factor is ``margin``, or one over it where that is the worse side: to lower a mean, and to
    raise one that is below 0.
    """

    margin: float
    slack: float
    lower: bool

    def log_e_worse(self, moments: Moments, *, robust: bool) -> float:
        """Against "on the tolerated side"."""
        return self._log_e(moments, above=not self.lower, robust=robust)

    def log_e_better(self, moments: Moments, *, robust: bool) -> float:
        """Against "beyond the bound"."""
        return self._log_e(moments, above=self.lower, robust=robust)

    def _log_e(self, moments: Moments, *, above: bool, robust: bool) -> float:
        _, control = moments.means()
        factor = 1 / self.margin if self.lower == (control >= 0) else self.margin
        offset = -self.slack if self.lower else self.slack
        return moments.log_e(factor, offset, above=above, robust=robust)

    def __str__(self) -> str:
        extra = f" {'less' if self.lower else 'plus'} {self.slack:g}" if self.slack else ""
        times = f"1/{self.margin:.3g}" if self.lower else f"{self.margin:.3g}"
        return f"{times} times{extra}" if self.margin != 1 else f"equal{extra}"


@dataclass(frozen=True)
class Mean:
    """Guardrail over VersionCounts.metrics; holds its budgets for many numbers, see ``moments``."""

    name: str
    weight: float
    of_metric: str
    back: Bound
    gates: tuple[Bound, ...]
    robust: bool
    compares: bool = True

    @classmethod
    def of(cls, spec: MeanGuardrail, evidence_steps: int, dispersion: Dispersion) -> Mean:
        """From the policy; earlier gates are wider, as for failures."""
        lower = spec.worse is Worse.LOWER
        return cls(
            name=spec.called,
            weight=spec.weight,
            of_metric=spec.of,
            back=Bound(spec.margin, spec.allowance, lower),
            gates=tuple(
                Bound(
                    1 + (spec.promote_margin - 1) * factor, spec.promote_allowance * factor, lower
                )
                for factor in widths(evidence_steps)
            ),
            robust=dispersion is not Dispersion.NONE,
        )

    def start(self) -> Evidence:
        return Evidence(moments=Moments())

    def update(
        self,
        evidence: Evidence,
        control: VersionCounts,
        treatment: VersionCounts,
        gate: int,  # noqa: ARG002 every bound is read from the same sums
    ) -> Evidence:
        theirs, ours = (
            counts.metrics.get(self.of_metric, Metric()) for counts in (control, treatment)
        )
        if not ours.n or not theirs.n:
            return evidence
        return Evidence(moments=_moments(evidence).plus(theirs, ours))

    def log_e_harm(self, evidence: Evidence) -> float:
        return self.back.log_e_worse(_moments(evidence), robust=self.robust)

    def log_e_safe(self, evidence: Evidence, gate: int) -> float:
        moments = _moments(evidence)
        if min(moments.n1, moments.n0) < LEAST_PROVEN:
            return 0.0
        return self.gates[gate].log_e_better(_moments(evidence), robust=self.robust)

    def interval(self, evidence: Evidence, alpha: float, gate: int) -> Interval | None:  # noqa: ARG002 no gate in it
        return _moments(evidence).interval(alpha, robust=self.robust)

    def explain(self, evidence: Evidence, verdict: Verdict, gate: int, names: Names) -> str:
        moments = _moments(evidence)
        if not moments.enough(robust=self.robust):
            return (
                f"{names.treatment} reported {self.of_metric} {moments.n1:,} times and"
                f" {names.control} {moments.n0:,} times in {moments.windows} windows, too few to"
                " judge a mean"
            )
        ours, theirs = moments.means()
        said = (
            f"{names.treatment}'s mean {self.of_metric} is {ours:.4g}, {names.control}'s"
            f" {theirs:.4g}"
        )
        if verdict is Verdict.FAIL:
            bound, likely = self.back, odds(self.log_e_harm(evidence))
            side = "at least" if bound.lower else "at most"
            return f"{said}; {side} {bound} is ruled out at {likely}"
        if min(moments.n1, moments.n0) < LEAST_PROVEN:
            return (
                f"{said}; nothing is proven safe before {LEAST_PROVEN:,} of each, there are"
                f" {moments.n1:,} and {moments.n0:,}"
            )
        bound, likely = self.gates[gate], odds(self.log_e_safe(evidence, gate))
        side = "or less" if bound.lower else "or more"
        done = "is" if verdict is Verdict.PASS else "is not yet"
        return f"{said}; {bound} {side} {done} ruled out ({likely})"


def _moments(evidence: Evidence) -> Moments:
    return evidence.moments or Moments()
