"""Clusters: per version one that leads to the inner listener, and one of its replicas."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from weir.endpoint import Version
from weir.envoy.resources import Resource, file_source, typed

Health = Literal["HEALTHY", "DRAINING"]

UNLIMITED = 1_000_000
MISSED = 0.01
"""Chance that a given replica is not among those drawn."""

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def replicas_cluster(version: str) -> str:
    """Name of the cluster of a version's replicas. The version's own name is the outer cluster."""
    return f"{version}.replicas"


def replicas_listener(version: str) -> str:
    """Name of the inner listener in front of a version's replicas."""
    return f"replicas.{version}"


def clusters(versions: Iterable[Version], directory: Path) -> list[Resource]:
    """Cluster resources of ``versions``; ``directory`` holds an ``eds-<version>.yaml`` for each."""
    found = []
    for version in versions:
        found.append(outer_cluster(version.name))
        found.append(_replicas(version, directory))
    return found


def endpoints(version: str, addresses: Iterable[tuple[str, Health]]) -> list[Resource]:
    """The endpoint resource of a version: ``("127.0.0.1:40001", "HEALTHY" | "DRAINING")`` each.

    A DRAINING replica finishes what it has and gets nothing new.
    """
    hosts = []
    for address, health in addresses:
        host, _, port = address.rpartition(":")
        socket = {"address": host, "port_value": int(port)}
        hosts.append({"endpoint": {"address": {"socket_address": socket}}, "health_status": health})
    return [
        typed(
            "envoy.config.endpoint.v3.ClusterLoadAssignment",
            cluster_name=replicas_cluster(version),
            endpoints=[{"lb_endpoints": hosts}] if hosts else [],
        )
    ]


IN_FLIGHT_STATS = r"^cluster\..*\.(upstream_rq_active|remaining_retries)$"
"""Pattern of what ``in_flight`` reads."""

_STATISTIC = re.compile(
    r"cluster\.(?P<version>[a-z0-9-]+)\."
    r"(?P<kind>upstream_rq_active|circuit_breakers\.default\.remaining_retries)"
)


def in_flight(statistics: Mapping[str, int]) -> dict[str, int]:
    """Requests that each version has begun and not ended, from Envoy's statistics by name.

    Those that wait for a slot are retries in progress: between two attempts they are not active.
    Where both kinds are there the number is a lower bound; it is 0 exactly when there is none.
    """
    found: dict[str, int] = {}
    for name, value in statistics.items():
        match = _STATISTIC.fullmatch(name)
        if match is not None:
            is_active = match["kind"] == "upstream_rq_active"
            count = int(value) if is_active else UNLIMITED - int(value)
            found[match["version"]] = max(found.get(match["version"], 0), count)
    return found


def outer_cluster(version: str) -> Resource:
    """The cluster that leads to the inner listener of ``version``."""
    address = {"envoy_internal_address": {"server_listener_name": replicas_listener(version)}}
    return typed(
        "envoy.config.cluster.v3.Cluster",
        name=version,
        type="STATIC",
        connect_timeout="1s",
        load_assignment={
            "cluster_name": version,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        transport_socket={
            "name": "envoy.transport_sockets.internal_upstream",
            "typed_config": typed(
                "envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
                transport_socket={
                    "name": "envoy.transport_sockets.raw_buffer",
                    "typed_config": typed(
                        "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"
                    ),
                },
            ),
        },
        # Everything that waits is a retry in progress; only the inner listener may refuse.
        circuit_breakers=unlimited(),
        # The inner listener counts connections, so that a connection has to be a request.
        typed_extension_protocol_options=one_request_a_connection(),
    )


def _replicas(version: Version, directory: Path) -> Resource:
    path = directory / f"eds-{version.name}.yaml"
    return typed(
        "envoy.config.cluster.v3.Cluster",
        name=replicas_cluster(version.name),
        type="EDS",
        eds_cluster_config={"eds_config": file_source(path)},
        connect_timeout="1s",
        lb_policy="LEAST_REQUEST",
        least_request_lb_config={"choice_count": choices(version.deployment.initial_replicas())},
        circuit_breakers=unlimited(),
        common_lb_config={
            "healthy_panic_threshold": {"value": 0},
            "update_merge_window": "0s",
        },
        # A connection only: a single-threaded replica that is scoring cannot answer a request,
        # but its kernel still accepts. Whether it answers at all is the supervisor's probe.
        health_checks=[
            {
                "timeout": "2s",
                "interval": "0.5s",
                "no_traffic_interval": "0.5s",
                "unhealthy_threshold": 1,
                "healthy_threshold": 1,
                "tcp_health_check": {},
            }
        ],
        ignore_health_on_host_removal=True,
        # One request a connection: model servers close connections when they like, and a request
        # must never meet one that is just being closed.
        typed_extension_protocol_options=one_request_a_connection(),
    )


def choices(replicas: int) -> int:
    """How many replicas Envoy draws by lot, to take the least busy of them.

    Few would often miss the only idle one. All would be worse: a replica that has just died is the
    least busy, and a retry must have a chance not to draw it again (MISSED each time).
    """
    return max(2, math.ceil(math.log(MISSED) / math.log1p(-1 / max(2, replicas))))


def unlimited() -> dict[str, Any]:
    """Circuit breakers that never open: the inner listener is the only door."""
    limits = ("max_requests", "max_connections", "max_pending_requests", "max_retries")
    # Tracked, because a request that waits for its next attempt is seen nowhere else.
    return {"thresholds": [{**dict.fromkeys(limits, UNLIMITED), "track_remaining": True}]}


def one_request_a_connection() -> dict[str, Any]:
    """Protocol options of a cluster whose connections end with their first request."""
    options = typed(
        _HTTP_OPTIONS,
        common_http_protocol_options={"max_requests_per_connection": 1},
        explicit_http_config={"http_protocol_options": {}},
    )
    return {_HTTP_OPTIONS: options}
