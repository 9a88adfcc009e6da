"""One comparison of a guardrail: evidence of harm, of safety at each gate, and an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from weir.evidence import bernoulli, ratio
from weir.evidence.compact import Compact
from weir.evidence.gated import EProcess, Gated, Ramp, State
from weir.evidence.gates import Gate
from weir.evidence.noise import Noise
from weir.evidence.normal import RobustTest
from weir.evidence.stratum import Stratum
from weir.spec.rollout import Dispersion

UNKNOWN_PHI = 10.0
"""How many failures are taken to come together while nobody knows."""


@dataclass(frozen=True, slots=True)
class Stream(Compact):
    """The state of a comparison, JSON in and out without loss.

    ``seen`` sums the strata of the harm test, for words only. ``curve`` is that of ``ratio``,
    empty where no interval is kept, ``noise`` what a/a estimation knows.
    """

    harm: State
    safe: Gated
    seen: Stratum = field(default_factory=Stratum)
    curve: tuple[float, ...] = ()
    noise: Noise | None = None


@dataclass(frozen=True)
class Comparison:
    """A harm test and a ramp of safety tests. ``ratios`` keeps the curve of an interval."""

    harm: EProcess[Stratum]
    safe: Ramp[Stratum]
    ratios: bool = False
    estimated: bool = False

    def start(self) -> Stream:
        noise = Noise() if self.estimated else None
        return Stream(self.harm.start(), self.safe.start(), noise=noise)

    def update(
        self,
        stream: Stream,
        harmful: Stratum,
        gate: int,
        beyond: Sequence[Stratum],
        watched: tuple[int, int] | None = None,
    ) -> Stream:
        """After a window at step ``gate``, in which both arms have requests.

        ``harmful`` is for the harm test, ``beyond`` for the last and the current gate. The noise is
        that of ``watched``, (requests, failures); of the control's when None. Past windows alone
        set phi, UNKNOWN_PHI while they say nothing: a control that never fails shall neither
        protect a version that always does, nor keep one from promotion that never does.
        """
        noise, phi = stream.noise, 1.0
        if noise is not None:
            phi = noise.phi() or UNKNOWN_PHI
            noise = noise.plus(*(watched or (harmful.control_requests, harmful.control_failures)))
        return Stream(
            self.harm.update(stream.harm, harmful, phi),
            self.safe.update(stream.safe, gate, beyond, phi),
            stream.seen.plus(harmful),
            ratio.updated(stream.curve, harmful, phi) if self.ratios else (),
            noise,
        )


def compared(
    ratio_margin: float,
    slack: float,
    gates: tuple[Gate, ...],
    dispersion: Dispersion,
    *,
    ratios: bool = False,
) -> Comparison:
    """The comparison of "at most ``ratio_margin`` times plus ``slack``" and of the ``gates``."""
    estimated = dispersion is Dispersion.ESTIMATED
    if dispersion is Dispersion.ROBUST:
        return Comparison(
            harm=RobustTest(ratio_margin, slack, harm=True),
            safe=Ramp(tuple(RobustTest(gate.ratio, gate.slack, harm=False) for gate in gates)),
        )
    return Comparison(
        harm=bernoulli.harm_test(ratio_margin, slack),
        safe=Ramp(tuple(bernoulli.safety_test(gate.ratio, gate.slack) for gate in gates)),
        ratios=ratios,
        estimated=estimated,
    )
