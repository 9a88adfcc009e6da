"""Telemetry of a cluster without any other: the guards' own logs, read through the API server."""

from __future__ import annotations

import contextlib
import math
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from weir.errors import TelemetryUnavailable, TemporaryError, WeirError
from weir.kubernetes import names
from weir.kubernetes.api import Api
from weir.kubernetes.guard_lines import MARGIN_SECONDS, Found, Gap, Line, sift
from weir.kubernetes.guard_runs import END_SECONDS, GuardRuns, Run, runs_of
from weir.kubernetes.kinds import POD, Object, name_of
from weir.kubernetes.log_troubles import (
    UNREADABLE,
    ended,
    lost,
    of_log,
    rotated,
    too_long,
    unavailable,
    unwritable,
)
from weir.kubernetes.pod import GUARD
from weir.logs.counting import LogCounting
from weir.logs.engine import PIECE_BYTES
from weir.logs.slices import Piece, cut
from weir.telemetry import query
from weir.window import VersionCounts

LAG_SECONDS = 5.0
"""Lines are there half a second after the answer; the rest is for clocks that differ: requests are
timed by the nodes' clocks, windows by that of this machine."""

LONGEST_LOG_BYTES = 64 * 2**20
"""Of one pod and window: about 150 000 requests."""

_AT_A_TIME = 8
_OVERLAP_SECONDS = 5.0
_PATIENCE_SECONDS = 10.0
_PAUSE_SECONDS = 0.5


