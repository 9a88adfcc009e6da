"""Which platform a command is about."""

from __future__ import annotations

from typing import Annotated

import typer

from weir.cli import output, prefect_settings
from weir.local.platform import local_platform
from weir.naming import LOCAL, require_platform_name
from weir.ports import Platform

__all__ = ["LOCAL", "OnPlatform", "note_platform", "open_platform"]

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
    note_platform(reference)
    if reference == LOCAL:
        return local_platform()
    prefect_settings.choose_api()
    import blocks

    return blocks.open_platform(reference)


def note_platform(reference: str) -> None:
    """Whatever this process prints is about ``reference`` from now on.

    Raises UserError ``platform.unknown`` for a name that can be none, at once.
    """
    require_platform_name(reference)
    output.speak_of("" if reference == LOCAL else reference)
