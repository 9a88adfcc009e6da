"""Which Prefect API a command's runs go to, settled before Prefect is imported."""

from __future__ import annotations

import logging
import os
import tomllib
from pathlib import Path

from weir.local.home import Home, default_home
from weir.local.pids import MARKER, ephemeral_marker
from weir.local.server import running_server

QUIET = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
    "DO_NOT_TRACK": "1",
    # What a rollout can do without is not waited for long.
    "PREFECT_API_REQUEST_TIMEOUT": "15",
    "PREFECT_CLIENT_MAX_RETRIES": "4",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
}


def choose_api() -> str | None:
    """The API that runs go to: the user's own, else the embedded server of this home.

    None means Prefect's ephemeral API. Sets the environment accordingly.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    # Without a handler what these warn of would go to stderr by itself: that the news of a loaded
    # block is still being sent, say.
    for name in ("prefect", "EventsWorker", "APILogWorker"):
        logging.getLogger(name).addHandler(logging.NullHandler())
    chosen = os.environ.get("PREFECT_API_URL") or _profile_api()
    if chosen:
        return chosen
    server = running_server(default_home())
    if server is None:
        # Prefect starts its server as a child, which outlives a killed parent; down finds it.
        mark = ephemeral_marker(Home(default_home()), os.getpid())
        os.environ[MARKER] = mark
        return None
    os.environ["PREFECT_API_URL"] = server.api
    # The embedded server asks for no token; asking it for one costs a call for each part.
    os.environ.setdefault("PREFECT_CLIENT_CSRF_SUPPORT_ENABLED", "false")
    return server.api


def _profile_api() -> str | None:
    home = Path(os.environ.get("PREFECT_HOME") or Path.home() / ".prefect")
    try:
        profiles = tomllib.loads((home / "profiles.toml").read_text())
    except (OSError, tomllib.TOMLDecodeError):
        return None
    active = os.environ.get("PREFECT_PROFILE") or profiles.get("active")
    profile = profiles.get("profiles", {}).get(active, {})
    url = profile.get("PREFECT_API_URL")
    return str(url) if url else None
