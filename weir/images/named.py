"""Images that somebody else built: a release names one, and nodes pull it."""

from __future__ import annotations

from collections.abc import Sequence

from weir.errors import UserError
from weir.ports import BuildContext, Image, Images, Say, unsaid


class NamedImages:
    """Implements ``Images`` without building: what the release file names is what runs.

    Whether a registry has the image, the node finds out that is to run it.
    """

    retains = False

    def digest(self, context: BuildContext) -> str:
        """Raises UserError ``image.not_named``."""
        image = context.inference.image
        if image is None:
            raise UserError(
                "image.not_named",
                "the release names no container image, and this platform builds none.",
                remedy="Build one that holds server and model, push it, and name it in"
                " inference.image, best by digest.",
                where="inference.image",
            )
        return image

    def build(self, context: BuildContext, say: Say = unsaid) -> Image:
        """Raises UserError ``image.not_named``."""
        image = self.digest(context)
        say(f"taking {image}, which the release names")
        return Image(image, built=False)

    def retain(self, digests: Sequence[str]) -> None:
        """Nothing: a registry's images are not weir's to remove."""


class NamedOrBuilt:
    """Implements ``Images``: an image that the release names, and else what ``builder`` builds."""

    def __init__(self, builder: Images) -> None:
        self._builder = builder
        self._named = NamedImages()
        self.retains = builder.retains

    def digest(self, context: BuildContext) -> str:
        return self._of(context).digest(context)

    def build(self, context: BuildContext, say: Say = unsaid) -> Image:
        return self._of(context).build(context, say)

    def retain(self, digests: Sequence[str]) -> None:
        self._builder.retain(digests)

    def _of(self, context: BuildContext) -> Images:
        return self._builder if context.inference.image is None else self._named
