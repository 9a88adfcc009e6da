"""Telemetry in memory, from requests that a test makes."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from weir.errors import TelemetryUnavailable
from weir.telemetry.query import Row, counts
from weir.telemetry.reports import LABELS, LONGEST_HEADER_BYTES, METRICS, Report
from weir.window import VersionCounts


@dataclass(frozen=True)
class Request:
    """One request as the gateway saw it; the builder of access log lines, too."""

    begun: datetime
    duration_us: int | None = 5_000
    version: str = "v1"
    code: int = 200
    flags: str = "-"
    details: str = "via_upstream"
    forced: str = "-"
    total_ms: int | None = None
    metrics: str | None = None
    labels: str | None = None

    @property
    def completed(self) -> datetime:
        return self.begun + timedelta(microseconds=self.duration())

    def duration(self) -> int:
        return (self.total_ms or 0) * 1000 if self.duration_us is None else self.duration_us

    def line(self) -> str:
        """As Envoy writes it."""
        micros = (self.begun - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        fields = {
            "start": f"{micros // 1_000_000}.{micros % 1_000_000:06}",
            "duration_us": self.duration_us,
            "total_ms": self.duration() // 1000,
            "code": self.code,
            "flags": self.flags,
            "details": self.details,
            "version": self.version,
            "host": "127.0.0.1:40001",
            "attempts": 1,
            "id": "3f7c0a3e-5f0e-4a39-9a4e-6f0d2f6f1c11",
            "client": "127.0.0.1",
            "forced": self.forced,
            "method": "POST",
            "path": "/score",
            "metrics": self.metrics and self.metrics[: LONGEST_HEADER_BYTES + 1],
            "labels": self.labels and self.labels[: LONGEST_HEADER_BYTES + 1],
        }
        return json.dumps(fields, separators=(",", ":")) + "\n"

    def outcome(self) -> str | None:
        """What the contract calls it; None when it is not counted."""
        flags = set(self.flags.split(","))
        turned_away = self.code in (401, 403) and self.details != "via_upstream"
        unasked = self.version in ("", "-") or self.forced not in ("", "-")
        if unasked or turned_away or flags & {"DC", "DR"}:
            return None
        if "UO" in flags:
            return "overloaded"
        if "UT" in flags or self.code == 504:
            return "timeout"
        if "UPE" in flags:
            return "server_error"
        if flags & {"UF", "UC", "UH", "UR", "URX", "LR", "NC"} or self.code < 100:
            return "connection"
        if self.code >= 500:
            return "server_error"
        return "client_error" if self.code >= 400 else "ok"

    def bucket(self) -> int | None:
        duration_ms = self.duration() / 1000
        return math.ceil(math.log2(duration_ms) * 16) - 1 if duration_ms > 0 else None

    def reports(self) -> Iterator[Report]:
        """What the contract makes of the two headers."""
        for name, text in _entries(self.metrics):
            number = re.fullmatch(r"[-+]?\d{1,15}(\.\d{1,20})?([eE][-+]?\d{1,2})?", text)
            if number and abs(value := float(text)) <= 1e15:
                yield Report(METRICS, self.version, name, "", 1, value, value * value)
        for name, text in _entries(self.labels):
            yield Report(LABELS, self.version, name, text, 1, 0, 0)
            yield Report(LABELS, self.version, name, "", 1, 0, 0)


def _entries(header: str | None) -> Iterator[tuple[str, str]]:
    if not header or len(header) > LONGEST_HEADER_BYTES or re.search("[^ -~]", header):
        return
    parts = [entry.partition("=") for entry in header.split(",")]
    entries = [(name.strip(), text.strip()) for name, equals, text in parts if equals]
    given = Counter(name for name, _ in entries)
    for name, text in entries:
        if re.fullmatch("[a-z][a-z0-9_]{0,39}", name) and 0 < len(text) <= 64 and given[name] == 1:
            yield name, text


class FakeTelemetry:
    """ports.Telemetry over ``requests``. Set ``unavailable`` to have it fail."""

    def __init__(self, lag_seconds: float = 0.0) -> None:
        self.lag_seconds = lag_seconds
        self.requests: dict[str, list[Request]] = {}
        self.unavailable = False

    def read(
        self, endpoint: str, start: datetime, end: datetime, begun_after: datetime
    ) -> Mapping[str, VersionCounts]:
        if self.unavailable:
            raise TelemetryUnavailable(
                "telemetry.unreadable", "no answer.", remedy="Wait.", where=endpoint
            )
        served = [
            (request, outcome)
            for request in self.requests.get(endpoint, ())
            if start <= request.completed < end and request.begun >= begun_after
            if (outcome := request.outcome()) is not None
        ]
        return counts(
            (Row(request.version, outcome, request.bucket(), 1) for request, outcome in served),
            (report for request, _ in served for report in request.reports()),
        )
