"""Resume: go on with a release that is unfinished and that nobody works on."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows import ending
from flows.beginning import take_over
from flows.release import carry_out
from weir.errors import WeirError


@flow(name="resume", on_cancellation=[ending.return_to_control])
def resume(endpoint: str, platform: str = "local", unpause: bool = True) -> State[Any]:
    """Go on with the unfinished release of an endpoint, from the step where it stands.

    Args:
        endpoint: Name of the endpoint.
        platform: `local`, `kubernetes` (the kubeconfig's current context),
            `kubernetes:CONTEXT`, or a saved platform block.
        unpause: Go on although a person paused it; the waiting times start anew.
    """
    try:
        take_over(endpoint, platform, unpause=unpause)
        return carry_out(endpoint, platform)
    except WeirError as error:
        return ending.foreseen(error)
