from __future__ import annotations

import pytest

from weir.errors import PermanentError, TemporaryError, WeirError
from weir.images.failures import SHOWN_LINES, build_failure, push_failure


@pytest.mark.parametrize(
    ("line", "kind", "reason"),
    [
        ("ERROR: No matching distribution found for nump==1", PermanentError, "unresolvable"),
        (
            "NewConnectionError('<pip>: Failed to establish a new connection')",
            TemporaryError,
            "index_unreachable",
        ),
        (
            "initializing source docker://r/b:1: reading manifest 1 in r/b: manifest unknown",
            PermanentError,
            "base_unavailable",
        ),
        (
            'pinging container registry r: Get "https://r/v2/": dial tcp: lookup r: no such host',
            TemporaryError,
            "base_unreachable",
        ),
        ("write /tmp/x: no space left on device", PermanentError, "disk.full"),
        ("error: while running runtime: exit status 3", PermanentError, "build_failed"),
    ],
)
def test_a_failed_build_says_what_is_wrong(line: str, kind: type[WeirError], reason: str) -> None:
    error = build_failure(["STEP 1/9: FROM r/b:1", line], "r/weir/fraud:1")
    assert isinstance(error, kind)
    assert reason in error.reason
    assert line in error.message


@pytest.mark.parametrize(
    ("line", "kind", "reason"),
    [
        ("unauthorized: authentication required", PermanentError, "image.registry_sign_in"),
        ("denied: requested access to the resource is denied", PermanentError, "sign_in"),
        (
            "http: server gave HTTP response to HTTPS client",
            PermanentError,
            "image.registry_insecure",
        ),
        ("dial tcp 127.0.0.1:1: connect: connection refused", TemporaryError, "unreachable"),
        ("received unexpected HTTP status: 500", PermanentError, "image.push_failed"),
    ],
)
def test_a_failed_push_says_what_is_wrong(line: str, kind: type[WeirError], reason: str) -> None:
    error = push_failure([line], "r/weir/fraud:1")
    assert isinstance(error, kind)
    assert reason in error.reason


def test_only_the_last_lines_are_shown_without_colours_and_logins() -> None:
    lines = [f"line {number}" for number in range(40)]
    error = build_failure([*lines, "", "\x1b[31mhttps://ada:hush@index.example/\x1b[0m"], "where")
    assert error.message.count("\n    ") == SHOWN_LINES
    assert "https://…@index.example/" in error.message
    assert "\x1b" not in error.message
