"""What Envoy starts with: where its files and its admin socket are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from weir.envoy.resources import file_source, typed

LISTENERS = "lds.yaml"
CLUSTERS = "cds.yaml"

FLUSH_SECONDS = 0.1
"""How long an access log line may wait in Envoy's memory."""


def bootstrap(endpoint: str, directory: Path, admin_socket: Path) -> str:
    """The bootstrap file: listeners and clusters from ``directory``, admin on a private socket."""
    document = bootstrap_document(
        {"id": endpoint, "cluster": "weir"},
        file_source(directory / LISTENERS),
        file_source(directory / CLUSTERS),
        admin_socket,
    )
    return bootstrap_text(document)


def bootstrap_document(
    node: dict[str, Any],
    listeners: dict[str, Any],
    clusters: dict[str, Any],
    admin_socket: Path,
) -> dict[str, Any]:
    """A bootstrap with nothing static in it; the arguments are who it is and two sources."""
    # Far above what a machine serves; Envoy warns in its log where there is no limit.
    connections = {
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": typed(
            "envoy.extensions.resource_monitors.downstream_connections.v3"
            ".DownstreamConnectionsConfig",
            max_active_downstream_connections=50_000,
        ),
    }
    return {
        "node": node,
        "dynamic_resources": {"lds_config": listeners, "cds_config": clusters},
        "admin": {"address": {"pipe": {"path": str(admin_socket), "mode": 0o600}}},
        "bootstrap_extensions": [
            {
                "name": "envoy.bootstrap.internal_listener",
                "typed_config": typed(
                    "envoy.extensions.bootstrap.internal_listener.v3.InternalListener"
                ),
            }
        ],
        "overload_manager": {"resource_monitors": [connections]},
    }


def bootstrap_text(document: dict[str, Any]) -> str:
    """The file's text; the same document gives the same text."""
    return yaml.safe_dump(document, sort_keys=False, width=1000)


def command(envoy: str, bootstrap_file: Path) -> tuple[str, ...]:
    """The command line of a gateway.

    One worker thread: the concurrency limit is then exact, every split change is effective at
    one instant, and no connection waits in one worker's pool while another worker needs a slot.
    """
    return (
        envoy,
        "--config-path",
        str(bootstrap_file),
        "--disable-hot-restart",
        "--concurrency",
        "1",
        "--file-flush-interval-msec",
        str(round(FLUSH_SECONDS * 1000)),
        "--log-level",
        "warning",
        # The key filter warns at every start that it is work in progress.
        "--component-log-level",
        "misc:error",
    )
