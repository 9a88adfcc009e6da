"""Rotation of a gateway's access log."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path

from weir.local.admin import Admin, AdminUnavailableError
from weir.local.gateway_files import GatewayFiles
from weir.local.home import Home


def rotate_access_log(home: Path, endpoint: str, max_bytes: int, keep: int) -> bool:
    """Move ``access.log`` aside when it has more than ``max_bytes``; keep the newest ``keep``.

    Loses no line: Envoy writes to the renamed file until it has opened a new one. Returns whether
    it rotated. Called periodically; safe at any time and beside a running gateway.
    """
    folder = Home(home).root / "endpoints" / endpoint / "gateway"
    log = folder / "access.log"
    try:
        if log.stat().st_size <= max_bytes:
            return False
    except OSError:
        return False
    log.rename(folder / f"access-{datetime.now(UTC):%Y%m%dT%H%M%S%f}.log")
    with contextlib.suppress(AdminUnavailableError):
        # An Envoy that does not answer keeps writing to the renamed file, or opens a new one
        # when it starts.
        Admin(GatewayFiles(Home(home), endpoint).admin_socket).reopen_logs()
    for old in sorted(folder.glob("access-*.log"))[: -keep or None]:
        old.unlink(missing_ok=True)
    return True
