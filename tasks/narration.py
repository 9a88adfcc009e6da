"""What a run tells: to the weir logger for the terminal, and to Prefect for its UI."""

from __future__ import annotations

import logging
from typing import Any

from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

PROGRESS = logging.getLogger("weir.progress")


def tell_waiting(words: str) -> None:
    """What the run waits for now: for whoever watches, not for the record of the run."""
    PROGRESS.info(words, extra={"waiting": True})


def tell(words: str, **facts: Any) -> None:
    """One line of progress. ``facts`` go to the terminal's listeners as ``record.facts``."""
    PROGRESS.info(words, extra={"facts": facts})
    try:
        get_run_logger().info(words)
    except MissingContextError:
        return
