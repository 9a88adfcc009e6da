"""Provision: the cluster and the endpoint's gateway."""

from __future__ import annotations

from tasks.holding import opened
from tasks.outward import outward
from weir.release import steps


@outward(timeout_seconds=180)
def ensure_platform(endpoint: str, platform: str) -> int:
    """The cluster runs and the endpoint's gateway listens. Returns the gateway's port."""
    document = steps.provision(*opened(endpoint, platform))
    return document.endpoint.port or 0
