"""What weir itself takes of a release: ``python benchmarks/release.py``.

Releases two versions of a trivial model server to a platform in a temporary home, with its Prefect
server up and traffic flowing. Of the second release's wall time it takes away what was spent
waiting for traffic (the windows and their lag) and for the model to start, and samples the
process's resident memory. Ends within about two minutes, with status 1 when a goal is missed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from weir.document import Phase
from weir.local.disk import write_atomically
from weir.local.platform import local_platform
from weir.local.supervisor import stop_everything
from weir.local.traffic import TrafficPlan
from weir.ports import Platform

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "any-server"
ENDPOINT = "threshold"
STEPS = 3
GOAL_OWN_SECONDS = 10.0
GOAL_RESIDENT_MB = 200.0
SAMPLE_SECONDS = 0.05
WEIR = str(Path(sys.executable).with_name("weir"))


@dataclass(frozen=True)
class Cost:
    """One release. ``waited_seconds`` is for traffic, ``started_seconds`` for the model."""

    wall_seconds: float
    waited_seconds: float
    started_seconds: float
    resident_mb: float
    windows: int

    @property
    def own_seconds(self) -> float:
        return self.wall_seconds - self.waited_seconds - self.started_seconds


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="weir-") as folder:
        home = Path(folder)
        os.environ |= {"WEIR_HOME": str(home), "PREFECT_HOME": str(home / "prefect-client")}
        os.environ.pop("PREFECT_API_URL", None)
        try:
            cost = measure(home)
        finally:
            stop_everything(home)
    print("| what | measured | goal |")
    print("| --- | --- | --- |")
    print(f"| wall time of `weir release` | {cost.wall_seconds:.1f} s | |")
    print(f"| of it waiting for traffic, {cost.windows} windows | {cost.waited_seconds:.1f} s | |")
    print(f"| of it waiting for the model to start | {cost.started_seconds:.1f} s | |")
    print(f"| weir's own share | {cost.own_seconds:.1f} s | < {GOAL_OWN_SECONDS:g} s |")
    print(f"| resident memory at most | {cost.resident_mb:.0f} MB | < {GOAL_RESIDENT_MB:g} MB |")
    missed = cost.own_seconds >= GOAL_OWN_SECONDS or cost.resident_mb >= GOAL_RESIDENT_MB
    return int(missed)


def measure(home: Path) -> Cost:
    """Release v1, send traffic, and watch the release of v2."""
    run("up")
    run("release", str(release_file(home, "v1")))
    platform = local_platform(home)
    key, counters = home / "key", home / "counters.json"
    write_atomically(key, platform.traffic.keys(ENDPOINT).primary)
    plan = TrafficPlan(
        uri=str(platform.traffic.scoring_uri(ENDPOINT)),
        requests=EXAMPLE / "samples.ndjson",
        counters=counters,
        key_file=key,
        rate=200,
        duration_seconds=180,
    )
    traffic = subprocess.Popen(plan.command())
    try:
        return watch(platform, release_file(home, "v2"))
    finally:
        traffic.terminate()
        traffic.wait(20)


def watch(platform: Platform, file: Path) -> Cost:
    """The cost of ``weir release`` of ``file``, from its start to its exit."""
    began = time.monotonic()
    release = subprocess.Popen([WEIR, "release", str(file)], stdout=subprocess.DEVNULL)
    seen = psutil.Process(release.pid)
    resident, deploying = 0, 0.0
    while release.poll() is None:
        resident = max(resident, resident_bytes(seen))
        document = platform.state.read(ENDPOINT)
        if document and document.release and document.release.phase is Phase.DEPLOY:
            deploying += SAMPLE_SECONDS
        time.sleep(SAMPLE_SECONDS)
    wall = time.monotonic() - began
    if release.returncode != 0:
        raise SystemExit(f"the release ended with {release.returncode}")
    document = platform.state.read(ENDPOINT)
    assert document is not None
    windows = platform.windows.read(ENDPOINT, document.history[-1].id)
    observed = sum((window.end - window.start).total_seconds() for window in windows)
    waited = observed + STEPS * platform.telemetry.lag_seconds
    return Cost(wall, waited, deploying, resident / 1e6, len(windows))


def resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def release_file(home: Path, version: str) -> Path:
    """The example's release as ``version``, with margins that a short run can prove."""
    release = {
        "endpoint": ENDPOINT,
        "version_name": version,
        "model": {"name": "threshold", "version": version, "path": str(EXAMPLE / "model")},
        "inference": {
            "command": ["python3", "{source_dir}/serve.py", "{port}"],
            "source_directory": str(EXAMPLE / "server"),
            "health_path": "/health",
        },
        "deployment": {
            "num_replicas": 2,
            "replica_max_concurrent_requests": 16,
            "liveness": {"initial_delay_seconds": 1, "period_seconds": 2},
        },
        "check": {"samples": str(EXAMPLE / "samples.ndjson")},
        "rollout": {
            "steps": [5, 25, 50, 100],
            "window_seconds": 2,
            "minimum_requests": 50,
            "guardrails": [
                {"metric": "failures", "slack": 0.01},
                {"metric": "latency", "margin": 4.0, "promote_margin": 5.66},
            ],
        },
    }
    path = home / f"release-{version}.yaml"
    path.write_text(json.dumps(release))
    return path


def run(*arguments: str) -> None:
    subprocess.run([WEIR, *arguments], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
