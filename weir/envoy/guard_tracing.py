"""Spans of the guard: one SERVER span for each request, to an OpenTelemetry collector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weir.envoy.access_log import access_log_format
from weir.envoy.resources import Resource, seconds, typed

COLLECTOR = "weir.collector"
"""Name of the collector's cluster. With its dot it is no version's name."""

TAGS = ("flags", "details", "forced", "metrics", "labels", "host", "attempts")
"""What is in a span as it is in the access log; the queries read it from ``Properties``."""

_CONVENTIONS = {"http.request.method": "method", "http.response.status_code": "code"}
"""Names that Azure's exporter looks for, by the field of the log. Envoy writes their older names,
``http.method`` and ``http.status_code``, and by those alone every request would have the code 0."""

RUNTIME = {
    "tracing.opentelemetry.min_flush_spans": 200,
    "tracing.opentelemetry.flush_interval_ms": 1000,
}
"""Spans are sent once a second, or when there are so many. By default, after every five."""

_SEND_SECONDS = 5.0
_MOST_SPANS = 5000
_DETECTORS = "envoy.tracers.opentelemetry.resource_detectors"
_DETECTOR_TYPES = "envoy.extensions.tracers.opentelemetry.resource_detectors.v3"


def tracing(endpoint: str, version: str) -> dict[str, Any]:
    """The field ``tracing`` of the callers' listener: every request, whatever a caller says of it.

    Spans wait in memory, ``_MOST_SPANS`` of them at most, and are dropped where the collector does
    not take them; a request never waits for one.
    """
    words = access_log_format()
    return {
        "provider": {
            "name": "envoy.tracers.opentelemetry",
            "typed_config": _tracer(endpoint, {"service.version": version}),
        },
        "random_sampling": {"value": 100},
        # Otherwise the name of a span would be the host that a caller gives.
        "operation": endpoint,
        # The path would bring the query with it, which is the caller's own business.
        "max_path_tag_length": 0,
        "custom_tags": [
            {"tag": tag, "value": words[name]}
            for tag, name in {**{name: name for name in TAGS}, **_CONVENTIONS}.items()
        ],
    }


def collector_cluster(collector: str) -> Resource:
    """The cluster of the collector at ``host:port``, which takes OTLP over HTTP."""
    host, _, port = collector.rpartition(":")
    address = {"socket_address": {"address": host, "port_value": int(port)}}
    return typed(
        "envoy.config.cluster.v3.Cluster",
        name=COLLECTOR,
        type="STRICT_DNS",
        dns_lookup_family="V4_PREFERRED",
        # A name that cannot be resolved must not keep the guard from starting.
        wait_for_warm_on_init=False,
        connect_timeout="1s",
        load_assignment={
            "cluster_name": COLLECTOR,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    )


def _tracer(endpoint: str, attributes: Mapping[str, str]) -> dict[str, Any]:
    return typed(
        "envoy.config.trace.v3.OpenTelemetryConfig",
        service_name=endpoint,
        http_service={
            "http_uri": {
                "uri": f"http://{COLLECTOR}/v1/traces",
                "cluster": COLLECTOR,
                "timeout": seconds(_SEND_SECONDS),
            }
        },
        max_cache_size=_MOST_SPANS,
        resource_detectors=[
            # Who this pod is, is in its environment alone: see ``guard_environment``.
            {
                "name": f"{_DETECTORS}.environment",
                "typed_config": typed(f"{_DETECTOR_TYPES}.EnvironmentResourceDetectorConfig"),
            },
            {
                "name": f"{_DETECTORS}.static_config",
                "typed_config": typed(
                    f"{_DETECTOR_TYPES}.StaticConfigResourceDetectorConfig",
                    attributes=dict(attributes),
                ),
            },
        ],
        # Otherwise a caller's own trace could decide that his requests are not counted.
        sampler={
            "name": "envoy.tracers.opentelemetry.samplers.always_on",
            "typed_config": typed(
                "envoy.extensions.tracers.opentelemetry.samplers.v3.AlwaysOnSamplerConfig"
            ),
        },
    )
