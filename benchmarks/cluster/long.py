"""A rollout of 600 windows, without waiting: what the process and the record grow to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from benchmarks.cluster.stage import LAG_SECONDS, Stage, held, loaded, row, stage
from tests import story
from tests.fakes.world import SteadyTraffic
from tests.kubernetes import at_hand
from tests.kubernetes.at_hand import Place
from weir.kubernetes.kinds import CONFIG_MAP, Object, name_of
from weir.release.ledger import Ledger
from weir.window import Histogram, VersionCounts

WINDOWS = 600
LOOKS = (100, 300, 600)
BUCKETS = range(20, 80)
"""Latencies from 2 to 32 ms: as many buckets as a real version fills."""

_STORAGE = re.compile(r"^apiserver_storage_size_bytes\{[^}]*\} ([0-9.e+]+)$", re.M)


class _Leaping:
    """A clock that is ahead by what was slept."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def sleep(self, seconds: float) -> None:
        self._ahead += timedelta(seconds=seconds)


class _Spread(SteadyTraffic):
    """Latencies in many buckets."""

    def _counts(self, name: str, requests: int) -> VersionCounts:  # noqa: ARG002 all alike
        each = requests // len(BUCKETS)
        return VersionCounts(
            requests=each * len(BUCKETS),
            latency_ms=Histogram(counts=dict.fromkeys(BUCKETS, each)),
        )


class _Enough(Exception):
    """Ends the rollout where it is."""


def rows() -> Iterator[str]:
    with at_hand.place() as place:
        here = stage(place)
        story.release(here.platform, loaded("fraud", "v1"))
        here = _leaping(stage(place))
        seen: list[str] = []

        def look(ledger: Ledger) -> None:
            window = ledger.release().last_window
            if window is None:
                return
            if window.id + 1 in LOOKS:
                seen.append(row(f"process after {window.id + 1} windows", held(), "flat"))
            if window.id + 1 == WINDOWS:
                raise _Enough

        stored = storage_bytes(place)
        with here.counting() as calls:
            try:
                story.release(
                    here.platform,
                    loaded("fraud", "v2", minimum_requests=10**9, window_seconds=5),
                    on_window=look,
                )
            except _Enough:
                yield from seen
        yield row(f"a release of {WINDOWS} windows", calls, "")
        yield row("a window: calls", f"{calls.total / WINDOWS:.2f}", "")
        yield row("a window: milliseconds", f"{1000 * calls.seconds / WINDOWS:.1f}", "")
        grown = storage_bytes(place) - stored
        found, _ = place.admin.list(CONFIG_MAP)
        state = [_size(one) for one in found if name_of(one).endswith(".state")]
        record = [_size(one) for one in found if ".windows." in name_of(one)]
        yield row("the state's ConfigMap: bytes", f"{max(state):,}", "< 1 MiB")
        yield row("the window record's ConfigMaps", len(record), "")
        yield row("the largest of them: bytes", f"{max(record):,}", "< 1 MiB")
        yield row("etcd's file grows by", f"{grown / 1e6:.0f} MB", "")
        yield row("as a multiple of the record", f"{grown / sum(record):.0f}", "")


def _size(one: Object) -> int:
    return sum(len(text) for text in (one.get("data") or {}).values())


def storage_bytes(place: Place) -> int:
    """How large etcd's file is, as the API server knows it; etcd keeps every write for minutes."""
    text = place.admin.text("/metrics", "read the metrics")
    return sum(int(float(number)) for number in _STORAGE.findall(text))


def _leaping(here: Stage) -> Stage:
    telemetry = _Spread(here.telemetry.gateway, requests_per_second=2000, lag_seconds=LAG_SECONDS)
    platform = replace(here.platform, clock=_Leaping(), telemetry=telemetry)
    return replace(here, platform=platform, telemetry=telemetry)
