"""Listeners: the endpoint's port with authentication and access log, and the inner one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from weir.endpoint import Version
from weir.envoy.clusters import replicas_listener
from weir.envoy.resources import Resource, seconds, typed
from weir.envoy.routes import (
    ATTEMPTS_HEADER,
    AUTH_FILTER,
    DETAILS_HEADER,
    FLAGS_HEADER,
    FORCE_HEADER,
    FRONT,
    HOST_HEADER,
    LABELS_HEADER,
    LARGEST_BODY_BYTES,
    METRICS_HEADER,
    WAIT_HEADER,
    replica_routes,
)
from weir.telemetry.reports import LONGEST_HEADER_BYTES

RECEIVING_SECONDS = 60.0
"""How long a caller may take to send a request."""

_METADATA = "weir"
_REMEMBERED = {
    FLAGS_HEADER: "flags",
    DETAILS_HEADER: "details",
    HOST_HEADER: "host",
    ATTEMPTS_HEADER: "attempts",
    METRICS_HEADER: "metrics",
    LABELS_HEADER: "labels",
}


def listener_port(resources: Sequence[Mapping[str, Any]]) -> int | None:
    """The port in a listener file."""
    for resource in resources:
        if resource.get("name") == FRONT:
            return int(resource["address"]["socket_address"]["port_value"])
    return None


def access_log_format() -> dict[str, str]:
    """One line per request of a caller. Where the inner side answered, it knows why."""
    return {
        "start": "%START_TIME(%s.%6f)%",
        "duration_us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
        # A response that broke off has no last byte, and so none of the above.
        "total_ms": "%DURATION%",
        "code": "%RESPONSE_CODE%",
        "flags": _inner_word("flags", "RESPONSE_FLAGS"),
        "details": _inner_word("details", "RESPONSE_CODE_DETAILS"),
        "version": _or_dash("%UPSTREAM_CLUSTER%"),
        "host": _or_dash(f"%DYNAMIC_METADATA({_METADATA}:host)%"),
        "attempts": _inner_word("attempts", "UPSTREAM_REQUEST_ATTEMPT_COUNT"),
        "id": "%REQ(X-REQUEST-ID)%",
        "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        # A caller's own words, cut: a line must not grow at his pleasure.
        "forced": _or_dash(f"%REQ({FORCE_HEADER}):64%"),
        "method": "%REQ(:METHOD):16%",
        "path": "%PATH(NQ):256%",
        "metrics": _reported("metrics"),
        "labels": _reported("labels"),
    }


def _reported(key: str) -> str:
    # One byte more than is read, so that a header that was cut can be told from a whole one.
    return f"%DYNAMIC_METADATA({_METADATA}:{key}):{LONGEST_HEADER_BYTES + 1}%"


def _or_dash(operator: str) -> str:
    # An operator alone is null when it has no value; within a text it is a dash.
    return operator + "%REQ(:METHOD):0%"


def _inner_word(key: str, otherwise: str) -> str:
    operators = [{"command": "DYNAMIC_METADATA", "param": f"{_METADATA}:{key}"}, otherwise]
    return f"%COALESCE({json.dumps({'operators': operators})})%"


def front_listener(
    endpoint: str, port: int, directory: Path, address: str = "127.0.0.1"
) -> Resource:
    """The endpoint's own listener; routes and access log are in ``directory``."""
    routes = {
        "route_config_name": FRONT,
        "config_source": {
            "resource_api_version": "V3",
            "path_config_source": {"path": str(directory / "rds.yaml")},
        },
    }
    manager = _connection_manager(
        FRONT,
        rds=routes,
        filters=[_key_filter(), _body_filter(), _memory_filter()],
        local_replies=_front_replies(),
        # Callers may not steer Envoy by its own headers, not even from this machine.
        use_remote_address=True,
        internal_address_config={
            "cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]
        },
        request_headers_timeout="30s",
        request_timeout=seconds(RECEIVING_SECONDS),
        http_protocol_options={"accept_http_10": True, "default_host_for_http_10": endpoint},
        access_log=[
            {
                "name": "envoy.access_loggers.file",
                "typed_config": typed(
                    "envoy.extensions.access_loggers.file.v3.FileAccessLog",
                    path=str(directory / "access.log"),
                    log_format={"json_format": access_log_format()},
                ),
            }
        ],
    )
    return typed(
        "envoy.config.listener.v3.Listener",
        name=FRONT,
        address={"socket_address": {"address": address, "port_value": port}},
        stat_prefix=endpoint,
        # A second process on the port has to fail instead of taking half of the connections.
        enable_reuse_port=False,
        per_connection_buffer_limit_bytes=LARGEST_BODY_BYTES,
        filter_chains=[{"filters": [manager]}],
    )


