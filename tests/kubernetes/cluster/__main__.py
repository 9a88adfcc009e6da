"""``python -m tests.kubernetes.cluster up|down|status|build [--folder FOLDER]``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.kubernetes.cluster.build import build, home
from tests.kubernetes.cluster.cluster import Cluster
from tests.kubernetes.cluster.errors import ClusterError
from tests.kubernetes.cluster.modules import ALL


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kubernetes.cluster", description=__doc__)
    parser.add_argument("action", choices=["up", "down", "status", "build"])
    parser.add_argument("--folder", type=Path, default=None, help="the cluster's data and logs")
    asked = parser.parse_args()
    folder = (asked.folder or home() / "default").absolute()
    try:
        return {"up": _up, "down": _down, "status": _status, "build": _build}[asked.action](folder)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _up(folder: Path) -> int:
    build()
    started = time.monotonic()
    cluster = Cluster.start(folder)
    print(f"the cluster in {folder} is up ({time.monotonic() - started:.1f} s)", file=sys.stderr)
    print(f"export KUBECONFIG={cluster.kubeconfig}")
    return 0


def _down(folder: Path) -> int:
    if (folder / "pids").exists():
        Cluster(folder).stop()
    print(f"nothing of the cluster in {folder} runs", file=sys.stderr)
    return 0


def _status(folder: Path) -> int:
    running = Cluster(folder).running() if (folder / "pids").exists() else {}
    for name, process in running.items():
        print(f"{name}: pid {process.pid}, {process.memory_info().rss / 2**20:.0f} MiB")
    if not running:
        print(f"nothing of the cluster in {folder} runs")
    return 0 if running else 3


def _build(folder: Path) -> int:
    build()
    for module in ALL:
        print(f"{module.name} {module.version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
