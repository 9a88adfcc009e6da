"""What weir needs of a platform, in weir's own words. No vendor type crosses a port."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

from weir.document import EndpointDocument, Holder
from weir.endpoint import Endpoint, Split, Version
from weir.spec.inference import Inference
from weir.window import VersionCounts, Window


class ReplicaState(StrEnum):
    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    BACKING_OFF = "backing_off"
    STOPPING = "stopping"


@dataclass(frozen=True)
class Replica:
    """One running copy of a version. ``message`` says why it is not ready."""

    name: str
    state: ReplicaState
    address: str = ""
    pid: int | None = None
    restarts: int = 0
    last_exit: int | None = None
    message: str = ""


@dataclass(frozen=True)
class WorkloadStatus:
    """What runs of one version.

    ``failed`` when it will not become ready without a change: what is wrong, in words. ``reason``
    and ``remedy`` then say it as every error does; ``hint`` is what is wrong by now, also where it
    may still pass. ``settled`` is False while replicas of earlier content are being replaced.
    """

    version: str
    desired: int
    replicas: tuple[Replica, ...] = ()
    failed: str = ""
    reason: str = "workload.crashed"
    remedy: str = ""
    hint: str = ""
    settled: bool = True

    def ready(self) -> int:
        return sum(replica.state is ReplicaState.READY for replica in self.replicas)

    def is_ready(self) -> bool:
        return self.settled and self.desired > 0 and self.ready() >= self.desired


@dataclass(frozen=True)
class ClusterStatus:
    name: str
    ready: bool
    message: str = ""


@dataclass(frozen=True)
class Image:
    """Something that can be run, by content: the same content has the same digest."""

    digest: str
    built: bool
    """False when an unchanged image was found and reused."""


@dataclass(frozen=True)
class BuildContext:
    """Absolute paths of what goes into an image. ``name`` is the model's, for people."""

    model_path: Path | None
    source_directory: Path
    requirements: Path | None
    inference: Inference
    conda_file: Path | None = None
    extra_dockerfile_steps: Path | None = None
    name: str = "model"


@dataclass(frozen=True)
class ModelVersion:
    """A registered model. ``release_file`` is the release file registered with it, if any."""

    name: str
    version: str
    path: Path
    digest: str
    registered_at: datetime
    release_file: Path | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Keys:
    """Scoring keys of an endpoint. Never logged; ``repr`` does not show them."""

    primary: str = field(repr=False)
    secondary: str = field(repr=False)


@dataclass(frozen=True)
class CheckReport:
    """How a version answered the sample inputs. ``first_failure`` quotes status and body.

    ``unanswered`` are those of the ``failed`` that nobody answered at all.
    """

    samples: int
    failed: int = 0
    first_failure: str = ""
    slowest_ms: float = 0.0
    unanswered: int = 0


Say = Callable[[str], object]
"""Is told what is being waited for, as often as there is something new to say."""


def unsaid(_: str) -> None:
    """Where nobody listens."""


class Clusters(Protocol):
    """Where versions run."""

    def status(self) -> ClusterStatus: ...

    def check(self) -> tuple[str, ...]:
        """What ``ensure`` would make, a line each, and its errors without touching anything."""

    def ensure(self, say: Say = unsaid) -> ClusterStatus:
        """Create or start what is missing; idempotent. Returns when it is ready."""


class Images(Protocol):
    retains: bool
    """False where images are somebody else's to remove: ``retain`` does nothing then."""

    def digest(self, context: BuildContext) -> str:
        """The digest that ``build`` would give, without building. Touches nothing."""

    def build(self, context: BuildContext, say: Say = unsaid) -> Image:
        """Build unless it is there; idempotent. PermanentError ``image.*`` says why it cannot."""

    def retain(self, digests: Sequence[str]) -> None:
        """Remove images that are not among ``digests``, save those asked for in the last hour."""


class WorkloadWatch(Protocol):
    """One version, followed for a while: ``with workloads.watch(...) as watch``."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def status(self) -> WorkloadStatus | None: ...

    def wait(self, seconds: float, clock: Clock) -> None:
        """Return when the status may have changed since it was looked at, or after the time."""


class Workloads(Protocol):
    """Replicas of versions. A version at 0 % runs like any other."""

    def apply(self, endpoint: str, version: Version) -> None:
        """Create or change the version's replicas; returns before they are ready. Idempotent."""

    def difference(self, endpoint: str, version: Version) -> tuple[str, ...]:
        """What ``apply`` would change, a line each, as the platform itself tells it.

        Nothing where the platform cannot tell. Touches nothing.
        """

    def status(self, endpoint: str, version: str) -> WorkloadStatus | None:
        """None when the version does not run here."""

    def watch(self, endpoint: str, version: str) -> WorkloadWatch: ...

    def versions(self, endpoint: str) -> tuple[str, ...]:
        """Names of the versions that have replicas, wanted or not."""

    def remove(self, endpoint: str, version: str) -> None:
        """Drain, stop and forget the replicas; returns when they are gone. Idempotent."""

    def logs(self, endpoint: str, version: str, lines: int) -> Mapping[str, tuple[str, ...]]:
        """The last lines of each replica's output, also after its removal where they are kept."""


