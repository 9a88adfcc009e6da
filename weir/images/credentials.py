"""Who signs in at a registry: what docker, podman and buildah wrote down at somebody's login."""

from __future__ import annotations

import base64
import binascii
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HELPER_SECONDS = 30.0

_TOKEN_USER = "<token>"


@dataclass(frozen=True)
class Credentials:
    """A user and a password, or an identity token, which registries of Azure give. Never shown."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


def login_files(environment: Mapping[str, str], home: Path, user_id: int) -> tuple[Path, ...]:
    """Where logins are kept, as the tools look for them, the first that has one counts."""
    run = environment.get("XDG_RUNTIME_DIR")
    docker = environment.get("DOCKER_CONFIG")
    named = environment.get("REGISTRY_AUTH_FILE")
    return (
        *([Path(named)] if named else []),
        Path(run) / "containers/auth.json" if run else Path(f"/run/containers/{user_id}/auth.json"),
        (Path(docker) if docker else home / ".docker") / "config.json",
    )


def find_credentials(
    registry: str,
    auth_file: str = "",
    run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run,
) -> Credentials | None:
    """The login for ``registry`` in ``auth_file``, or in the usual places; None without one.

    Reads files, and asks the credential helper that one of them names.
    """
    files = (
        (Path(auth_file).expanduser(),)
        if auth_file
        else login_files(os.environ, Path.home(), os.getuid())
    )
    for file in files:
        settings = _read(file)
        found = _written(settings, registry) or _of_a_helper(settings, registry, run)
        if found is not None:
            return found
    return None


def _read(file: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _written(settings: Mapping[str, Any], registry: str) -> Credentials | None:
    logins = settings.get("auths")
    for key in _keys(registry):
        login = logins.get(key) if isinstance(logins, dict) else None
        if isinstance(login, dict) and (login.get("auth") or login.get("identitytoken")):
            user, password = _decoded(str(login.get("auth", "")))
            return Credentials(user, password, str(login.get("identitytoken", "")))
    return None


def _decoded(auth: str) -> tuple[str, str]:
    try:
        user, _, password = base64.b64decode(auth).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password.rstrip("\0")


def _of_a_helper(
    settings: Mapping[str, Any],
    registry: str,
    run: Callable[..., subprocess.CompletedProcess[str]],
) -> Credentials | None:
    helpers = settings.get("credHelpers")
    named = helpers.get(registry) if isinstance(helpers, dict) else None
    helper = named or settings.get("credsStore")
    if not isinstance(helper, str) or "/" in helper:
        return None
    try:
        done = run(
            [f"docker-credential-{helper}", "get"],
            input=registry,
            capture_output=True,
            text=True,
            timeout=HELPER_SECONDS,
            check=True,
        )
        found = json.loads(done.stdout)
        user, secret = str(found["Username"]), str(found["Secret"])
    except (OSError, subprocess.SubprocessError, ValueError, LookupError, TypeError):
        return None
    if user == _TOKEN_USER:
        return Credentials(identity_token=secret)
    return Credentials(user, secret)


def _keys(registry: str) -> Iterator[str]:
    """docker.io is kept under a name of its own."""
    yield registry
    yield f"https://{registry}"
    if registry == "docker.io":
        yield "https://index.docker.io/v1/"
