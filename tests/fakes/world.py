"""A platform in memory with a clock of its own: whole releases in milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from tests.fakes.models import FakeModels
from tests.fakes.state import FakeState, FakeWindows
from tests.fakes.traffic import FakeTraffic
from tests.fakes.workloads import FakeWorkloads
from weir.endpoint import Endpoint, Split
from weir.errors import PermanentError, TelemetryUnavailable
from weir.ports import (
    BuildContext,
    CheckReport,
    ClusterStatus,
    Image,
    Platform,
    Say,
    unsaid,
)
from weir.window import Histogram, Metric, VersionCounts

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class FakeClock:
    """Time passes only when somebody sleeps. ``interruptions`` are raised by the next sleeps.

    ``meanwhile`` happens in the next sleeps, one in each.
    """

    def __init__(self) -> None:
        self._now = NOON
        self.interruptions: list[BaseException] = []
        self.meanwhile: list[Callable[[], object]] = []

    def now(self) -> datetime:
        return self._now

    def set_back(self, seconds: float) -> None:
        self._now -= timedelta(seconds=seconds)

    def sleep(self, seconds: float) -> None:
        if self.interruptions:
            raise self.interruptions.pop(0)
        if self.meanwhile:
            self.meanwhile.pop(0)()
        self._now += timedelta(seconds=seconds)


class ClockedTraffic(FakeTraffic):
    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock.now())
        self._clock = clock

    def apply(self, endpoint: Endpoint, revision: int = 0) -> datetime:
        self.now = self._clock.now()
        return super().apply(endpoint)


class FakeClusters:
    def status(self) -> ClusterStatus:
        return ClusterStatus("fake", ready=True)

    def check(self) -> tuple[str, ...]:
        return ()

    def ensure(self, say: Say = unsaid) -> ClusterStatus:
        return self.status()


@dataclass
class FakeImages:
    """Builds anything but what is in ``broken``: context's model file name -> error."""

    broken: dict[str, PermanentError] = field(default_factory=dict)
    built: list[str] = field(default_factory=list)
    retains: bool = True

    def digest(self, context: BuildContext) -> str:
        return f"image-of-{context.model_path.name if context.model_path else 'nothing'}"

    def build(self, context: BuildContext, say: Say = unsaid) -> Image:
        digest = self.digest(context)
        if digest in self.broken:
            raise self.broken[digest]
        new = digest not in self.built
        if new:
            say(f"building {digest}")
            self.built.append(digest)
        return Image(digest, built=new)

    def retain(self, digests: Any) -> None:
        self.built = [digest for digest in self.built if digest in digests]


@dataclass
class FakeScorer:
    report: CheckReport = CheckReport(samples=3, failed=0, slowest_ms=5.0)

    def score(self, endpoint: Endpoint, version: str, samples: Path) -> CheckReport:
        return self.report


class Splitting(Protocol):
    """What telemetry has to know of a gateway."""

    def split(self, endpoint: str) -> Split | None: ...


@dataclass
class SteadyTraffic:
    """Telemetry of callers who send ``requests_per_second``, split as the gateway splits.

    A version fails the share given in ``failing``, and reports scores around ``scores``. ``silent``
    stops the callers, ``unavailable`` the telemetry. ``arriving`` is the split that callers really
    see, whatever the gateway says.
    """

    gateway: Splitting
    requests_per_second: float = 100
    failing: dict[str, float] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    lag_seconds: float = 1.0
    silent: bool = False
    unavailable: bool = False
    arriving: Split | None = None
    counted: dict[str, int] = field(default_factory=dict)

    def read(
        self, endpoint: str, start: datetime, end: datetime, begun_after: datetime
    ) -> Mapping[str, VersionCounts]:
        if self.unavailable:
            raise TelemetryUnavailable("telemetry.unreadable", "no answer.", remedy="Wait.")
        split = self.arriving or self.gateway.split(endpoint)
        seconds = (end - max(start, begun_after)).total_seconds()
        if self.silent or split is None or seconds <= 0:
            return {}
        return {
            name: self._counts(name, round(self.requests_per_second * seconds * share / 10_000))
            for name, share in split.hundredths.items()
            if share
        }

    def _counts(self, name: str, requests: int) -> VersionCounts:
        self.counted[name] = self.counted.get(name, 0) + requests
        failed = round(requests * self.failing.get(name, 0))
        return VersionCounts(
            requests=requests,
            failures_by_class={"server_error": failed} if failed else {},
            latency_ms=Histogram(counts={52: requests} if requests else {}),
            metrics={"score": self._scored(name, requests)} if name in self.scores else {},
        )

    def _scored(self, name: str, requests: int) -> Metric:
        """Scores with a standard deviation of 0.1."""
        mean = self.scores[name]
        return Metric(n=requests, sum=requests * mean, sum_sq=requests * (mean**2 + 0.01))


@dataclass
class World:
    """The fakes behind one platform, for tests to look at and to break."""

    clock: FakeClock
    traffic: ClockedTraffic
    telemetry: SteadyTraffic
    workloads: FakeWorkloads
    images: FakeImages
    scorer: FakeScorer
    state: FakeState
    windows: FakeWindows
    models: FakeModels
    platform: Platform


def world(**failing: float) -> World:
    """A platform without endpoints; ``world(v2=0.5)`` has v2 fail half of its requests."""
    clock = FakeClock()
    traffic = ClockedTraffic(clock)
    telemetry = SteadyTraffic(traffic, failing=failing)
    workloads, images, scorer = FakeWorkloads(), FakeImages(), FakeScorer()
    state, windows, models = FakeState(), FakeWindows(), FakeModels()
    platform = Platform(
        name="fake",
        clusters=FakeClusters(),
        images=images,
        workloads=workloads,
        traffic=traffic,
        telemetry=telemetry,
        models=models,
        state=state,
        windows=windows,
        scorer=scorer,
        clock=clock,
    )
    return World(
        clock, traffic, telemetry, workloads, images, scorer, state, windows, models, platform
    )
