"""Telemetry of the local platform: the access logs of the gateways in the home folder."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from weir.local.home import Home
from weir.logs.counting import LogCounting
from weir.logs.engine import PIECE_BYTES
from weir.logs.slices import pieces
from weir.telemetry import query
from weir.window import VersionCounts

LAG_SECONDS = 0.5
"""Five of Envoy's flush intervals of 100 ms: lines are in the file by then even under load."""


class LocalTelemetry:
    """ports.Telemetry over the access logs in ``home``.

    Time and memory depend on the window alone, not on what was logged before it. An endpoint
    without any log has served nothing: no counts.
    """

    def __init__(self, home: Path, lag_seconds: float = LAG_SECONDS) -> None:
        self._home = Home(home)
        self.lag_seconds = lag_seconds
        self._counting = LogCounting(self._home.root / "cache" / "kql")

    def close(self) -> None:
        """Let go of the database; the next read opens it again."""
        self._counting.close()

    def read(
        self, endpoint: str, start: datetime, end: datetime, begun_after: datetime
    ) -> Mapping[str, VersionCounts]:
        values = query.values_of(endpoint, start, end, begun_after)
        folder = self._home.root / "endpoints" / endpoint / "gateway"
        with pieces(folder, start.timestamp(), end.timestamp(), PIECE_BYTES) as found:
            return self._counting.counts(found, values, where=str(folder))
