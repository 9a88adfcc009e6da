"""What a window of evidence takes from Log Analytics: python -m benchmarks.log_analytics

Prints the bytes of the answers to one window's queries, over more and more traffic. The double
answers: its JSON is shaped like Azure's, and the query is the one that Azure would be sent.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.azure.conftest import identity_at
from tests.azure.double import Double
from tests.azure.log_analytics import WORKSPACE
from tests.azure.log_analytics import LogAnalytics as Workspace
from weir.azure.asking import Asking
from weir.azure.identity import credential
from weir.azure.log_analytics import LogAnalytics, LogSettings

BEGIN = datetime(2026, 11, 26, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
OUTCOMES = ("200", "404", "500", "504", "0")
MOST_VERSIONS = 6

Fill = Callable[[Workspace], int]


def usual(rows: int, *, reports: bool = False) -> Fill:
    """Two versions, 1 % failing, latencies of a usual service; ``reports`` with every answer."""

    def fill(workspace: Workspace) -> int:
        choose = random.Random(20261126)
        for number in range(rows):
            said = {}
            if reports:
                said["metrics"] = f"score={choose.random():.4f}, amount={choose.random():.2f}"
                said["labels"] = f"prediction={choose.choice(('approve', 'reject'))}"
            workspace.add(
                f"v{number % 2 + 1}",
                BEGIN,
                late_seconds=0.5,
                code="500" if choose.random() < 0.01 else "200",
                duration_ms=choose.lognormvariate(1.6, 0.6),
                **said,
            )
        return rows

    return fill


def worst(workspace: Workspace) -> int:
    """Six versions with five outcomes each, and latencies over seven decades in all of them."""
    count = 10**6
    for version in range(MOST_VERSIONS):
        for code in OUTCOMES:
            for bucket in range(-60, 310):
                latency_ms = 2 ** ((bucket + 0.5) / 16)
                workspace.add(
                    f"version-{version}",
                    BEGIN,
                    late_seconds=0.5,
                    code=code,
                    duration_ms=latency_ms,
                    count=count,
                )
    return sum(int(row[5]) for row in workspace.rows)


def measured(folder: Path, fill: Fill) -> tuple[int, list[int]]:
    """Requests in one window, and the bytes of each answer about it."""
    folder.mkdir()
    with Double(folder) as azure:
        workspace = Workspace(folder)
        azure.serve(workspace)
        asking = Asking(credential(identity_at(azure), azure.cloud), azure.cloud)
        telemetry = LogAnalytics(asking, LogSettings(WORKSPACE))
        requests = fill(workspace)
        found = telemetry.read("fraud", BEGIN, BEGIN + MINUTE, BEGIN - 60 * MINUTE)
        assert sum(one.requests for one in found.values()) == requests
        return requests, workspace.answered_bytes


def main() -> None:
    cases: tuple[tuple[str, Fill], ...] = (
        ("two versions", usual(1_000)),
        ("two versions", usual(30_000)),
        ("two versions", usual(300_000)),
        ("two versions that report two numbers and a label", usual(30_000, reports=True)),
        ("six versions, five outcomes, seven decades", worst),
    )
    with tempfile.TemporaryDirectory() as folder:
        for place, (name, fill) in enumerate(cases):
            requests, answers = measured(Path(folder, str(place)), fill)
            told = " + ".join(f"{one:,}" for one in answers)
            print(f"{name}, {requests:,} requests: {told} = {sum(answers):,} bytes")


if __name__ == "__main__":
    main()
