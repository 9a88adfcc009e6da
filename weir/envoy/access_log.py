"""The access log: one line per request of a caller, which is a row of the table AppRequests."""

from __future__ import annotations

import json
from typing import Any

from weir.envoy.filters import METADATA
from weir.envoy.resources import typed
from weir.envoy.routes import FORCE_HEADER
from weir.telemetry.reports import LONGEST_HEADER_BYTES

STDOUT = "/dev/stdout"


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
        "host": _or_dash(f"%DYNAMIC_METADATA({METADATA}:host)%"),
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
    return f"%DYNAMIC_METADATA({METADATA}:{key}):{LONGEST_HEADER_BYTES + 1}%"


def _or_dash(operator: str) -> str:
    # An operator alone is null when it has no value; within a text it is a dash.
    return operator + "%REQ(:METHOD):0%"


def _inner_word(key: str, otherwise: str) -> str:
    operators = [{"command": "DYNAMIC_METADATA", "param": f"{METADATA}:{key}"}, otherwise]
    return f"%COALESCE({json.dumps({'operators': operators})})%"


def access_log(path: str) -> list[dict[str, Any]]:
    """The log of a listener as lines of JSON in the file ``path``."""
    if path == STDOUT:
        # Opening it by its name fails where another user has made it, as in a container.
        name, kind = "stdout", "stream.v3.StdoutAccessLog"
        where = {}
    else:
        name, kind = "file", "file.v3.FileAccessLog"
        where = {"path": path}
    log_format = {"json_format": access_log_format()}
    return [
        {
            "name": f"envoy.access_loggers.{name}",
            "typed_config": typed(
                f"envoy.extensions.access_loggers.{kind}", **where, log_format=log_format
            ),
        }
    ]
