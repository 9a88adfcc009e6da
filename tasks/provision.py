"""Provision: the cluster, and the endpoint's gateway."""

from __future__ import annotations

from blocks import open_platform
from tasks.holding import opened
from tasks.narration import telling_waits
from tasks.outward import outward
from weir.ports import ClusterStatus
from weir.release import steps

LIMIT_SECONDS = 7800
"""A cluster is made, or a Gateway gets its address: the platform has a time limit of its own."""


@outward(timeout_seconds=LIMIT_SECONDS)
def ensure_platform(endpoint: str, platform: str) -> str:
    """The cluster runs and the endpoint's gateway listens. Returns where callers reach it."""
    chosen, ledger = opened(endpoint, platform)
    with telling_waits() as say:
        steps.provision(chosen, ledger, say)
    return chosen.traffic.scoring_uri(endpoint) or "no address yet"


@outward(timeout_seconds=LIMIT_SECONDS)
def ensure_cluster(platform: str) -> ClusterStatus:
    """The platform's cluster is there, made where its block says how, and ready."""
    with telling_waits() as say:
        return open_platform(platform).clusters.ensure(say)
