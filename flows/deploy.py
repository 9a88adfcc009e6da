"""Deploy: the new version runs, at no traffic."""

from __future__ import annotations

from prefect import flow

from tasks.deploy import await_replicas, start_replicas
from tasks.narration import tell, tell_waiting


@flow(name="deploy")
def deploy(endpoint: str, platform: str = "local") -> None:
    """Start the replicas of the release under way and wait until all are ready.

    Args:
        endpoint: Name of the endpoint.
        platform: `local`, `kubernetes` (the kubeconfig's current context),
            `kubernetes:CONTEXT`, or a saved platform block.
    """
    tell_waiting("starting the replicas and waiting until all are ready")
    start_replicas(endpoint, platform)
    ready = await_replicas(endpoint, platform)
    tell(f"deployed: {ready} of {ready} replicas ready, at 0 % of the traffic")