class Traffic(Protocol):
    """The gateway in front of an endpoint."""

    def ensure(self, endpoint: Endpoint) -> Endpoint:
        """Gateway up and listening, with its port filled in; idempotent.

        A gateway without any version answers 503; without a key 401.
        """

    def difference(self, endpoint: str) -> tuple[str, ...]:
        """What ``ensure`` would make, a line each; its errors where it would refuse."""

    def apply(self, endpoint: Endpoint, revision: int = 0) -> datetime:
        """Make ``endpoint.split`` and the versions' limits effective.

        Returns the instant from which every new request follows them, after the gateway's own
        acknowledgement. TemporaryError ``gateway.*`` when it does not come; the gateway then
        keeps what it had. ``revision`` is the state document's that wants this: where whoever
        writes may know an old document only, a gateway that a later one has told refuses with
        StateConflict ``gateway.told_by_newer``.
        """

    def withdraw(self, endpoint: Endpoint, revision: int = 0) -> datetime:
        """As ``apply``, but what versions that ``endpoint`` has not were given is still answered.

        Nobody is sent to them any more, not by naming them either. ``apply`` forgets them.
        """

    def split(self, endpoint: str) -> Split | None:
        """The split that is effective now, read from the gateway; None without a gateway."""

    def reclaim(self, endpoint: str) -> tuple[str, ...]:
        """On a person's word the next ``apply`` goes through: it overwrites what others changed at
        the gateway, and does not ask whether replicas are available.

        Returns who they are; nobody where only weir can change it.
        """

    def in_flight(self, endpoint: str) -> Mapping[str, int]:
        """Requests that each version has begun and not ended; empty where that is not known."""

    def trouble(self, endpoint: str) -> str:
        """Why callers cannot be served now; empty when they can, or without a gateway."""

    def scoring_uri(self, endpoint: str) -> str | None: ...

    def keys(self, endpoint: str) -> Keys: ...

    def rotate_key(self, endpoint: str, which: Literal["primary", "secondary"]) -> Keys:
        """Replace one key; the other stays valid. The old one is refused as soon as every replica
        of the gateway knows, on this machine when the call returns."""

    def remove(self, endpoint: str) -> None:
        """Stop the gateway and forget it. Idempotent."""


class Telemetry(Protocol):
    lag_seconds: float
    """How long after its end a request is certainly visible."""

    def read(
        self, endpoint: str, start: datetime, end: datetime, begun_after: datetime
    ) -> Mapping[str, VersionCounts]:
        """Requests completed in [start, end) and begun at or after ``begun_after``, per version.

        Where the platform learns of a request long after its end, a request belongs to the window
        in which it was learnt of; windows without a gap then have every request exactly once, too.

        Requests that named their version, rejected callers and callers that hung up are not
        counted. ``failures`` is 0: ``failures_by_class`` holds every class, the policy chooses.
        ``metrics`` and ``labels`` are what versions reported of the counted requests, as far as it
        could be understood.
        Raises TelemetryUnavailable.
        """


class Models(Protocol):
    def register(
        self,
        name: str,
        path: Path,
        *,
        version: str | None = None,
        release_file: Path | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> ModelVersion:
        """Copy a model into the registry. The same content again gives the same version."""

    def get(self, name: str, version: str) -> ModelVersion:
        """``version`` may be ``latest``. UserError ``model.unknown`` names what there is."""

    def versions(self, name: str) -> tuple[ModelVersion, ...]: ...


class State(Protocol):
    """One document per endpoint, written by compare-and-swap."""

    def read(self, endpoint: str, *, fresh: bool = False) -> EndpointDocument | None:
        """The document, which may be some moments old unless ``fresh`` is asked for.

        A write on one that is too old is refused all the same.
        """

    def write(self, document: EndpointDocument) -> EndpointDocument:
        """Write if the stored revision is still ``document.revision``.

        Returns the document with its new revision. Raises StateConflict when somebody else wrote
        in between. All or nothing: a crash or a full disk leaves the old document.
        """

    def endpoints(self) -> tuple[str, ...]: ...

    def remove(self, document: EndpointDocument) -> None:
        """Forget the endpoint if the stored revision is still ``document.revision``; idempotent.

        Raises StateConflict when somebody else wrote in between.
        """

    def is_alive(self, holder: Holder, now: datetime) -> bool:
        """Whether the process of ``holder`` still works."""


class Windows(Protocol):
    """The record of what every decision was based on."""

    def append(self, endpoint: str, release_id: str, window: Window) -> None:
        """Add the window unless its id is there. Idempotent."""

    def read(self, endpoint: str, release_id: str) -> tuple[Window, ...]: ...


class Scorer(Protocol):
    def score(self, endpoint: Endpoint, version: str, samples: Path) -> CheckReport:
        """Score every sample on ``version`` alone, past the split. Not counted as evidence."""


class Clock(Protocol):
    def now(self) -> datetime: ...

    def sleep(self, seconds: float) -> None: ...


@dataclass(frozen=True)
class Platform:
    """Everything a release needs, chosen in one place (blocks/)."""

    name: str
    clusters: Clusters
    images: Images
    workloads: Workloads
    traffic: Traffic
    telemetry: Telemetry
    models: Models
    state: State
    windows: Windows
    scorer: Scorer
    clock: Clock
