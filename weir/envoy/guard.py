"""The guard: Envoy as a sidecar in front of the model server of one pod, one replica of a version.

What the gateway of a laptop does for an endpoint, the guards of its pods do together, except for
choosing the version: that is done before them. A request passes the same two listeners (see
``weir.envoy``); behind them is one model server, in the same pod.

Files are those of two mounts. The ConfigMap's say what the guard is and hold nothing secret; the
Secret's one file (``guard_auth.auth_file``) says whom it lets in. The kubelet replaces a mount's
content by one rename in its root, and the guard follows it while it runs: what it can read becomes
effective, and of what it cannot read it keeps the last that was good. Until it has read the
Secret's file once it lets nobody in: without the file ``GUARD_PORT`` stays closed, which is what
the guard's own readiness probe should look at, and with one that is broken everybody gets 500.

When a pod ends: Kubernetes takes it out of the Service and waits in preStop, and until then the
guard serves as ever. ``POST /healthcheck/fail`` on the admin socket makes it close every caller's
connection after its next answer, and refuses nothing. SIGTERM ends it at once and breaks off what
is in flight, so it must be the last to get it: as a native sidecar (an init container with
``restartPolicy: Always``) it gets it after the model server has ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weir.endpoint import Version
from weir.envoy.access_log import STDOUT
from weir.envoy.bootstrap import (
    CLUSTERS,
    LISTENERS,
    bootstrap_document,
    bootstrap_text,
    command,
)
from weir.envoy.clusters import (
    one_request_a_connection,
    outer_cluster,
    replicas_cluster,
    unlimited,
)
from weir.envoy.guard_auth import auth_slot
from weir.envoy.guard_routes import guard_replies, guard_retries, guard_routes
from weir.envoy.guard_tracing import RUNTIME, collector_cluster, tracing
from weir.envoy.listeners import (
    callers_listener,
    connection_manager,
    inner_listener,
    port_listener,
)
from weir.envoy.resources import Resource, file_source, render, typed
from weir.envoy.routes import equals, replica_routes, text_answer

GUARD_PORT = 8080
"""Scoring."""

PROBE_PORT = 8081
"""Probes of the kubelet: any GET goes to the model server, unasked, unlogged and unlimited."""

MODEL_PORT = 9000
"""Where the model server listens, on the pod's loopback address."""

CONFIG_DIRECTORY = "/etc/weir/guard"
AUTH_DIRECTORY = "/etc/weir/auth"
AUTH_FILE = "auth.yaml"
RUN_DIRECTORY = "/run/weir"
"""Holds the admin socket, which only the guard's own user may open."""

ADMIN_SOCKET = "admin.sock"
BOOTSTRAP = "bootstrap.yaml"
ROUTES = "rds.yaml"

_PROBE = "weir.probe"


@dataclass(frozen=True)
class GuardSettings:
    """What a guard knows besides its version.

    ``path_prefix`` is what the endpoint's paths begin with, and what is taken away before the model
    server sees them; other paths are not found. ``collector`` is the ``host:port`` of an
    OpenTelemetry collector that takes OTLP over HTTP (4318); empty for none.

    Raises ValueError for a prefix that is no path or ends in a slash, and for no ``host:port``.
    """

    endpoint: str
    path_prefix: str = "/"
    collector: str = ""

    def __post_init__(self) -> None:
        prefix = self.path_prefix
        if prefix != "/" and (not prefix.startswith("/") or prefix.endswith("/")):
            raise ValueError(f"path_prefix {prefix!r} has to be / or like /fraud")
        host, _, port = self.collector.rpartition(":")
        if self.collector and not (host and port.isdecimal()):
            raise ValueError(f"collector {self.collector!r} has to be host:port")


def guard_files(
    version: Version,
    settings: GuardSettings,
    *,
    config_directory: str = CONFIG_DIRECTORY,
    auth_directory: str = AUTH_DIRECTORY,
    run_directory: str = RUN_DIRECTORY,
    guard_port: int = GUARD_PORT,
    probe_port: int = PROBE_PORT,
    model_port: int = MODEL_PORT,
    address: str = "0.0.0.0",
    access_log: str = STDOUT,
) -> Mapping[str, str]:
    """The data of a ConfigMap by file name, to be mounted at ``config_directory``.

    The same arguments give the same texts, and none of them is a secret. Everything but
    ``bootstrap.yaml`` may change under a running guard. Directories, ports and ``address`` are a
    pod's own unless a guard is to run elsewhere.
    """
    mount, auth = Path(config_directory), Path(auth_directory)
    listeners = [
        callers_listener(
            settings.endpoint,
            (address, guard_port),
            routes=file_source(mount / ROUTES, mount),
            authentication=auth_slot(auth / AUTH_FILE, auth),
            local_replies=guard_replies(version),
            log=access_log,
            **({"tracing": tracing(settings.endpoint, version.name)} if settings.collector else {}),
        ),
        inner_listener(
            version,
            version.deployment.replica_max_concurrent_requests,
            replica_routes(version, guard_retries(version.deployment)),
        ),
        port_listener(_PROBE, _PROBE, (address, probe_port), _probe_manager()),
    ]
    clusters = [
        outer_cluster(version.name),
        _model_cluster(replicas_cluster(version.name), model_port),
        _model_cluster(_PROBE, model_port),
    ]
    if settings.collector:
        clusters.append(collector_cluster(settings.collector))
    bootstrap = bootstrap_document(
        {"id": settings.endpoint, "cluster": "weir"},
        file_source(mount / LISTENERS, mount),
        file_source(mount / CLUSTERS, mount),
        Path(run_directory) / ADMIN_SOCKET,
    )
    bootstrap["layered_runtime"] = {"layers": [{"name": "weir", "static_layer": RUNTIME}]}
    return {
        BOOTSTRAP: bootstrap_text(bootstrap),
        LISTENERS: render(listeners),
        CLUSTERS: render(clusters),
        ROUTES: render([guard_routes(version, settings.endpoint, settings.path_prefix)]),
    }


def guard_command() -> tuple[str, ...]:
    """Arguments of Envoy in a pod, without the program itself."""
    return command("envoy", Path(CONFIG_DIRECTORY) / BOOTSTRAP)[1:]


def guard_environment() -> Mapping[str, str]:
    """Environment of the guard's container, after a variable POD_NAME with the pod's name.

    Kubernetes fills in ``$(POD_NAME)``. Spans then say which pod they are from.
    """
    return {"OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=$(POD_NAME)"}


def _model_cluster(name: str, port: int) -> Resource:
    """The model server. It is not probed from here: whether the pod is ready the kubelet says."""
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return typed(
        "envoy.config.cluster.v3.Cluster",
        name=name,
        type="STATIC",
        connect_timeout="1s",
        load_assignment={
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        circuit_breakers=unlimited(),
        typed_extension_protocol_options=one_request_a_connection(),
    )


def _probe_manager() -> dict[str, Any]:
    # The kubelet only ever sends GET, and nobody is to score here without a key.
    match = {"prefix": "/", "headers": [equals(":method", "GET")]}
    routes = [
        # The kubelet's own timeout is the one that counts.
        {"match": match, "route": {"cluster": _PROBE, "timeout": "0s"}},
        {"match": {"prefix": "/"}, "direct_response": text_answer(405, "This port is for probes.")},
    ]
    hosts = [{"name": _PROBE, "domains": ["*"], "routes": routes}]
    return connection_manager(
        _PROBE,
        route_config={"name": _PROBE, "validate_clusters": True, "virtual_hosts": hosts},
        generate_request_id=False,
    )
