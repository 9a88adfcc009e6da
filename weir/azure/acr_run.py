"""One run of ACR Tasks, waited for: its log is passed on as it is written."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from weir.azure.acr_tasks import FORGOTTEN, AcrTasks, Run
from weir.azure.blobs import GrowingText
from weir.azure.container_registry import ContainerRegistry
from weir.azure.operations import Look, Work, follow
from weir.errors import PermanentError, TemporaryError, WeirError
from weir.images.failures import build_failure, push_failure, quoted, shown
from weir.ports import Say

POLL_SECONDS = 3.0
QUEUE_SECONDS = 1800.0
"""How long a run may wait for its turn, beyond the time that it may take."""

_USUAL_MINUTES = 5
_KEPT_LINES = 60
_LOG_LOOKS = 10
_TELL_SECONDS = 60.0
_MISSES = 5
"""So often in a row a run may not be found before it counts as lost: it is read from replicas."""

_PUSHING = "pushing image"
"""What ACR Tasks print between build and push."""


class BuildRun:
    """The run ``run_id``, which builds ``image``; ``say`` hears its log."""

    def __init__(self, registry: ContainerRegistry, run_id: str, image: str, say: Say) -> None:
        self._registry, self._run_id, self._image, self._say = registry, run_id, image, say
        self._tasks = AcrTasks(registry)
        self._log = GrowingText(
            registry.asking, lambda: self._tasks.log_address(run_id), registry.where
        )
        self._last_lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._seen = Run(run_id, "")
        self._misses = 0
        self._told, self._tell_after = "", 0.0

    def follow(
        self,
        timeout_seconds: float,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Return when it is over, however it ended.

        ``timeout_seconds`` is what the run itself may take. Raises TemporaryError ``azure.slow``,
        AzureRefused.
        """
        follow(
            work_of(self._registry, self._image, self._run_id),
            self._look,
            self._say,
            sleep=sleep,
            longest_seconds=timeout_seconds + QUEUE_SECONDS,
        )
        self._await_the_log(sleep)

    @property
    def has_succeeded(self) -> bool:
        return self._seen.status == "Succeeded"

    def failure(self) -> WeirError:
        """Why there is no image, from how it ended and what it printed last."""
        run, lines = self._seen, tuple(self._last_lines)
        if run.status == "Timeout":
            return TemporaryError(
                "image.builder_timeout",
                f"run {run.run_id} took too long and was ended; its last lines:{quoted(lines)}\n",
                remedy="Have it build less, or give it more time (image_build_timeout_seconds).",
                where=self._image,
            )
        if run.status == "Canceled":
            return PermanentError(
                "image.build_canceled",
                f"run {run.run_id} was canceled in Azure.",
                remedy="Release again to have it built.",
                where=self._image,
            )
        if run.status in (FORGOTTEN, "Error"):
            return TemporaryError(
                "image.builder_failed",
                f"run {run.run_id} came to nothing in Azure ({run.message or run.status}); its last"
                f" lines:{quoted(lines)}\n",
                remedy="Release again to have it built.",
                where=self._image,
            )
        if self.has_succeeded:
            return TemporaryError(
                "image.push_failed",
                f"run {run.run_id} ended well, and the registry has no such image after a minute.",
                remedy="See whether somebody removed it:"
                f" {work_of(self._registry, self._image, run.run_id).look}.",
                where=self._image,
            )
        pushing = [place for place, line in enumerate(lines) if _PUSHING in line.lower()]
        if pushing:
            return push_failure((*lines[pushing[-1] :], run.message), self._image)
        return build_failure((*lines, run.message), self._image)

    def _look(self) -> Look:
        found = self._tasks.find(self._run_id)
        self._misses = 0 if found else self._misses + 1
        if found is None and self._misses < _MISSES:
            raise TemporaryError(
                "image.builder_failed",
                f"the registry does not know of run {self._run_id}",
                remedy="Release again to have it built.",
                where=self._registry.where,
            )
        self._seen = found or Run(self._run_id, FORGOTTEN)
        return Look(
            state=self._seen.status,
            is_over=self._seen.is_over,
            after_seconds=self._seen.after_seconds or POLL_SECONDS,
            correlation_id=self._seen.correlation_id,
            is_told=self._pass_on() or not self._is_news(),
        )

    def _is_news(self) -> bool:
        """What is said stays in the log of a release, where one that waits its turn is told of when
        something changes, and now and then."""
        now = time.monotonic()
        if self._seen.status == self._told and now < self._tell_after:
            return False
        self._told, self._tell_after = self._seen.status, now + _TELL_SECONDS
        return True

    def _await_the_log(self, sleep: Callable[[float], None]) -> None:
        """What a build says last, and fails with, is written some seconds after its end is told."""
        with suppress(WeirError):
            for _ in range(_LOG_LOOKS):
                if self._log.is_complete():
                    break
                sleep(1.0)
        self._pass_on(is_whole=True)

    def _pass_on(self, *, is_whole: bool = False) -> bool:
        """Whether there was anything. A log that cannot be read fails no build."""
        is_told = False
        with suppress(WeirError):
            for line in self._log.lines(is_whole=is_whole):
                self._last_lines.append(line)
                self._say(shown(line))
                is_told = True
        return is_told


def work_of(registry: ContainerRegistry, image: str, run_id: str = "") -> Work:
    """The build, for whoever stops waiting. Without ``run_id`` it may not have begun."""
    target = registry.target
    of = f"--registry {target.name} --subscription {target.subscription_id}"
    known = f"{of} --run-id {run_id or 'RUN'}"
    return Work(
        doing=f"build {image}",
        where=registry.where,
        usual_minutes=_USUAL_MINUTES,
        look=f"az acr task logs {known}" if run_id else f"az acr task list-runs {of}",
        stop=f"az acr task cancel-run {known}",
        come_back="release again",
    )
