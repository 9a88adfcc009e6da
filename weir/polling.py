"""Watching a version on a platform that only answers questions."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from weir.ports import Clock, Workloads, WorkloadStatus

POLL_SECONDS = 0.2


class PolledWatch:
    """``WorkloadWatch`` by asking ``workloads`` again and again."""

    def __init__(self, workloads: Workloads, endpoint: str, version: str) -> None:
        self._workloads = workloads
        self._endpoint, self._version = endpoint, version

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def status(self) -> WorkloadStatus | None:
        return self._workloads.status(self._endpoint, self._version)

    def wait(self, seconds: float, clock: Clock) -> None:
        clock.sleep(min(seconds, POLL_SECONDS))
