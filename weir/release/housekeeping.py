"""What is left over when releases have ended."""

from __future__ import annotations

from weir.errors import WeirError
from weir.ports import Platform


def forget_unused_images(platform: Platform) -> None:
    """Images of no version go; left alone while any endpoint is being released to or unreadable.

    Never fails: what could not be removed now is tried after the next release.
    """
    if not platform.images.retains:
        return
    try:
        documents = [platform.state.read(name) for name in platform.state.endpoints()]
        known = [document for document in documents if document is not None]
        if any(document.release is not None for document in known):
            return
        platform.images.retain(
            [version.image for document in known for version in document.endpoint.versions]
        )
    except WeirError:
        return
