"""A namespace of a real control plane, as a platform whose calls are counted."""

from __future__ import annotations

import gc
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from tests.fakes.models import FakeModels
from tests.fakes.world import SteadyTraffic
from tests.kubernetes.at_hand import Place
from weir.kubernetes.api import Api
from weir.kubernetes.platform import platform_on
from weir.ports import Platform
from weir.spec.load import Loaded
from weir.spec.release import ReleaseSpec

REQUESTS_PER_SECOND = 2000
LAG_SECONDS = 0.2
QUICK: dict[str, Any] = {
    "steps": [5, 25, 50, 100],
    "window_seconds": 1,
    "minimum_requests": 250,
    "guardrails": [{"metric": "failures", "slack": 0.01}],
}


@dataclass
class Stage:
    """``platform`` asks the real API server for everything but telemetry, which is played in."""

    place: Place
    api: Api
    platform: Platform
    telemetry: SteadyTraffic

    @contextmanager
    def counting(self) -> Iterator[Calls]:
        """Calls and seconds of the block."""
        calls, before, began = Calls(), Counter(self.api.calls), time.monotonic()
        yield calls
        calls.seconds = time.monotonic() - began
        calls.by_verb = Counter(self.api.calls) - before


@dataclass
class Calls:
    by_verb: Counter[str]
    seconds: float

    def __init__(self) -> None:
        self.by_verb, self.seconds = Counter(), 0.0

    @property
    def total(self) -> int:
        return self.by_verb.total()

    def __str__(self) -> str:
        verbs = ", ".join(f"{verb} {count}" for verb, count in sorted(self.by_verb.items()))
        return f"{self.total} ({verbs}), {self.seconds:.1f} s"


def stage(place: Place, **failing: float) -> Stage:
    """What a new process would have: it knows nothing yet and follows nothing."""
    api = place.api()
    platform = platform_on(api, place.settings, FakeModels(), Path("/nowhere"))
    # The split that telemetry is played by is the gateway's own, read for nothing.
    telemetry = SteadyTraffic(
        platform.traffic,
        requests_per_second=REQUESTS_PER_SECOND,
        failing=failing,
        lag_seconds=LAG_SECONDS,
    )
    return Stage(place, api, replace(platform, telemetry=telemetry), telemetry)


def content(endpoint: str, version: str) -> dict[str, Any]:
    """A release file's content: one small replica, and a policy that is soon content."""
    return {
        "endpoint": endpoint,
        "version_name": version,
        "model": {"name": "fraud", "version": version},
        "inference": {"image": f"registry.example/fraud:{version}"},
        "deployment": {"num_replicas": 1, "cpu_cores": 0.02, "memory_gb": 0.05},
        "rollout": QUICK,
    }


def loaded(endpoint: str, version: str, **rollout: Any) -> Loaded:
    """The same as it is read, with changes of its ``rollout``."""
    whole = {**content(endpoint, version), "rollout": {**QUICK, **rollout}}
    here = Path("/nowhere")
    return Loaded(
        spec=ReleaseSpec.model_validate(whole),
        path=here / "r.yaml",
        directory=here,
        digest=f"d-{version}",
    )


@dataclass(frozen=True)
class Held:
    """What this process holds: memory that stays, threads, and sockets."""

    resident_mb: float
    threads: int
    sockets: int

    def __str__(self) -> str:
        return f"{self.resident_mb:.0f} MB, {self.threads} threads, {self.sockets} sockets"


def held() -> Held:
    gc.collect()
    process = psutil.Process()
    return Held(
        process.memory_info().rss / 1e6,
        threading.active_count(),
        len(process.net_connections(kind="tcp")),
    )


def row(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"
