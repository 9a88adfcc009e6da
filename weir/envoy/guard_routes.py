"""What a guard does with a path, a version that is named, and a model server that fails."""

from __future__ import annotations

from typing import Any

from weir.endpoint import Version
from weir.envoy.replies import front_replies, reply, status
from weir.envoy.resources import Resource, typed
from weir.envoy.routes import (
    FORCE_HEADER,
    FRONT,
    WAIT_HEADER,
    equals,
    header,
    text_answer,
    waiting,
)
from weir.spec.deployment import Deployment

_REFUSALS = (
    (
        401,
        "gateway.key_missing_or_wrong",
        "Send a key or a token of the endpoint: Authorization: Bearer KEY. %LOCAL_REPLY_BODY%",
    ),
    (403, "gateway.token_refused", "%LOCAL_REPLY_BODY%"),
    (404, "gateway.path_unknown", "%LOCAL_REPLY_BODY%"),
    (500, "gateway.not_ready", "The guard has not been told yet whom to let in."),
)


def guard_routes(version: Version, endpoint: str, path_prefix: str) -> Resource:
    """The route configuration ``FRONT``: ``version`` and no other, below ``path_prefix``."""
    other = f"Endpoint {endpoint} has no such version here."
    unknown = f"The paths of endpoint {endpoint} begin with {path_prefix}"
    routes: list[dict[str, Any]] = [
        {
            "match": {"prefix": "/", "headers": _other_version(version)},
            "direct_response": text_answer(404, other),
        }
    ]
    for match in _matches(path_prefix):
        action = {**waiting([version]), "cluster": version.name}
        if path_prefix != "/":
            action["prefix_rewrite"] = "/"
        routes.append(
            {
                "match": match,
                "route": action,
                "response_headers_to_add": [header(FORCE_HEADER, version.name)],
            }
        )
    routes.append({"match": {"prefix": "/"}, "direct_response": text_answer(404, unknown)})
    return typed(
        "envoy.config.route.v3.RouteConfiguration",
        name=FRONT,
        validate_clusters=True,
        virtual_hosts=[
            {
                "name": endpoint,
                "domains": ["*"],
                "routes": routes,
                "response_headers_to_remove": [WAIT_HEADER],
            }
        ],
    )


def _matches(path_prefix: str) -> list[dict[str, str]]:
    if path_prefix == "/":
        return [{"prefix": "/"}]
    # Two, because /fraud and /fraud/ both become /, and /fraudulent is another path.
    return [{"prefix": f"{path_prefix}/"}, {"path": path_prefix}]


def _other_version(version: Version) -> list[dict[str, Any]]:
    return [
        {"name": FORCE_HEADER, "present_match": True},
        {**equals(FORCE_HEADER, version.name), "invert_match": True},
    ]


def guard_replies(version: Version) -> dict[str, Any]:
    """What callers are told when it is not the model server that answers."""
    return front_replies(_REFUSALS, before=[_version_unknown(version)])


def _version_unknown(version: Version) -> dict[str, Any]:
    headers = [{"header_filter": {"header": one}} for one in _other_version(version)]
    when = {"and_filter": {"filters": [status("EQ", 404), *headers]}}
    return reply(when, "gateway.version_unknown", "%LOCAL_REPLY_BODY%")


def guard_retries(deployment: Deployment) -> dict[str, Any]:
    """Retry policy of the inner side, where there is no other replica to ask."""
    # A model server that cannot be reached is asked again by the front, for as long as a request
    # may wait, so these are short. Two, because the first may still reach the one that is dying.
    if not deployment.retry_on_reset:
        return {}
    return {
        "retry_on": "reset",
        "num_retries": 2,
        "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.005s"},
    }
