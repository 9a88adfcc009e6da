"""What is counted: failures of the policy's classes, and slow requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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

    def of(self, counts: VersionCounts) -> tuple[int, int]:
        """(requests, how many of them failed)."""
        return counts.requests, counts.failures


@dataclass(frozen=True)
class Slower:
    """Requests with a latency above ``threshold_ms``, or above the end of its bucket."""

    threshold_ms: float

    @property
    def verb(self) -> str:
        return f"takes more than {self.threshold_ms:g} ms for"

    def of(self, counts: VersionCounts) -> tuple[int, int]:
        """(requests with a latency, how many of them are slow)."""
        held = counts.latency_ms
        return held.total(), held.slower_than(self.threshold_ms, sure=True)


Counting = Failed | Slower
