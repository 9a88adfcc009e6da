"""Build: model, entry script and environment become an image."""

from __future__ import annotations

from tasks.holding import opened
from tasks.outward import outward
from weir.release import steps


@outward(timeout_seconds=4500, retries=2)
def build_image(endpoint: str, platform: str) -> tuple[str, bool]:
    """The image of the release. Returns its digest and whether it had to be built."""
    image = steps.build(*opened(endpoint, platform))
    return image.digest, image.built
