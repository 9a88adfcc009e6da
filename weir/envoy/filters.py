"""HTTP filters that a request of a caller passes."""

from __future__ import annotations

from typing import Any

from weir.envoy.resources import typed
from weir.envoy.routes import (
    ATTEMPTS_HEADER,
    AUTH_FILTER,
    DETAILS_HEADER,
    FLAGS_HEADER,
    HOST_HEADER,
    LABELS_HEADER,
    LARGEST_BODY_BYTES,
    METRICS_HEADER,
)

METADATA = "weir"
"""Namespace of what the memory filter keeps for the access log."""

_REMEMBERED = {
    FLAGS_HEADER: "flags",
    DETAILS_HEADER: "details",
    HOST_HEADER: "host",
    ATTEMPTS_HEADER: "attempts",
    METRICS_HEADER: "metrics",
    LABELS_HEADER: "labels",
}


def key_filter() -> dict[str, Any]:
    """Asks for a key; which ones is in the routes."""
    # No credentials here: without those of the routes, everybody is refused.
    return {
        "name": AUTH_FILTER,
        "typed_config": typed(
            "envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth",
            key_sources=[{"header": "Authorization"}],
        ),
    }


def body_filter() -> dict[str, Any]:
    """Takes in a request whole before anything else sees it."""
    # Only a request that is there whole takes a slot: a caller who sends slowly keeps none busy.
    return {
        "name": "envoy.filters.http.buffer",
        "typed_config": typed(
            "envoy.extensions.filters.http.buffer.v3.Buffer",
            max_request_bytes=LARGEST_BODY_BYTES,
        ),
    }


def memory_filter() -> dict[str, Any]:
    """Takes the inner headers out of the answer and keeps them for the access log."""
    rules = [
        {
            "header": header,
            "on_header_present": {
                "metadata_namespace": METADATA,
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
