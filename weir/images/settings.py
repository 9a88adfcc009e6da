"""What images are built on, what they are called, and where they go: frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field

from weir.images.dockerfile import Bases


@dataclass(frozen=True)
class ImageSettings:
    """``registry`` is a host, with its port if need be; images are REPOSITORY/MODEL in it. It is
    empty for a builder that is a registry itself.

    ``platform`` is that of the nodes. ``plain_http`` allows HTTP without TLS, which loopback may
    anyway.
    """

    registry: str = ""
    repository: str = "weir"
    bases: Bases = field(default_factory=Bases)
    platform: str = "linux/amd64"
    plain_http: bool = False


@dataclass(frozen=True)
class ToolSettings:
    """``program`` is buildah, podman or docker, by name or path; the first there is when empty.

    ``options`` stand behind its name (--storage-driver vfs), ``build_options`` behind its build
    (--isolation chroot). ``auth_file`` holds its login; its own usual one when empty.
    """

    program: str = ""
    options: tuple[str, ...] = ()
    build_options: tuple[str, ...] = ()
    auth_file: str = ""
    build_timeout_seconds: float = 3600
    push_timeout_seconds: float = 3600
