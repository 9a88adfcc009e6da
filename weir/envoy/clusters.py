"""Clusters: per version one that leads to the inner listener, and one of its replicas."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from weir.endpoint import Version
from weir.envoy.resources import Resource, typed

Health = Literal["HEALTHY", "DRAINING"]

UNLIMITED = 1_000_000

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
        found.append(_outer(version.name))
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


def _outer(version: str) -> Resource:
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
        circuit_breakers=_unlimited(),
        # The inner listener counts connections, so that a connection has to be a request.
        typed_extension_protocol_options=_one_request_a_connection(),
    )


def _replicas(version: Version, directory: Path) -> Resource:
    path = str(directory / f"eds-{version.name}.yaml")
    return typed(
        "envoy.config.cluster.v3.Cluster",
        name=replicas_cluster(version.name),
        type="EDS",
        eds_cluster_config={
            "eds_config": {
                "resource_api_version": "V3",
                "path_config_source": {"path": path},
            }
        },
        connect_timeout="1s",
        lb_policy="LEAST_REQUEST",
        least_request_lb_config={"choice_count": 4},
        circuit_breakers=_unlimited(),
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
        typed_extension_protocol_options=_one_request_a_connection(),
    )


def _unlimited() -> dict[str, Any]:
    limits = ("max_requests", "max_connections", "max_pending_requests", "max_retries")
    return {"thresholds": [dict.fromkeys(limits, UNLIMITED)]}


def _one_request_a_connection() -> dict[str, Any]:
    options = typed(
        _HTTP_OPTIONS,
        common_http_protocol_options={"max_requests_per_connection": 1},
        explicit_http_config={"http_protocol_options": {}},
    )
    return {_HTTP_OPTIONS: options}
