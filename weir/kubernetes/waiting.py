"""A version while it becomes ready: told by watches, so that trouble is known as it happens."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from weir.kubernetes import names
from weir.kubernetes.admission import is_unschedulable
from weir.kubernetes.api import Api
from weir.kubernetes.following import Following
from weir.kubernetes.kinds import DEPLOYMENT, EVENT, POD, REPLICA_SET, Object, name_of
from weir.kubernetes.settings import ClusterSettings
from weir.kubernetes.workload_status import cannot_make_pods, is_rolled_out, status_of
from weir.ports import Clock, WorkloadStatus

QUICK_SECONDS = 3.0
"""A version that is ready by then is not asked for the events of its pods."""

TICK_SECONDS = 2.0
"""What depends on time alone, such as patience with the scheduler, is looked at so often."""


class KubernetesWatch:
    """Implements ``WorkloadWatch`` for one version. Without a Deployment nothing is coming."""

    def __init__(self, api: Api, settings: ClusterSettings, endpoint: str, version: str) -> None:
        self._api, self._settings = api, settings
        self._endpoint, self._version = endpoint, version
        self._stack = ExitStack()
        self._events: Following | None = None
        self._began = time.monotonic()
        self._seen = (0, 0, 0)
        self._unschedulable: dict[str, float] = {}

    def __enter__(self) -> Self:
        name = names.of_version(self._endpoint, self._version)
        labels = names.version_selector(self._endpoint, self._version)
        self._deployments = self._stack.enter_context(Following(self._api, DEPLOYMENT, name=name))
        self._pods = self._stack.enter_context(Following(self._api, POD, labels=labels))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def status(self) -> WorkloadStatus | None:
        self._seen = self._changes()
        deployment = next(iter(self._deployments.objects()), None)
        if deployment is None:
            return None
        pods = self._pods.objects()
        return status_of(
            self._version,
            deployment,
            pods,
            replica_sets=self._replica_sets(deployment),
            events=self._pod_events(deployment, pods),
            now=self._api.now(),
            unschedulable_patience_seconds=self._settings.unschedulable_patience_seconds,
            unschedulable_seconds=self._unschedulable_seconds(pods),
        )

    def wait(self, seconds: float, clock: Clock) -> None:  # noqa: ARG002 the cluster has its own
        deadline = time.monotonic() + min(seconds, self._until_a_look())
        while (remaining := deadline - time.monotonic()) > 0:
            # Pods change most often; the others' word comes right after theirs.
            _, pods, _ = self._seen
            self._pods.wait(pods, min(0.05, remaining))
            if self._changes() != self._seen:
                return

    def _unschedulable_seconds(self, pods: Sequence[Object]) -> dict[str, float]:
        """How long each pod has been seen to find no node; a clock that is wrong plays no part."""
        now = time.monotonic()
        waiting = [str(pod["metadata"].get("uid", "")) for pod in pods if is_unschedulable(pod)]
        self._unschedulable = {uid: self._unschedulable.get(uid, now) for uid in waiting}
        return {uid: now - since for uid, since in self._unschedulable.items()}

    def _until_a_look(self) -> float:
        """Seconds until something is to be looked at that no watch tells of."""
        until_events = self._began + QUICK_SECONDS - time.monotonic()
        return until_events if 0 < until_events < TICK_SECONDS else TICK_SECONDS

    def _changes(self) -> tuple[int, int, int]:
        events = 0 if self._events is None else self._events.changes()
        return self._deployments.changes(), self._pods.changes(), events

    def _replica_sets(self, deployment: Object | None) -> list[Object]:
        if not cannot_make_pods(deployment):
            return []
        labels = names.version_selector(self._endpoint, self._version)
        return self._api.list(REPLICA_SET, labels)[0]

    def _pod_events(self, deployment: Object | None, pods: Sequence[Object]) -> list[Object]:
        if deployment is None or is_rolled_out(deployment):
            return []
        if self._events is None and time.monotonic() - self._began >= QUICK_SECONDS:
            self._events = self._stack.enter_context(Following(self._api, EVENT))
        if self._events is None:
            return []
        ours = {name_of(pod) for pod in pods}
        return [
            event
            for event in self._events.objects()
            if (event.get("involvedObject") or {}).get("name") in ours
        ]
