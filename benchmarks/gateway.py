"""What split changes and killed replicas cost callers: ``python benchmarks/gateway.py``.

A real Envoy in front of trivial replicas, in a temporary home, under the load of a few threads.
Prints a table; ends within about a minute, with status 1 when a request failed.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.builders import endpoint
from tests.gateway import Gateway, at_once
from weir.endpoint import Endpoint, Split

SPLIT_CHANGES = 200
KILLS = 20
CLIENTS = 4
KILLING_SECONDS = 40.0
GOAL_P99_MS = 50.0


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="weir-") as folder:
        gateway = Gateway(Path(folder))
        try:
            return _measure(gateway)
        finally:
            gateway.close()


def _measure(gateway: Gateway) -> int:
    plan = {"num_replicas": 4, "replica_max_concurrent_requests": 50}
    fraud = gateway.serve(endpoint("fraud").control("v1", **plan).treatment("v2", **plan).build())
    rows: list[tuple[str, str]] = []

    with _load(gateway, fraud) as codes:
        lags_ms = _change_splits(gateway, fraud)
    split_failures = sum(count for code, count in codes.items() if code != 200)
    rows += [
        (f"requests during {SPLIT_CHANGES} split changes", str(codes.total())),
        ("... failed", str(split_failures)),
        ("written to followed by all, p50", f"{statistics.median(lags_ms):.1f} ms"),
        ("... p99", f"{_quantile(lags_ms, 0.99):.1f} ms"),
        ("... maximum", f"{max(lags_ms):.1f} ms"),
    ]

    gateway.traffic.apply(fraud.with_split(Split.of({"v1": 50, "v2": 50})))
    with _load(gateway, fraud) as codes:
        kills = _kill_replicas(gateway)
    kill_failures = sum(count for code, count in codes.items() if code != 200)
    rows += [
        (f"requests during {kills} killed replicas", str(codes.total())),
        ("... failed", str(kill_failures)),
    ]

    rows.append(("Envoy's processor time a request", f"{_cost_us(gateway, fraud):.0f} us"))
    rows += _waits(gateway)
    print("| measured | value |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value} |")
    missed = split_failures or kill_failures or _quantile(lags_ms, 0.99) >= GOAL_P99_MS
    return 1 if missed or kills < KILLS else 0


def _change_splits(gateway: Gateway, fraud: Endpoint) -> list[float]:
    """Per change, milliseconds from the file's write to the last request that began as before."""
    routes = gateway.home.gateway("fraud") / "rds.yaml"
    changes = []
    for number in range(SPLIT_CHANGES):
        target = f"v{2 - number % 2}"
        gateway.traffic.apply(fraud.with_split(Split.everything_to(target)))
        changes.append((routes.stat().st_mtime, target))
    time.sleep(0.5)
    began = sorted((float(x["start"]), x["version"]) for x in gateway.log("fraud", 1))
    lags_ms = []
    for (written, target), (until, _) in zip(
        changes, [*changes[1:], (time.time(), "")], strict=True
    ):
        # What began as before, up to the next change's write.
        late = [t for t, version in began if written <= t < until and version != target]
        lags_ms.append((max(late) - written) * 1000 if late else 0.0)
    return lags_ms


def _kill_replicas(gateway: Gateway) -> int:
    names = [f"fraud.{version}.{number}" for version in ("v1", "v2") for number in range(4)]
    chosen = random.Random(1)
    deadline = time.monotonic() + KILLING_SECONDS
    killed = 0
    while killed < KILLS and time.monotonic() < deadline:
        # Never the last one of a version: siblings have to be there.
        ready = [n for n in names if (s := gateway.table.status(n)) and s.state == "ready"]
        safe = [n for n in ready if sum(r.startswith(n[:-1]) for r in ready) >= 3]
        if not safe:
            time.sleep(0.05)
            continue
        name = chosen.choice(safe)
        status = gateway.table.status(name)
        if status is not None and status.pid is not None and status.state == "ready":
            os.kill(status.pid, signal.SIGKILL)
            killed += 1
            time.sleep(0.2)
    return killed


def _cost_us(gateway: Gateway, fraud: Endpoint) -> float:
    status = gateway.table.status("fraud.gateway")
    assert status is not None
    envoy = psutil.Process(status.pid)
    before = sum(envoy.cpu_times()[:2])
    with _load(gateway, fraud) as codes:
        time.sleep(3)
    return (sum(envoy.cpu_times()[:2]) - before) / codes.total() * 1e6


def _waits(gateway: Gateway) -> list[tuple[str, str]]:
    """One replica that scores one request at a time, under 8 callers."""
    busy = gateway.serve(endpoint("busy").control("v1", max_request_wait_time=500).build(), True)
    send = gateway.caller(busy)
    waited = []
    for _ in range(3):
        replies = at_once(8, lambda: send(sleep_ms=1200))
        waited += [reply.seconds * 1000 for reply in replies if reply.status == 503]
    spread = statistics.stdev(waited)
    return [
        ("refused after waiting, of 500 ms allowed", f"{statistics.mean(waited):.0f} ms"),
        ("... standard deviation", f"{spread:.0f} ms"),
    ]


@contextmanager
def _load(gateway: Gateway, fraud: Endpoint) -> Iterator[Counter[int]]:
    """Callers that keep their connections; statuses are counted, 0 is a broken connection."""
    key = gateway.traffic.keys("fraud").primary
    codes: Counter[int] = Counter()
    over = threading.Event()

    def work() -> None:
        mine: Counter[int] = Counter()
        connection = http.client.HTTPConnection("127.0.0.1", fraud.port or 0, timeout=30)
        while not over.is_set():
            try:
                connection.request(
                    "POST", "/score", json.dumps({}), {"authorization": f"Bearer {key}"}
                )
                response = connection.getresponse()
                response.read()
                mine[response.status] += 1
            except (OSError, http.client.HTTPException):
                mine[0] += 1
                connection.close()
        connection.close()
        codes.update(mine)

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield codes
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _quantile(values: list[float], quantile: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))]


if __name__ == "__main__":
    sys.exit(main())
