"""Build: model, entry script and environment become an image."""

from __future__ import annotations

from tasks.holding import opened
from tasks.narration import telling_waits
from tasks.outward import outward
from weir.release import steps


# A build and a push have time limits of their own: two hours at most, and one.
@outward(timeout_seconds=11400, retries=2)
def build_image(endpoint: str, platform: str) -> tuple[str, bool]:
    """The image of the release. Returns its digest and whether it had to be built."""
    with telling_waits(recorded=True) as say:
        image = steps.build(*opened(endpoint, platform), say)
    return image.digest, image.built
