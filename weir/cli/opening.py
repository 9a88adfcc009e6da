"""Which platform a command is about."""

from __future__ import annotations

from typing import Annotated

import typer

from weir.cli import prefect_settings
from weir.local.platform import local_platform
from weir.ports import Platform

LOCAL = "local"

OnPlatform = Annotated[
    str,
    typer.Option(
        "--platform",
        help="local, kubernetes (the kubeconfig's current context), kubernetes:CONTEXT, or a saved"
        " platform block.",
        show_default=False,
    ),
]


def open_platform(reference: str = LOCAL) -> Platform:
    """``local`` is this machine's home, ``kubernetes`` a cluster that kubectl reaches; anything
    else is a block that is saved in Prefect.

    Prefect is loaded for a block only. Raises UserError ``platform.unknown``.
    """
    if reference == LOCAL:
        return local_platform()
    prefect_settings.choose_api()
    import blocks

    return blocks.open_platform(reference)


def option(reference: str) -> str:
    """What has to be added to a command to mean the same platform."""
    return "" if reference == LOCAL else f" --platform {reference}"
