"""Provision: a cluster that is there, with a gateway for the endpoint."""

from __future__ import annotations

from prefect import flow

from tasks.narration import tell, tell_waiting
from tasks.provision import ensure_platform


@flow(name="provision")
def provision(endpoint: str, platform: str = "local") -> None:
    """Create or start what is missing, and wait until it is there.

    Args:
        endpoint: Name of the endpoint.
        platform: `local`, `kubernetes` (the kubeconfig's current context),
            `kubernetes:CONTEXT`, or a saved platform block.
    """
    tell_waiting(f"starting what is missing of platform {platform}")
    uri = ensure_platform(endpoint, platform)
    tell(f"provisioned: platform {platform}, {endpoint} at {uri}")
