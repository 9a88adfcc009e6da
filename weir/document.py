"""The state document of an endpoint: the one truth that a release leaves behind."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from weir.endpoint import Endpoint
from weir.rollout import Decision, RolloutState
from weir.spec.release import ReleaseSpec
from weir.window import Window

HISTORY_LENGTH = 50


class Phase(StrEnum):
    PROVISION = "provision"
    BUILD = "build"
    DEPLOY = "deploy"
    CHECK = "check"
    ROLLOUT = "rollout"
    RETIRE = "retire"


class Outcome(StrEnum):
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"
    DEPLOYED = "deployed"


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)

    def changed(self, **changes: Any) -> Any:
        """A copy with ``changes``, validated again."""
        return type(self).model_validate({**dict(self), **changes})


class Holder(Frozen):
    """The process that works on a release. Alive is told by pid, start and boot, or heartbeat.

    ``process_started_at`` is in seconds as ``weir.process_identity`` counts them, and ``boot``,
    ``machine`` and ``pid_namespace`` are what it says of where the pid means this process.
    """

    host: str
    pid: int
    process_started_at: float
    user: str
    since: datetime
    heartbeat_at: datetime
    run: str = ""
    boot: str = ""
    machine: str = ""
    pid_namespace: str = ""

    def __str__(self) -> str:
        return f"{self.user}@{self.host}, process {self.pid}, since {self.since:%H:%M:%S} UTC"


class OperatorAction(StrEnum):
    PAUSE = "pause"
    RESUME = "resume"
    PROMOTE = "promote"
    ROLL_BACK = "roll_back"


class OperatorRequest(Frozen):
    """What a person asked of a running release. ``id`` tells it from every other."""

    id: str
    action: OperatorAction
    by: str
    at: datetime


class Ending(Frozen):
    """How the release under way is to end; never changed once it is there."""

    outcome: Outcome
    reason: str
    words: str


class Release(Frozen):
    """A release under way. ``directory`` is where the release file's paths start from.

    ``requests`` are what persons asked and nobody has answered yet, the oldest first.
    ``last_window`` is kept until it stands in the window record, ``decision`` is the newest one.
    ``deploy_only`` ends the release after the check, with the version at 0 %. ``run`` names the
    orchestrator's newest run, also after it let go.
    """

    id: str
    spec: ReleaseSpec
    directory: str
    digest: str
    started_at: datetime
    phase: Phase = Phase.PROVISION
    holder: Holder | None = None
    run: str = ""
    requests: tuple[OperatorRequest, ...] = ()
    deploy_only: bool = False
    rollout: RolloutState | None = None
    last_window: Window | None = None
    decision: Decision | None = None
    ending: Ending | None = None

    @property
    def version(self) -> str:
        return self.spec.version_name

    @property
    def next_request(self) -> OperatorRequest | None:
        """What is to be answered first: the way back goes before everything else."""
        return self.asked_back or next(iter(self.requests), None)

    @property
    def asked_back(self) -> OperatorRequest | None:
        """A rollback that nobody has answered yet."""
        back = (one for one in self.requests if one.action is OperatorAction.ROLL_BACK)
        return next(back, None)

    def gives_way(self) -> bool:
        """Whether another release may take its place: it has seen no traffic."""
        return self.rollout is None and self.ending is None


class PastRelease(Frozen):
    """How a release ended: outcome, reason code, and the evidence in words."""

    id: str
    version: str
    digest: str
    outcome: Outcome
    reason: str
    words: str
    started_at: datetime
    ended_at: datetime


class Settings(Frozen):
    """The release file of the last promoted release: how the next model version is released."""

    spec: ReleaseSpec
    directory: str


class Removal(Frozen):
    """The endpoint, or only ``version`` of it, is being removed by ``holder``."""

    holder: Holder
    version: str | None = None


class EndpointDocument(Frozen):
    """Everything weir knows of one endpoint.

    ``previous`` is the version kept at 0 % for a quick way back, ``retiring`` those that are to be
    drained and removed. ``split_applied_at`` is the instant of the gateway's acknowledgement of
    ``endpoint.split``; None while it is under way.
    """

    revision: int = 0
    endpoint: Endpoint
    previous: str | None = None
    split_applied_at: datetime | None = None
    retiring: tuple[str, ...] = ()
    release: Release | None = None
    removal: Removal | None = None
    settings: Settings | None = None
    history: tuple[PastRelease, ...] = Field(default=())

    def last(self, version: str) -> PastRelease | None:
        """The newest ended release of ``version``."""
        return next((past for past in reversed(self.history) if past.version == version), None)
