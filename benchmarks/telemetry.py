"""Reading windows of the access log: python benchmarks/telemetry.py [requests]

Prints the time of one window over every request, the time of a small window after few and after
many earlier lines, and the resident memory.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psutil

from weir.local.telemetry import LocalTelemetry

BEGIN = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PER_SECOND = 1000
FEW = 10_000
SMALL_WINDOW_SECONDS = 5
REPEATS = 15


def log(home: Path, requests: int, *, reports: bool = False) -> Path:
    """An access log of ``requests`` lines, ``PER_SECOND`` of them completing in each second.

    With ``reports`` every answer brings two numbers and a label.
    """
    choose = random.Random(20261123)
    path = home / "endpoints" / "fraud" / "gateway" / "access.log"
    path.parent.mkdir(parents=True)
    with path.open("w") as stream:
        for number in range(requests):
            duration_us = int(choose.lognormvariate(8.5, 0.6))
            start = BEGIN.timestamp() + number / PER_SECOND - duration_us / 1_000_000
            code, version = (500 if choose.random() < 0.01 else 200), choose.choice(["v1", "v2"])
            reported = (
                f'"metrics":"score={choose.random():.4f}, amount={choose.random() * 100:.2f}",'
                f'"labels":"prediction={choose.choice(("approve", "reject"))}",'
                if reports
                else ""
            )
            stream.write(
                f'{{"start":"{start:.6f}","duration_us":{duration_us},"total_ms":'
                f'{duration_us // 1000},"code":{code},"flags":"-","details":"via_upstream",'
                f'"version":"{version}","host":"127.0.0.1:40001","attempts":1,"id":'
                f'"9f1c2f0e-0d5f-4f9c-8c57-{number:012}","client":"127.0.0.1","forced":"-",'
                f'{reported}"method":"POST","path":"/score"}}\n'
            )
    return path


@dataclass(frozen=True)
class Cost:
    """Wall time, and processor time, which other programs on the machine disturb less."""

    wall_seconds: float
    processor_seconds: float

    def __str__(self) -> str:
        return (
            f"{self.wall_seconds * 1000:,.0f} ms"
            f" ({self.processor_seconds * 1000:,.0f} ms of processor)"
        )


def cost(action: Callable[[], object], repeats: int = 1) -> Cost:
    """The median of ``repeats``."""
    walls, processors = [], []
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        action()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return Cost(statistics.median(walls), statistics.median(processors))


def resident_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 1e6


def window(telemetry: LocalTelemetry, start: float, end: float) -> int:
    found = telemetry.read(
        "fraud",
        BEGIN + timedelta(seconds=start),
        BEGIN + timedelta(seconds=end),
        BEGIN - timedelta(hours=1),
    )
    return sum(counts.requests for counts in found.values())


def main(many: int) -> None:
    print(f"resident after import: {resident_mb():.0f} MB")
    costs: dict[int, Cost] = {}
    for requests in (FEW, many):
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            size = log(home, requests).stat().st_size
            telemetry = LocalTelemetry(home)
            end = requests / PER_SECOND - 1
            small = partial(window, telemetry, end - SMALL_WINDOW_SECONDS, end)
            whole = partial(window, telemetry, -1, many)
            print(f"{requests:,} requests logged, {size / 1e6:.0f} MB")
            print(f"  first window of a home, with translation: {cost(small)}")
            costs[requests] = cost(small, REPEATS)
            print(
                f"  {SMALL_WINDOW_SECONDS * PER_SECOND:,} requests at the end: {costs[requests]},"
                f" resident {resident_mb():.0f} MB"
            )
            if requests == many:
                print(f"  all {many:,} in one window: {cost(whole, 3)}, resident", end=" ")
                print(f"{resident_mb():.0f} MB")
                assert whole() == many
    with tempfile.TemporaryDirectory() as folder:
        log(Path(folder), FEW, reports=True)
        telemetry, end = LocalTelemetry(Path(folder)), FEW / PER_SECOND - 1
        small = partial(window, telemetry, end - SMALL_WINDOW_SECONDS, end)
        small()
        print(f"  the same with two numbers and a label in every answer: {cost(small, REPEATS)}")
    ratio = costs[many].processor_seconds / costs[FEW].processor_seconds
    print(f"small window after {many:,} against after {FEW:,} requests: {ratio:.2f} x")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
