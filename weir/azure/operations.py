"""Waiting for what Azure does on its own, and for how long: creating a cluster, scaling it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from weir.azure.refusals import operation_failed
from weir.azure.said import Said
from weir.errors import TemporaryError
from weir.ports import Say

POLL_SECONDS = 15.0
"""Between two looks where Azure does not say how long to wait."""

LONGEST_SECONDS = 7200.0


@dataclass(frozen=True)
class Work:
    """An operation in Azure. ``doing`` is its verb phrase, ``here`` says where to look at it.

    ``stop`` and ``come_back`` are commands.
    """

    doing: str
    where: str
    usual_minutes: int
    look: str
    stop: str
    come_back: str

    def goes_on(self) -> str:
        """What there is to know for whoever stops waiting."""
        return (
            f"Azure goes on to {self.doing}, without anybody waiting. Look at it: {self.look}."
            f" Stop it: {self.stop}. Wait for it again: {self.come_back}"
        )


@dataclass(frozen=True)
class Look:
    """How an operation stands. ``error`` where it has come to nothing.

    ``is_told`` where whoever looked has said so already, better than in a line of progress.
    """

    state: str
    is_over: bool
    error: Said | None = None
    after_seconds: float = 0.0
    since: datetime | None = None
    correlation_id: str = ""
    is_told: bool = False


def follow(
    work: Work,
    look: Callable[[], Look],
    say: Say,
    *,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    longest_seconds: float = LONGEST_SECONDS,
) -> None:
    """Return when the operation has succeeded; ``say`` hears how it stands at every look.

    ``look`` may raise TemporaryError: an operation goes on while nobody can look at it. Raises
    AzureRefused for one that came to nothing, TemporaryError ``azure.slow`` after
    ``longest_seconds``. Whoever is interrupted here has said what goes on.
    """
    began = now()
    seen = Look("", is_over=False)
    try:
        while True:
            try:
                seen = look()
            except TemporaryError as error:
                say(f"{_progress(work, seen, began, now())}; {error.message}")
            else:
                if seen.error is not None:
                    raise operation_failed(seen.error, work.doing, work.where, seen.correlation_id)
                if seen.is_over:
                    return
                if not seen.is_told:
                    say(_progress(work, seen, began, now()))
            if (now() - began).total_seconds() > longest_seconds:
                raise _slow(work, seen, longest_seconds)
            sleep(seen.after_seconds or POLL_SECONDS)
    except BaseException as interruption:
        if not isinstance(interruption, Exception):
            say(work.goes_on())
        raise


@contextmanager
def asked_for(work: Work, say: Say) -> Iterator[None]:
    """Around the request that begins ``work``: whoever is interrupted in it has said that Azure
    may have begun, or not."""
    try:
        yield
    except BaseException as interruption:
        if not isinstance(interruption, Exception):
            say(
                f"whether Azure has begun to {work.doing} is not known. Look: {work.look}."
                f" Stop it: {work.stop}. Running the same again goes on from what there is"
            )
        raise


def _progress(work: Work, seen: Look, began: datetime, now: datetime) -> str:
    since = min(began, seen.since) if seen.since else began
    elapsed = max(0, round((now - since).total_seconds()))
    state = f"{seen.state}, " if seen.state else ""
    return (
        f"waiting for Azure to {work.doing}: {state}{elapsed // 60}:{elapsed % 60:02d} min of"
        f" usually about {work.usual_minutes}"
    )


def _slow(work: Work, seen: Look, longest_seconds: float) -> TemporaryError:
    return TemporaryError(
        "azure.slow",
        f"Azure has not ended to {work.doing} after {longest_seconds / 3600:.0f} h"
        f" ({seen.state or 'no state'}).",
        remedy=f"Look at it: {work.look}. Wait on: {work.come_back}.",
        where=work.where,
    )
