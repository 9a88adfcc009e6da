"""What an image will be called before it is built: REGISTRY/REPOSITORY:TAG, by its content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from weir.images.context import Prepared, digest, prepare
from weir.images.settings import ImageSettings
from weir.ports import BuildContext

_TAG_LENGTH = 24


@dataclass(frozen=True)
class Reference:
    registry: str
    repository: str
    tag: str

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}:{self.tag}"


@dataclass(frozen=True)
class PlannedImage:
    """``content`` is the digest of ``prepared``, which whoever writes that out gets again."""

    reference: Reference
    prepared: Prepared
    content: str


def planned(context: BuildContext, settings: ImageSettings) -> PlannedImage:
    """Reads every file once. Raises UserError ``image.*`` for what is missing or wrong."""
    prepared = prepare(context, settings.bases)
    content = digest(prepared)
    return PlannedImage(reference(content, context.name, settings), prepared, content)


def reference(content: str, name: str, settings: ImageSettings) -> Reference:
    """The image of the context with the digest ``content``, for the model ``name``."""
    whole = hashlib.sha256(f"{content}\0{settings.platform}".encode()).hexdigest()
    repository = "/".join(part for part in (settings.repository.strip("/"), name) if part)
    return Reference(settings.registry, repository, whole[:_TAG_LENGTH])
