"""Routes: weights, forced versions and keys in front; timeout and retries at the replicas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weir.endpoint import HUNDREDTHS, Endpoint, Split, Version
from weir.envoy.clusters import replicas_cluster
from weir.envoy.resources import Resource, seconds, typed
from weir.ports import Keys
from weir.spec.deployment import Deployment

FRONT = "front"
FORCE_HEADER = "x-weir-version"
SCORING_PATH = "/score"
WAIT_HEADER = "x-weir-wait"
FLAGS_HEADER = "x-weir-flags"
DETAILS_HEADER = "x-weir-details"
HOST_HEADER = "x-weir-host"
ATTEMPTS_HEADER = "x-weir-attempts"
METRICS_HEADER = "x-weir-metrics"
LABELS_HEADER = "x-weir-labels"
INTERNAL_HEADERS = (WAIT_HEADER, FLAGS_HEADER, DETAILS_HEADER, HOST_HEADER, ATTEMPTS_HEADER)
LARGEST_BODY_BYTES = 64 * 1024 * 1024
AUTH_FILTER = "envoy.filters.http.api_key_auth"

_ATTEMPTS_PER_WAIT = 120
_SHORTEST_PAUSE_MS = 4
_LONGEST_PAUSE_MS = 16
_HOP_MS = 1.5
"""What asking once more takes besides the pause, mostly the grain of Envoy's timers; measured."""


@dataclass(frozen=True)
class Wait:
    """How to ask again for a slot: ``attempts`` pauses, each uniform in [0, pause_ms)."""

    attempts: int
    pause_ms: int

    @classmethod
    def of(cls, wait_ms: int) -> Wait:
        """Attempts whose pauses sum to ``wait_ms`` on average.

        All pauses are drawn from the same range. Envoy's could grow from a shorter one, but then
        newcomers would overtake those who wait already.
        """
        pause_ms = round(2 * wait_ms / _ATTEMPTS_PER_WAIT)
        pause_ms = max(_SHORTEST_PAUSE_MS, min(_LONGEST_PAUSE_MS, pause_ms))
        # Envoy draws whole milliseconds below the bound.
        return cls(max(1, round(wait_ms / ((pause_ms - 1) / 2 + _HOP_MS))), pause_ms)


def front_routes(endpoint: Endpoint, keys: Keys) -> list[Resource]:
    """The outer route configuration: forced versions first, then the weights of the split.

    Weights are hundredths of a percent, so their total is always 10000.
    """
    routes: list[dict[str, Any]] = [
        {
            "match": {"prefix": "/", "headers": [equals(FORCE_HEADER, version.name)]},
            "route": {**waiting([version]), "cluster": version.name},
            "response_headers_to_add": [header(FORCE_HEADER, version.name)],
        }
        for version in endpoint.versions
    ]
    routes.append(
        {
            "match": {"prefix": "/", "headers": [{"name": FORCE_HEADER, "present_match": True}]},
            "direct_response": text_answer(404, f"Endpoint {endpoint.name} has no such version."),
        }
    )
    routes.append(_weighted(endpoint))
    return [
        typed(
            "envoy.config.route.v3.RouteConfiguration",
            name=FRONT,
            validate_clusters=True,
            virtual_hosts=[
                {
                    "name": endpoint.name,
                    "domains": ["*"],
                    "routes": routes,
                    # The key is the gateway's business; the rest of the inner words are taken out
                    # by the filter that remembers them for the access log.
                    "request_headers_to_remove": ["authorization"] if endpoint.auth_enabled else [],
                    "response_headers_to_remove": [WAIT_HEADER],
                    "typed_per_filter_config": {
                        AUTH_FILTER: _auth(keys if endpoint.auth_enabled else None)
                    },
                }
            ],
        )
    ]


def replica_routes(version: Version, retry_policy: dict[str, Any]) -> Resource:
    """The inner route configuration of ``version``: scoring timeout and retries."""
    return {
        "name": replicas_cluster(version.name),
        "validate_clusters": True,
        "virtual_hosts": [
            {
                "name": version.name,
                "domains": ["*"],
                # A model server must not be able to speak for the gateway.
                "response_headers_to_remove": list(INTERNAL_HEADERS),
                "response_headers_to_add": [
                    header(HOST_HEADER, "%UPSTREAM_REMOTE_ADDRESS%"),
                    header(ATTEMPTS_HEADER, "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"),
                ],
                "routes": _replica_routes(version, retry_policy),
            }
        ],
    }


def split_of(resources: Sequence[Mapping[str, Any]]) -> Split | None:
    """The split in a front route configuration; None when no version takes traffic."""
    for resource in resources:
        for host in resource.get("virtual_hosts", ()):
            for route in host["routes"]:
                weighted = route.get("route", {}).get("weighted_clusters")
                if weighted:
                    return Split(
                        hundredths={c["name"]: int(c["weight"]) for c in weighted["clusters"]}
                    )
    return None


