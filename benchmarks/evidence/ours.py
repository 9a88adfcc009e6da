"""weir's tests on simulated counts: the same objects that a release is judged by."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from benchmarks.peers.rules import NEVER, Ends
from benchmarks.peers.traffic import Windows
from weir.evidence.bernoulli import harm_test, safety_test
from weir.evidence.comparison import Comparison, compared
from weir.evidence.gated import EProcess
from weir.evidence.gates import Gate
from weir.evidence.stratum import Stratum
from weir.spec.rollout import Dispersion


@dataclass(frozen=True)
class Weir:
    """One guardrail on failures: rollback at ``margin``, promotion at ``promote_margin``.

    ``cash`` is the reserve of the harm test. Promotion is looked at when ``promotes``.
    """

    margin: float = 1.25
    promote_margin: float = 1.5
    slack: float = 0.0
    alpha: float = 0.05
    beta: float = 0.05
    cash: float | None = None
    promotes: bool = True

    @cached_property
    def harm(self) -> EProcess[Stratum]:
        if self.cash is None:
            return harm_test(self.margin, self.slack)
        return harm_test(self.margin, self.slack, self.cash)

    @cached_property
    def safe(self) -> EProcess[Stratum]:
        return safety_test(self.promote_margin, self.slack)

    def ends(self, windows: Windows) -> Ends:
        each = [self._end(one) for one in rows(windows)]
        window = np.array([at for at, _ in each])
        back = np.array([rolled_back for _, rolled_back in each])
        return Ends(window, back & (window != NEVER), ~back & (window != NEVER))

    def _end(self, windows: Iterator[Stratum]) -> tuple[int, bool]:
        """(window of the end or NEVER, whether it is a rollback)."""
        harm_limit, safe_limit = -math.log(self.alpha), -math.log(self.beta)
        harm, safe = self.harm.start(), self.safe.start()
        for number, stratum in enumerate(windows):
            harm = self.harm.update(harm, stratum)
            if harm.log_e >= harm_limit:
                return number, True
            if self.promotes:
                safe = self.safe.update(safe, stratum)
                if safe.log_e >= safe_limit:
                    return number, False
        return NEVER, False


@dataclass(frozen=True)
class Dispersed:
    """The harm test of a guardrail on failures as a policy's ``dispersion`` builds it."""

    dispersion: Dispersion
    margin: float = 1.25
    alpha: float = 0.05

    def ends(self, windows: Windows) -> Ends:
        comparison = compared(self.margin, 0.0, (Gate(1.5, 0.0),), self.dispersion)
        window = np.array([self._end(comparison, one) for one in rows(windows)])
        return Ends(window, window != NEVER, np.zeros(len(window), bool))

    def _end(self, comparison: Comparison, windows: Iterator[Stratum]) -> int:
        limit = -math.log(self.alpha)
        stream = comparison.start()
        for number, stratum in enumerate(windows):
            stream = comparison.update(stream, stratum, 0, (stratum, stratum))
            if stream.harm.log_e >= limit:
                return number
        return NEVER


def rows(windows: Windows) -> Iterator[Iterator[Stratum]]:
    """For each replicate, its windows one by one. Windows with an empty arm are left out."""
    for n1, x1, n0, x0 in zip(
        windows.n1.tolist(),
        windows.x1.tolist(),
        windows.n0.tolist(),
        windows.x0.tolist(),
        strict=True,
    ):
        yield (
            Stratum(*counts)
            for counts in zip(n1, x1, n0, x0, strict=True)
            if counts[0] and counts[2]
        )
