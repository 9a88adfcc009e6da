"""Provision: the cluster and the endpoint's gateway."""

from __future__ import annotations

from tasks.holding import opened
from tasks.narration import tell_waiting
from tasks.outward import outward
from weir.release import steps


# A cluster is made, or a Gateway gets its address: the platform has a time limit of its own.
@outward(timeout_seconds=7200)
def ensure_platform(endpoint: str, platform: str) -> str:
    """The cluster runs and the endpoint's gateway listens. Returns where callers reach it."""
    chosen, ledger = opened(endpoint, platform)
    steps.provision(chosen, ledger, tell_waiting)
    return chosen.traffic.scoring_uri(endpoint) or "no address yet"
