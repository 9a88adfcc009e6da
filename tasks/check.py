"""Check: the version alone scores the sample inputs."""

from __future__ import annotations

from tasks.holding import opened
from tasks.outward import outward
from weir.ports import CheckReport
from weir.release import steps


@outward(timeout_seconds=3600)
def score_samples(endpoint: str, platform: str) -> CheckReport:
    """The sample inputs, scored on the new version alone."""
    return steps.check(*opened(endpoint, platform))
