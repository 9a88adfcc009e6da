"""Listeners: the endpoint's port with authentication and access log, and the inner one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from weir.endpoint import Version
from weir.envoy.access_log import access_log
from weir.envoy.clusters import replicas_listener
from weir.envoy.filters import body_filter, key_filter, memory_filter
from weir.envoy.replies import RECEIVING_SECONDS, front_replies, inner_replies
from weir.envoy.resources import Resource, file_source, seconds, typed
from weir.envoy.routes import FRONT, LARGEST_BODY_BYTES, replica_retries, replica_routes


def listener_port(resources: Sequence[Mapping[str, Any]]) -> int | None:
    """The port in a listener file."""
    for resource in resources:
        if resource.get("name") == FRONT:
            return int(resource["address"]["socket_address"]["port_value"])
    return None


def front_listener(
    endpoint: str, port: int, directory: Path, address: str = "127.0.0.1"
) -> Resource:
    """The endpoint's own listener; routes and access log are in ``directory``."""
    return callers_listener(
        endpoint,
        (address, port),
        routes=file_source(directory / "rds.yaml"),
        authentication=key_filter(),
        local_replies=front_replies(),
        log=str(directory / "access.log"),
    )


def callers_listener(
    endpoint: str,
    address: tuple[str, int],
    *,
    routes: dict[str, Any],
    authentication: dict[str, Any],
    local_replies: dict[str, Any],
    log: str,
    **options: Any,
) -> Resource:
    """What callers connect to. ``routes`` is a source of the route configuration ``FRONT``.

    A request is authenticated, then taken in whole, then routed; its line goes to the file
    ``log``. ``options`` are more fields of the HTTP connection manager.
    """
    manager = connection_manager(
        FRONT,
        rds={"route_config_name": FRONT, "config_source": routes},
        filters=[authentication, body_filter(), memory_filter()],
        local_replies=local_replies,
        # Callers may not steer Envoy by its own headers, not even from this machine.
        use_remote_address=True,
        internal_address_config={
            "cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]
        },
        request_headers_timeout="30s",
        request_timeout=seconds(RECEIVING_SECONDS),
        http_protocol_options={"accept_http_10": True, "default_host_for_http_10": endpoint},
        access_log=access_log(log),
        **options,
    )
    return port_listener(FRONT, endpoint, address, manager)


def port_listener(
    name: str, stat_prefix: str, address: tuple[str, int], manager: dict[str, Any]
) -> Resource:
    """A listener on a port of its own."""
    host, port = address
    return typed(
        "envoy.config.listener.v3.Listener",
        name=name,
        address={"socket_address": {"address": host, "port_value": port}},
        stat_prefix=stat_prefix,
        # A second process on the port has to fail instead of taking half of the connections.
        enable_reuse_port=False,
        per_connection_buffer_limit_bytes=LARGEST_BODY_BYTES,
        filter_chains=[{"filters": [manager]}],
    )


def replica_listener(version: Version) -> Resource:
    """The inner listener of a version: admits as many requests at once as its replicas take."""
    deployment = version.deployment
    limit = deployment.initial_replicas() * deployment.replica_max_concurrent_requests
    return inner_listener(version, limit, replica_routes(version, replica_retries(deployment)))


def inner_listener(version: Version, limit: int, routes: Resource) -> Resource:
    """A listener that admits ``limit`` requests at once, and closes the door to every other."""
    name = replicas_listener(version.name)
    admission = {
        "name": "envoy.filters.network.connection_limit",
        "typed_config": typed(
            "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
            stat_prefix=name,
            max_connections=limit,
        ),
    }
    manager = connection_manager(
        name,
        route_config=routes,
        filters=[],
        local_replies=inner_replies(),
        generate_request_id=False,
        # The connection ends here, with the answer, so that its place is free before the front can
        # ask for it again: who asked a dead replica would otherwise meet a closed door, and be
        # told that the replicas are busy.
        common_http_protocol_options={"max_requests_per_connection": 1},
        delayed_close_timeout="0s",
    )
    return typed(
        "envoy.config.listener.v3.Listener",
        name=name,
        internal_listener={},
        per_connection_buffer_limit_bytes=LARGEST_BODY_BYTES,
        filter_chains=[{"filters": [admission, manager]}],
    )


def connection_manager(
    name: str,
    filters: Sequence[dict[str, Any]] = (),
    local_replies: dict[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """The HTTP connection manager ``name``: ``filters``, and the router behind them."""
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": typed(
            "envoy.extensions.filters.http.router.v3.Router", suppress_envoy_headers=True
        ),
    }
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": typed(
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            stat_prefix=name,
            # The version's scoring timeout is the only clock of a request.
            stream_idle_timeout="0s",
            local_reply_config=local_replies or {},
            http_filters=[*filters, router],
            **options,
        ),
    }