class GuardLogs:
    """ports.Telemetry over the logs of the containers ``guard`` of an endpoint's pods.

    A kubelet serves the latest file of a container's log only, so a guard whose log is rotated
    between two reads takes lines along. That is seen, because the last line of the one read must
    be there in the next, and told once as ``telemetry.log_rotated``; from then on the time of
    which lines are lost is left out for every pod, so that versions are compared on the same
    traffic. The same goes for a guard that restarts more than once within a window
    (``telemetry.log_lost``).

    Not seen: lines that were rotated away before the first read of a pod by this object, and the
    last lines of a pod that is gone by the time of the next read. A pod that is being drained is
    still there, with its log; one whose node is lost, or that is deleted by force, is not.

    ``cache`` is a folder of this machine for what can be made again.
    """

    def __init__(
        self,
        api: Api,
        cache: Path,
        lag_seconds: float = LAG_SECONDS,
        *,
        longest_log_bytes: int = LONGEST_LOG_BYTES,
    ) -> None:
        self._api, self._cache = api, cache
        self.lag_seconds = lag_seconds
        self._longest_log_bytes = longest_log_bytes
        self._counting = LogCounting(cache / "kql")
        self._memories: dict[str, _Memory] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let go of the database; the next read opens it again."""
        self._counting.close()

    def read(
        self, endpoint: str, start: datetime, end: datetime, begun_after: datetime
    ) -> Mapping[str, VersionCounts]:
        """See Telemetry. Raises ``telemetry.*``, or the reason of the API server's refusal."""
        values = query.values_of(endpoint, start, end, begun_after)
        with self._lock:
            memory = self._memories.setdefault(endpoint, _Memory())
            memory.gaps = [gap for gap in memory.gaps if gap.stop > start.timestamp()]
            pods = self._pods(endpoint)
            with self._file() as window:
                self._collect(pods, start, memory, window)
                window.flush()
                descriptor = window.fileno()
                found: list[Piece] = list(cut(descriptor, 0, window.tell(), PIECE_BYTES))
                return self._counting.counts(found, values, where=self._api.where)

    def _pods(self, endpoint: str) -> list[Object]:
        try:
            return self._api.list(POD, {names.ENDPOINT: endpoint})[0]
        except WeirError as error:
            raise unavailable(error) from error

    def _collect(
        self, pods: Sequence[Object], start: datetime, memory: _Memory, window: IO[bytes]
    ) -> None:
        """Write what every pod's log has to ``window``. Raises the first trouble, after all."""
        guards = [(name_of(pod), runs_of(pod, start)) for pod in pods]
        runs = [run for _, guard in guards for run in guard.runs]
        memory.keep({run.key for run in runs})
        troubles = [self._missing(pod, guard, start, memory) for pod, guard in guards]
        taking_turns = threading.Lock()

        def collect(run: Run) -> TelemetryUnavailable | None:
            try:
                with self._file() as own:
                    found = self._patiently(run, start, memory, own)
                    own.seek(0)
                    with taking_turns:
                        shutil.copyfileobj(own, window, 2**20)
                        return self._remember(run, found, start, memory)
            except TelemetryUnavailable as error:
                with taking_turns:
                    return self._given_up(run, error, start, memory)

        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            troubles += pool.map(collect, runs)
        for trouble in filter(None, troubles):
            raise trouble

    def _missing(
        self, pod: str, guard: GuardRuns, start: datetime, memory: _Memory
    ) -> TelemetryUnavailable | None:
        if guard.lost_until is None:
            return None
        is_new = memory.lose(_gap(start, guard.lost_until.timestamp()))
        return lost(pod, self._api.where) if is_new else None

    def _given_up(
        self, run: Run, error: TelemetryUnavailable, start: datetime, memory: _Memory
    ) -> TelemetryUnavailable | None:
        """The error; once only for a run that has ended, whose log will not come back."""
        if run.ended is None or error.reason not in UNREADABLE:
            return error
        is_new = memory.lose(_gap(start, run.ended.timestamp() + END_SECONDS))
        return ended(run.pod, error) if is_new else None

    def _remember(
        self, run: Run, found: Found, start: datetime, memory: _Memory
    ) -> TelemetryUnavailable | None:
        before = memory.last.pop(run.key, None)
        if found.last is not None:
            memory.last[run.key] = found.last
        if before is None or found.has_awaited or found.reaches_back_to(start.timestamp()):
            return None
        # Nothing of the window before the new file's first line can be read any more; where there
        # is no line yet, nothing until now.
        until = time.time() if found.first is None else found.first.completed
        memory.lose(_gap(start, until))
        return rotated(run.pod, self._api.where)

    def _patiently(self, run: Run, start: datetime, memory: _Memory, into: IO[bytes]) -> Found:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return self._log(run, start, memory, into)
            except TelemetryUnavailable:
                raise
            except WeirError as error:
                is_lasting = not isinstance(error, TemporaryError)
                if is_lasting or time.monotonic() + _PAUSE_SECONDS > deadline:
                    raise of_log(error, run.pod) from error
            time.sleep(_PAUSE_SECONDS)
            into.seek(0)
            into.truncate()

    def _log(self, run: Run, start: datetime, memory: _Memory, into: IO[bytes]) -> Found:
        awaited = memory.last.get(run.key)
        since = start.timestamp() - _OVERLAP_SECONDS
        if awaited is not None:
            # The node has stamped a line no earlier than its request completed.
            since = min(since, awaited.completed - MARGIN_SECONDS)
        asked = [
            ("container", GUARD),
            ("sinceTime", f"{datetime.fromtimestamp(math.floor(since), UTC):%Y-%m-%dT%H:%M:%SZ}"),
            ("timestamps", "false"),
            ("limitBytes", str(self._longest_log_bytes)),
        ]
        if run.is_previous:
            asked.append(("previous", "true"))
        path = f"{POD.path(self._api.namespace, run.pod)}/log"
        chunks = self._api.chunks(path, f"read the log of {run.pod}", asked)
        where = f"{self._api.where}, pod {run.pod}"
        with contextlib.closing(chunks):
            found = sift(chunks, into, awaited.text if awaited else None, memory.gaps, where)
        if found.size >= self._longest_log_bytes:
            raise too_long(run.pod, self._longest_log_bytes, self._api.where)
        return found

    @contextlib.contextmanager
    def _file(self) -> Iterator[IO[bytes]]:
        """A file that only this user may read, gone with the context, and with the process."""
        try:
            self._cache.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(prefix="weir-window-", dir=self._cache) as file:
                yield file
        except OSError as error:
            raise unwritable(error, self._cache) from error


@dataclass
class _Memory:
    """What was seen of an endpoint: the last line of each run, and the times of lost lines."""

    last: dict[str, Line] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)

    def keep(self, keys: set[str]) -> None:
        self.last = {key: line for key, line in self.last.items() if key in keys}

    def lose(self, gap: Gap) -> bool:
        """Whether that was not known yet."""
        if any(one.start <= gap.start and gap.stop <= one.stop for one in self.gaps):
            return False
        self.gaps.append(gap)
        return True


def _gap(start: datetime, until: float) -> Gap:
    """All of a window's time up to an instant."""
    return Gap(start.timestamp() - MARGIN_SECONDS, until)