def replica_listener(version: Version) -> Resource:
    """The inner listener of a version: admits as many requests at once as its replicas take."""
    deployment = version.deployment
    limit = deployment.initial_replicas() * deployment.replica_max_concurrent_requests
    name = replicas_listener(version.name)
    admission = {
        "name": "envoy.filters.network.connection_limit",
        "typed_config": typed(
            "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
            stat_prefix=name,
            max_connections=limit,
        ),
    }
    manager = _connection_manager(
        name,
        route_config=replica_routes(version),
        filters=[],
        local_replies=_inner_replies(),
        generate_request_id=False,
    )
    return typed(
        "envoy.config.listener.v3.Listener",
        name=name,
        internal_listener={},
        per_connection_buffer_limit_bytes=LARGEST_BODY_BYTES,
        filter_chains=[{"filters": [admission, manager]}],
    )


def _connection_manager(
    name: str,
    filters: list[dict[str, Any]],
    local_replies: dict[str, Any],
    **options: Any,
) -> dict[str, Any]:
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
            local_reply_config=local_replies,
            http_filters=[*filters, router],
            **options,
        ),
    }


def _key_filter() -> dict[str, Any]:
    # No credentials here: without those of the routes, everybody is refused.
    return {
        "name": AUTH_FILTER,
        "typed_config": typed(
            "envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth",
            key_sources=[{"header": "Authorization"}],
        ),
    }


def _body_filter() -> dict[str, Any]:
    # Only a request that is there whole takes a slot: a caller who sends slowly keeps none busy.
    return {
        "name": "envoy.filters.http.buffer",
        "typed_config": typed(
            "envoy.extensions.filters.http.buffer.v3.Buffer",
            max_request_bytes=LARGEST_BODY_BYTES,
        ),
    }


def _memory_filter() -> dict[str, Any]:
    rules = [
        {
            "header": header,
            "on_header_present": {
                "metadata_namespace": _METADATA,
                "key": key,
                "type": "NUMBER" if key == "attempts" else "STRING",
            },
            "remove": True,
        }
        for header, key in _REMEMBERED.items()
    ]
    return {
        "name": "envoy.filters.http.header_to_metadata",
        "typed_config": typed(
            "envoy.extensions.filters.http.header_to_metadata.v3.Config", response_rules=rules
        ),
    }


def _front_replies() -> dict[str, Any]:
    return {
        "mappers": [
            _reply(
                _status("EQ", 401),
                "gateway.key_missing_or_wrong",
                "Send a key of the endpoint: Authorization: Bearer KEY.",
            ),
            _reply(_status("EQ", 404), "gateway.version_unknown", "%LOCAL_REPLY_BODY%"),
            _reply(
                _status("EQ", 413),
                "gateway.body_too_large",
                f"A request may have {LARGEST_BODY_BYTES // 2**20} MiB.",
            ),
            _reply(
                _status("EQ", 408),
                "gateway.body_too_slow",
                f"A request has to arrive within {RECEIVING_SECONDS:g} seconds.",
            ),
            # The inner listener closed the connection, at every attempt: there was no free slot.
            _reply(
                _flags("UC", "UF", "UR"),
                "gateway.overloaded",
                "Every replica of the version was busy for as long as a request may wait.",
                {FLAGS_HEADER: "UO", DETAILS_HEADER: "no_free_replica"},
            ),
            _reply(_status("EQ", 503), "gateway.no_version", "%LOCAL_REPLY_BODY%"),
            _reply(_status("GE", 400), "gateway.refused", "%LOCAL_REPLY_BODY%"),
        ]
    }


def _inner_replies() -> dict[str, Any]:
    why = {FLAGS_HEADER: "%RESPONSE_FLAGS%", DETAILS_HEADER: "%RESPONSE_CODE_DETAILS%"}
    waiting = {**why, WAIT_HEADER: "1"}
    return {
        "mappers": [
            _reply(
                _flags("UH", "UF"),
                "gateway.no_replica",
                "No replica of the version could be reached.",
                waiting,
            ),
            _reply(
                _flags("UT"),
                "gateway.scoring_timeout",
                "The version did not answer within its scoring timeout.",
                why,
            ),
            _reply(_status("GE", 400), "gateway.replica_failed", "%LOCAL_REPLY_BODY%", why),
        ]
    }


def _reply(
    when: dict[str, Any], code: str, message: str, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    added = [
        {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        for key, value in (headers or {}).items()
    ]
    return {
        "filter": when,
        "body_format_override": {"json_format": {"error": {"code": code, "message": message}}},
        "headers_to_add": added,
    }


def _status(operator: str, code: int) -> dict[str, Any]:
    value = {"default_value": code, "runtime_key": "weir.unused"}
    return {"status_code_filter": {"comparison": {"op": operator, "value": value}}}


def _flags(*flags: str) -> dict[str, Any]:
    return {"response_flag_filter": {"flags": list(flags)}}
