"""Provision a cluster: it is there and ready, before the first release needs it."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows import ending
from tasks.narration import tell
from tasks.provision import ensure_cluster
from weir.errors import WeirError


@flow(name="provision-cluster")
def provision_cluster(platform: str) -> State[Any]:
    """Create, start and wait for the cluster of a platform, as its block says.

    Safe to run at any time and any number of times: it goes on where it stopped, and changes no
    cluster that is there.

    Args:
        platform: `local`, `kubernetes` (the kubeconfig's current context),
            `kubernetes:CONTEXT`, or a saved platform block such as `weir-azure-cluster/prod`.
    """
    tell(f"provisioning the cluster of {platform}")
    try:
        status = ensure_cluster(platform)
    except WeirError as error:
        return ending.foreseen(error)
    tell(f"the cluster {status.name} is ready")
    return Completed(message=f"{status.name} is ready")
