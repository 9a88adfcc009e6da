"""Retire: drain and remove what is not needed, keep the last good version."""

from __future__ import annotations

from prefect import flow

from tasks.narration import tell
from tasks.retire import drain_and_remove


@flow(name="retire")
def retire(endpoint: str, platform: str = "local") -> None:
    """Remove the versions that the release under way has made superfluous.

    Args:
        endpoint: Name of the endpoint.
        platform: `local`, `kubernetes` (the kubeconfig's current context),
            `kubernetes:CONTEXT`, or a saved platform block.
    """
    gone = drain_and_remove(endpoint, platform)
    if gone:
        tell(f"retired: {', '.join(gone)}")
