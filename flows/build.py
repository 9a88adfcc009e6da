"""Build: model, entry script and environment become an image."""

from __future__ import annotations

from prefect import flow

from tasks.build import build_image
from tasks.narration import tell, tell_waiting
from weir.endpoint import short_image


@flow(name="build")
def build(endpoint: str, platform: str = "local") -> None:
    """Build the image of the release under way, unless the same content is there.

    Args:
        endpoint: Name of the endpoint.
        platform: `local`, `kubernetes` (the kubeconfig's current context),
            `kubernetes:CONTEXT`, or a saved platform block.
    """
    tell_waiting("building the image")
    digest, built = build_image(endpoint, platform)
    tell(f"{'built' if built else 'unchanged, reused'}: image {short_image(digest)}")
