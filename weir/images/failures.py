"""What the last lines of a failed build or push mean. Pure."""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from weir.errors import PermanentError, TemporaryError, WeirError
from weir.spec.text import printable_line

SHOWN_LINES = 12
_LONGEST = 2000

_SECRET_IN_URL = re.compile(r"://[^/\s@]+@")


@dataclass(frozen=True)
class _Cause:
    signs: tuple[str, ...]
    kind: type[WeirError]
    reason: str
    message: str
    remedy: str


_FULL = _Cause(
    ("no space left on device", "disk quota exceeded"),
    PermanentError,
    "disk.full",
    "there is no space left to build the image",
    "Free space (buildah prune, podman image prune, docker builder prune), then run again.",
)
_NETWORK = (
    *("connection refused", "i/o timeout", "no such host", "temporary failure in name resolution"),
    *("tls handshake timeout", "connection reset by peer", "network is unreachable"),
    *("bad gateway", "service unavailable", "too many requests", "toomanyrequests"),
)
_DURING_BUILD = (
    _FULL,
    _Cause(
        ("no matching distribution found", "resolutionimpossible", "invalid requirement"),
        PermanentError,
        "image.requirements_unresolvable",
        "the requirements do not resolve",
        "Correct the requirements file and release again.",
    ),
    _Cause(
        ("newconnectionerror", "failed to establish a new connection", "readtimeouterror"),
        TemporaryError,
        "image.index_unreachable",
        "the package index cannot be reached from within the build",
        "Check the connection and the index settings of the base image, then run again.",
    ),
    _Cause(
        (
            *("manifest unknown", "name unknown", "repository does not exist", "unauthorized"),
            *("access to the resource is denied", "authentication required"),
            *("failed to resolve source metadata", "did not resolve to an alias"),
        ),
        PermanentError,
        "image.base_unavailable",
        "the image to build on cannot be pulled",
        "Correct inference.base_image or the builder's base images, or sign in at their registry.",
    ),
    _Cause(
        _NETWORK,
        TemporaryError,
        "image.base_unreachable",
        "a registry or another server cannot be reached from within the build",
        "Check the connection, or name base images of a mirror; then run again.",
    ),
)
_DURING_PUSH = (
    _FULL,
    _Cause(
        (
            *("unauthorized", "authentication required", "denied:", "no basic auth credentials"),
            *("access to the resource is denied", "forbidden", "incorrect username or password"),
        ),
        PermanentError,
        "image.registry_sign_in",
        "the registry does not take the image from this login",
        "Sign in with an account that may push (docker login, buildah login, az acr login), or give"
        " the builder the file of such a login.",
    ),
    _Cause(
        ("server gave http response to https client", "certificate"),
        PermanentError,
        "image.registry_insecure",
        "the registry has no TLS, or a certificate that is not trusted",
        "Trust its certificate, or allow plain HTTP in the builder's settings; docker wants it in"
        " its daemon's insecure-registries.",
    ),
    _Cause(
        _NETWORK,
        TemporaryError,
        "image.registry_unreachable",
        "the registry cannot be reached",
        "Check its address and the connection to it, then run again.",
    ),
)


def build_failure(last_lines: Sequence[str], where: str) -> WeirError:
    """The error of a build that failed, with its own last lines."""
    usual = _Cause(
        (),
        PermanentError,
        "image.build_failed",
        "the image cannot be built",
        "Correct what the last lines name, and release again.",
    )
    return _explained(last_lines, where, _DURING_BUILD, usual)


def push_failure(last_lines: Sequence[str], where: str) -> WeirError:
    """The error of a push that failed, with its own last lines."""
    usual = _Cause(
        (),
        PermanentError,
        "image.push_failed",
        "the image cannot be pushed",
        "See to what the last lines name, and release again.",
    )
    return _explained(last_lines, where, _DURING_PUSH, usual)


def unwritable(error: OSError, path: Path) -> PermanentError:
    """The error of a build context that could not be written to ``path``."""
    return PermanentError(
        "disk.full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "image.context_unwritable",
        f"the build context cannot be written: {error.strerror}.",
        remedy="Free space, or correct the folder's permissions; then run again.",
        where=str(path),
    )


def quoted(last_lines: Sequence[str]) -> str:
    """The last lines as they may stand in a message, without logins in addresses."""
    lines = [line for line in last_lines if line.strip()]
    return "".join(f"\n    {shown(line)}" for line in lines[-SHOWN_LINES:])


def shown(line: str) -> str:
    """A builder's line as it may be shown and kept, without logins in addresses."""
    found = _SECRET_IN_URL.sub("://…@", printable_line(line).rstrip())
    return found if len(found) <= _LONGEST else f"{found[:_LONGEST]}…"


def _explained(
    last_lines: Sequence[str], where: str, causes: Sequence[_Cause], usual: _Cause
) -> WeirError:
    low = "\n".join(last_lines).lower()
    cause = next((one for one in causes if any(sign in low for sign in one.signs)), usual)
    message = f"{cause.message}; the builder says:{quoted(last_lines)}\n"
    return cause.kind(cause.reason, message, remedy=cause.remedy, where=where)
