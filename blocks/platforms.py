"""Where a release goes: a block names a platform and opens it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from pathlib import Path

from prefect.blocks.core import Block
from pydantic import Field

from weir.errors import UserError
from weir.local.platform import local_platform
from weir.naming import KUBERNETES, LOCAL, require_platform_name
from weir.ports import Platform


class PlatformBlock(Block, ABC):
    """A saved platform. Whoever adds a platform derives from this and has the class imported."""

    @abstractmethod
    def open(self) -> Platform:
        """The platform, ready to be asked. Starts nothing."""


class LocalPlatform(PlatformBlock):
    """This machine: processes, Envoy, DuckDB and files in one home folder."""

    _block_type_name = "weir Local Platform"
    _block_type_slug = "weir-local-platform"
    _description = "Runs model versions as processes of this machine, behind a real Envoy."

    home: str = Field(
        default="", title="Home folder", description="WEIR_HOME or ~/.weir when empty."
    )

    def open(self) -> Platform:
        """The platform in ``home``. Starts nothing."""
        return local_platform(Path(self.home).expanduser() if self.home else None)


@lru_cache
def open_platform(reference: str = LOCAL) -> Platform:
    """``local``, ``kubernetes``, or a saved block as ``weir-kubernetes-cluster/NAME`` or
    ``weir-azure-cluster/NAME``.

    Raises UserError ``platform.unknown`` when there is no such block.
    """
    return load_platform(reference).open()


def load_platform(reference: str = LOCAL) -> PlatformBlock:
    """The block itself. Raises UserError ``platform.unknown``."""
    require_platform_name(reference)
    if reference == LOCAL:
        return LocalPlatform()
    kind, _, context = reference.partition(":")
    if kind == KUBERNETES:
        from blocks.cluster import KubernetesCluster

        return KubernetesCluster(context=context)
    try:
        block = Block.load(reference)
    except ValueError as error:
        raise UserError(
            "platform.unknown",
            f"there is no platform block {reference}.",
            remedy="Use local, kubernetes or kubernetes:CONTEXT, or save a block first (see"
            " docs/kubernetes.md), or weir cluster create or attach.",
            where="platform",
        ) from error
    if not isinstance(block, PlatformBlock):
        raise UserError(
            "platform.unknown",
            f"the block {reference} is a {type(block).__name__}, not a platform.",
            remedy="Use local, kubernetes, or a platform block.",
            where="platform",
        )
    return block
