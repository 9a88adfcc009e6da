"""What a traffic generator has sent, and what came back: counted, written, read."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

UNKNOWN_VERSION = "-"
LONGEST_SAMPLE = 200


def cause_of(status: int, version: str) -> str | None:
    """Why an answer is a failure; None for 2xx.

    ``model_error`` is a version's own 500; ``gateway_502``, ``_503`` and ``_504`` are what
    deploying, shifting or overload may cause; ``rejected`` is a refused key.
    """
    if 200 <= status < 300:
        return None
    if status == 500 and version != UNKNOWN_VERSION:
        return "model_error"
    if status in (502, 503, 504):
        return f"gateway_{status}"
    if status in (401, 403):
        return "rejected"
    return "client_error" if 400 <= status < 500 else f"status_{status}"


@dataclass(frozen=True)
class VersionTraffic:
    """Requests that one version answered; ``causes`` counts the failed ones."""

    requests: int = 0
    causes: Mapping[str, int] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        return sum(self.causes.values())


@dataclass(frozen=True)
class TrafficCounts:
    """All requests that have ended. ``versions`` has ``-`` for answers that name no version.

    ``samples`` holds the first failure of each cause in words. ``ended`` says why the generator
    stopped; it is empty while it runs. Times are ISO 8601 in UTC, latencies in milliseconds.
    """

    started_at: str
    updated_at: str
    ended: str = ""
    requests: int = 0
    statuses: Mapping[str, int] = field(default_factory=dict)
    causes: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, VersionTraffic] = field(default_factory=dict)
    samples: Mapping[str, str] = field(default_factory=dict)
    mean_ms: float = 0.0
    slowest_ms: float = 0.0

    @property
    def failed(self) -> int:
        return sum(self.causes.values())

    def version(self, name: str) -> VersionTraffic:
        return self.versions.get(name, VersionTraffic())


def read_counts(path: Path) -> TrafficCounts | None:
    """The counts in the file ``path``; None before the first were written."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    fields["versions"] = {k: VersionTraffic(**v) for k, v in fields["versions"].items()}
    return TrafficCounts(**fields)


def write_counts(path: Path, counts: TrafficCounts) -> None:
    """Whole or not at all: a reader never sees half a file."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.write_text(json.dumps(asdict(counts)), encoding="utf-8")
    half.replace(path)


class Tally:
    """Counts from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started_at = _now()
        self._statuses: dict[str, int] = {}
        self._causes: dict[str, int] = {}
        self._requests: dict[str, int] = {}
        self._version_causes: dict[str, dict[str, int]] = {}
        self._samples: dict[str, str] = {}
        self._total_ms = 0.0
        self._slowest_ms = 0.0

    def add(
        self, status: str, version: str, cause: str | None, latency_ms: float, words: str = ""
    ) -> None:
        """One request that has ended; ``status`` is ``none`` when there was no answer."""
        with self._lock:
            self._statuses[status] = self._statuses.get(status, 0) + 1
            self._requests[version] = self._requests.get(version, 0) + 1
            self._total_ms += latency_ms
            self._slowest_ms = max(self._slowest_ms, latency_ms)
            if cause is not None:
                self._causes[cause] = self._causes.get(cause, 0) + 1
                of_version = self._version_causes.setdefault(version, {})
                of_version[cause] = of_version.get(cause, 0) + 1
                self._samples.setdefault(cause, words[:LONGEST_SAMPLE])

    def counts(self, ended: str = "") -> TrafficCounts:
        with self._lock:
            total = sum(self._requests.values())
            return TrafficCounts(
                started_at=self._started_at,
                updated_at=_now(),
                ended=ended,
                requests=total,
                statuses=dict(self._statuses),
                causes=dict(self._causes),
                versions={
                    name: VersionTraffic(count, dict(self._version_causes.get(name, {})))
                    for name, count in self._requests.items()
                },
                samples=dict(self._samples),
                mean_ms=self._total_ms / total if total else 0.0,
                slowest_ms=self._slowest_ms,
            )


def _now() -> str:
    return datetime.now(UTC).isoformat()