def with_keys(resources: Sequence[Mapping[str, Any]], keys: Keys) -> list[Resource]:
    """The same front routes with other keys; unchanged where authentication is off."""
    changed = []
    for resource in resources:
        hosts = []
        for host in resource["virtual_hosts"]:
            filters = dict(host["typed_per_filter_config"])
            if "credentials" in filters.get(AUTH_FILTER, {}):
                filters[AUTH_FILTER] = _auth(keys)
            hosts.append({**host, "typed_per_filter_config": filters})
        changed.append({**resource, "virtual_hosts": hosts})
    return changed


def _weighted(endpoint: Endpoint) -> dict[str, Any]:
    match = {"prefix": "/"}
    if endpoint.split is None:
        message = f"Endpoint {endpoint.name} has no version that takes traffic."
        return {"match": match, "direct_response": text_answer(503, message)}
    taking = [endpoint.version(name) for name in endpoint.split.versions()]
    versions = [version for version in taking if version is not None]
    return {
        "match": match,
        "route": {
            "weighted_clusters": {
                "clusters": [
                    {
                        "name": version.name,
                        "weight": endpoint.split.hundredths[version.name],
                        "response_headers_to_add": [header(FORCE_HEADER, version.name)],
                    }
                    for version in versions
                ],
                "total_weight": HUNDREDTHS,
            },
            **waiting(versions),
        },
    }


def waiting(versions: Sequence[Version]) -> dict[str, Any]:
    """The part of a front route's action that waits for a slot of one of ``versions``."""
    # A route has one retry policy for all its clusters, so the longest wait counts. A reset here
    # is a closed door of the inner listener: its answers to real failures are responses.
    wait = Wait.of(max(version.deployment.max_request_wait_time for version in versions))
    return {
        "timeout": "0s",
        "retry_policy": {
            "retry_on": "reset,connect-failure,retriable-headers",
            "retriable_headers": [{"name": WAIT_HEADER, "present_match": True}],
            "num_retries": wait.attempts,
            "retry_back_off": {
                "base_interval": seconds(wait.pause_ms / 1000),
                "max_interval": seconds(wait.pause_ms / 1000),
            },
        },
    }


def _replica_routes(version: Version, retry_policy: dict[str, Any]) -> list[dict[str, Any]]:
    action = {
        "cluster": replicas_cluster(version.name),
        "timeout": seconds(version.deployment.scoring_timeout_ms / 1000),
        "retry_policy": retry_policy,
    }
    everything = {"match": {"prefix": "/"}, "route": action}
    path = version.inference.scoring_path
    if path == SCORING_PATH:
        return [everything]
    # Callers have one path, whatever server a version brings.
    scoring = {"match": {"path": SCORING_PATH}, "route": {**action, "prefix_rewrite": path}}
    return [scoring, everything]


def replica_retries(deployment: Deployment) -> dict[str, Any]:
    """Retry policy of the inner side: another replica is asked."""
    retry_on = "connect-failure,refused-stream" + (",reset" if deployment.retry_on_reset else "")
    return {
        "retry_on": retry_on,
        "num_retries": 3,
        "retry_back_off": {"base_interval": "0.01s", "max_interval": "0.1s"},
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": typed(
                    "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                ),
            }
        ],
        # A dead replica has the fewest requests, so that the balancer prefers it; it may have to
        # be asked often (see ``clusters.choices``) until it names another. Asking costs no network.
        "host_selection_retry_max_attempts": 1000,
    }


def _auth(keys: Keys | None) -> dict[str, Any]:
    if keys is None:
        return typed("envoy.config.route.v3.FilterConfig", disabled=True)
    return typed(
        "envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuthPerRoute",
        credentials=credentials(keys),
    )


def credentials(keys: Keys) -> list[dict[str, str]]:
    """What callers may send in the header Authorization."""
    return [
        {"key": scheme + key, "client": client}
        # The filter takes away "Bearer " alone, and the scheme's case is the caller's choice.
        for scheme in ("", "bearer ", "BEARER ")
        for client, key in (("primary", keys.primary), ("secondary", keys.secondary))
    ]


def equals(name: str, value: str) -> dict[str, Any]:
    """A match of a request's header."""
    return {"name": name, "string_match": {"exact": value}}


def header(name: str, value: str) -> dict[str, Any]:
    """A header to set, whatever was there."""
    return {
        "header": {"key": name, "value": value},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }


def text_answer(status: int, message: str) -> dict[str, Any]:
    """A direct response."""
    return {"status": status, "body": {"inline_string": message}}
