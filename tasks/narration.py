"""What a run tells: to the weir logger for the terminal, and to Prefect for its UI."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

from weir.ports import Say

PROGRESS = logging.getLogger("weir.progress")


def tell_waiting(words: str) -> None:
    """What the run waits for now: for whoever watches, not for the record of the run."""
    PROGRESS.info(words, extra={"waiting": True})


@contextmanager
def telling_waits(*, recorded: bool = False) -> Iterator[Say]:
    """Gives what is to be told what is waited for. Where that is interrupted, the last of it is
    told as well: something may go on without anybody waiting.

    ``recorded`` where it is the log of something, and stays in Prefect's for whoever comes later.
    """
    last = ""

    def say(words: str) -> None:
        nonlocal last
        last = words
        tell_waiting(words)
        if recorded:
            _record(words)

    try:
        yield say
    except BaseException as interruption:
        if last and not isinstance(interruption, Exception):
            tell(f"interrupted: {last}")
        raise


def tell(words: str, **facts: Any) -> None:
    """One line of progress. ``facts`` go to the terminal's listeners as ``record.facts``."""
    PROGRESS.info(words, extra={"facts": facts})
    _record(words)


def _record(words: str) -> None:
    try:
        get_run_logger().info(words)
    except MissingContextError:
        return
