"""What callers are told when it is not the model that answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from weir.envoy.routes import DETAILS_HEADER, FLAGS_HEADER, LARGEST_BODY_BYTES, WAIT_HEADER

RECEIVING_SECONDS = 60.0
"""How long a caller may take to send a request."""


FRONT_REFUSALS = (
    (401, "gateway.key_missing_or_wrong", "Send a key of the endpoint: Authorization: Bearer KEY."),
    (404, "gateway.version_unknown", "%LOCAL_REPLY_BODY%"),
)
"""Status, code and message of what the gateway says before it has chosen a version."""


def front_replies(
    refusals: Sequence[tuple[int, str, str]] = FRONT_REFUSALS,
    before: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Replies of the listener that callers see; those of ``before`` are tried first."""
    return {
        "mappers": [
            *before,
            *(reply(status("EQ", number), code, text) for number, code, text in refusals),
            reply(
                status("EQ", 413),
                "gateway.body_too_large",
                f"A request may have {LARGEST_BODY_BYTES // 2**20} MiB.",
            ),
            reply(
                status("EQ", 408),
                "gateway.body_too_slow",
                f"A request has to arrive within {RECEIVING_SECONDS:g} seconds.",
            ),
            # The inner listener closed the connection, at every attempt: there was no free slot.
            reply(
                flags("UC", "UF", "UR"),
                "gateway.overloaded",
                "Every replica of the version was busy for as long as a request may wait.",
                {FLAGS_HEADER: "UO", DETAILS_HEADER: "no_free_replica"},
            ),
            reply(status("EQ", 503), "gateway.no_version", "%LOCAL_REPLY_BODY%"),
            reply(status("GE", 400), "gateway.refused", "%LOCAL_REPLY_BODY%"),
        ]
    }


def inner_replies() -> dict[str, Any]:
    """Replies of an inner listener; the headers tell the front why, and whether to ask again."""
    why = {FLAGS_HEADER: "%RESPONSE_FLAGS%", DETAILS_HEADER: "%RESPONSE_CODE_DETAILS%"}
    waiting = {**why, WAIT_HEADER: "1"}
    return {
        "mappers": [
            reply(
                flags("UH", "UF"),
                "gateway.no_replica",
                "No replica of the version could be reached.",
                waiting,
            ),
            reply(
                flags("UT"),
                "gateway.scoring_timeout",
                "The version did not answer within its scoring timeout.",
                why,
            ),
            reply(status("GE", 400), "gateway.replica_failed", "%LOCAL_REPLY_BODY%", why),
        ]
    }


def reply(
    when: dict[str, Any], code: str, message: str, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """One reply: ``code`` and ``message`` as JSON wherever ``when`` holds."""
    added = [
        {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        for key, value in (headers or {}).items()
    ]
    return {
        "filter": when,
        "body_format_override": {"json_format": {"error": {"code": code, "message": message}}},
        "headers_to_add": added,
    }


def status(operator: str, code: int) -> dict[str, Any]:
    """When the status compares to ``code`` by EQ, GE or LE."""
    value = {"default_value": code, "runtime_key": "weir.unused"}
    return {"status_code_filter": {"comparison": {"op": operator, "value": value}}}


def flags(*found: str) -> dict[str, Any]:
    """When one of Envoy's response flags is among ``found``."""
    return {"response_flag_filter": {"flags": list(found)}}
