"""Deploy: the version's replicas, at no traffic."""

from __future__ import annotations

from tasks.holding import opened
from tasks.narration import tell_waiting
from tasks.outward import HANG_SECONDS, outward
from weir.release import steps


@outward(timeout_seconds=HANG_SECONDS)
def start_replicas(endpoint: str, platform: str) -> None:
    """The version's replicas are wanted, at 0 % of the traffic."""
    steps.deploy(*opened(endpoint, platform))


@outward(timeout_seconds=None)
def await_replicas(endpoint: str, platform: str) -> int:
    """Every replica is ready. Returns their number; VersionUnhealthy when they never will be."""
    return steps.await_ready(*opened(endpoint, platform), say=tell_waiting)
