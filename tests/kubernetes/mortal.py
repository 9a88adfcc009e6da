"""A process that dies before or right after any of its calls to the API server."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from tests.fakes.world import SteadyTraffic
from tests.kubernetes.at_hand import Place
from weir.clock import SystemClock
from weir.images.named import NamedImages
from weir.kubernetes.api import Api
from weir.kubernetes.clusters import KubernetesClusters
from weir.kubernetes.connection import connect
from weir.kubernetes.state import KubernetesState
from weir.kubernetes.traffic import KubernetesTraffic
from weir.kubernetes.windows import KubernetesWindows
from weir.kubernetes.workloads import KubernetesWorkloads
from weir.local.models import LocalModels
from weir.ports import Platform
from weir.scoring import GatewayScorer


class Killed(BaseException):
    """The process is gone: nothing catches this."""


class MortalApi(Api):
    """Dies at the ``last`` moment; every call of the main thread has two, before and after."""

    def __init__(self, place: Place, last: int | None = None) -> None:
        super().__init__(connect(place.access), place.namespace, patience_seconds=20)
        self.moments = 0
        self._last = last
        self._mortal = threading.current_thread()

    def _send(self, *request: Any, **more: Any) -> Any:
        self._live_on()
        answer = super()._send(*request, **more)
        self._live_on()
        return answer

    def _live_on(self) -> None:
        if threading.current_thread() is not self._mortal:
            return
        if self._last is not None and self.moments >= self._last:
            raise Killed
        self.moments += 1


def platform_over(
    api: Api, place: Place, home: Path, failing: dict[str, float] | None = None
) -> Platform:
    """The cluster as a platform of one process; its telemetry follows the route's own split."""
    traffic, state = KubernetesTraffic(api, place.settings), KubernetesState(api)
    telemetry = SteadyTraffic(
        traffic, requests_per_second=4_000, failing=failing or {}, lag_seconds=0.1
    )
    return Platform(
        name="kubernetes",
        clusters=KubernetesClusters(api, place.settings),
        images=NamedImages(),
        workloads=KubernetesWorkloads(api, place.settings),
        traffic=traffic,
        telemetry=telemetry,
        models=LocalModels(home),
        state=state,
        windows=KubernetesWindows(api, state),
        scorer=GatewayScorer(traffic),
        clock=SystemClock(),
    )
