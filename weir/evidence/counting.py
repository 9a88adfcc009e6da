"""What is counted: failures of the policy's classes, and slow requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from weir.evidence.stratum import Stratum
from weir.spec.rollout import FailureClass
from weir.window import VersionCounts


def counted(counts: VersionCounts, classes: Sequence[FailureClass]) -> VersionCounts:
    """``counts`` whose ``failures`` are those of ``classes``.

    Counts without any class keep their ``failures``. The other classes stay in the requests: a
    client's error is a request that the version did not fail.
    """
    if not counts.failures_by_class:
        return counts
    failures = sum([counts.failures_by_class.get(kind, 0) for kind in classes])
    if failures == counts.failures:
        return counts
    return counts.model_copy(update={"failures": failures})


@dataclass(frozen=True)
class Failed:
    """Requests that failed."""

    verb: str = "fails"

    def of(self, control: VersionCounts, treatment: VersionCounts) -> Stratum:
        """Requests, and how many of them failed."""
        return Stratum(treatment.requests, treatment.failures, control.requests, control.failures)

    most = of


@dataclass(frozen=True)
class Slower:
    """Requests with a latency above ``threshold_ms``, within a bucket's width.

    Both versions are counted in the same buckets. ``of`` counts those that are slower for sure,
    from the end of the threshold's bucket on; ``most`` those that may be, from its start.
    """

    threshold_ms: float

    @property
    def verb(self) -> str:
        return f"takes more than {self.threshold_ms:g} ms for"

    def of(self, control: VersionCounts, treatment: VersionCounts) -> Stratum:
        """Requests with a latency, and how many of them are slow."""
        return self._counted(control, treatment, sure=True)

    def most(self, control: VersionCounts, treatment: VersionCounts) -> Stratum:
        """Requests with a latency, and how many of them may be slow."""
        return self._counted(control, treatment, sure=False)

    def _counted(self, control: VersionCounts, treatment: VersionCounts, *, sure: bool) -> Stratum:
        scale = min(control.latency_ms.scale, treatment.latency_ms.scale)
        theirs, ours = (
            counts.latency_ms.at_scale(scale).slower_than(self.threshold_ms, sure=sure)
            for counts in (control, treatment)
        )
        return Stratum(treatment.latency_ms.total(), ours, control.latency_ms.total(), theirs)


Counting = Failed | Slower
