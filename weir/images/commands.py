"""The command lines of buildah, podman and docker. Pure; no secret stands in one."""

from __future__ import annotations

from pathlib import Path

from weir.images.context import DOCKERFILE
from weir.images.planning import Reference
from weir.images.settings import ImageSettings, ToolSettings

PROGRAMS = ("buildah", "podman", "docker")
"""In the order in which they are looked for: the first needs no daemon."""


def build_command(
    program: str,
    tool: ToolSettings,
    settings: ImageSettings,
    wanted: Reference,
    folder: Path,
    *,
    is_plain: bool,
) -> tuple[str, ...]:
    """Builds the context in ``folder`` and calls the result ``wanted``.

    ``is_plain`` when all that is pulled comes from a registry without TLS.
    """
    own: tuple[str, ...] = ()
    if not is_docker(program):
        # Layers are kept for the next build, and no time of day makes two of the same content.
        own = ("--layers", "--timestamp", "0", *_login(tool), *_plain(is_plain))
    return (
        *(program, *tool.options, "build"),
        *own,
        *(("--platform", settings.platform) if settings.platform else ()),
        *("--file", str(folder / DOCKERFILE), "--tag", str(wanted)),
        *tool.build_options,
        str(folder),
    )


def push_command(
    program: str, tool: ToolSettings, wanted: Reference, *, is_plain: bool
) -> tuple[str, ...]:
    """Pushes ``wanted``. docker knows from its daemon's settings which registries have no TLS."""
    if is_docker(program):
        return (program, *tool.options, "push", str(wanted))
    return (
        program,
        *tool.options,
        "push",
        *_login(tool),
        *_plain(is_plain),
        str(wanted),
        f"docker://{wanted}",
    )


def is_docker(program: str) -> bool:
    return Path(program).name == "docker"


def _login(tool: ToolSettings) -> tuple[str, ...]:
    return ("--authfile", str(Path(tool.auth_file).expanduser())) if tool.auth_file else ()


def _plain(is_plain: bool) -> tuple[str, ...]:
    return ("--tls-verify=false",) if is_plain else ()
