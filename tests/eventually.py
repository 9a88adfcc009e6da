"""Waiting for a condition instead of for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def eventually(
    condition: Callable[[], Found], timeout_seconds: float = 30.0, every_seconds: float = 0.02
) -> Found:
    """The first true value of ``condition``; AssertionError when none comes in time."""
    deadline = time.monotonic() + timeout_seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"did not happen within {timeout_seconds:g} s"
        time.sleep(every_seconds)
    return found
