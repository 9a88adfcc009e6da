"""How long Azure is asked again, and after which pauses: whoever asks it, asks like this."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

PATIENCE_SECONDS = 120.0
"""How long a throttling or silent service is asked again before a call fails."""

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 15.0
_LONGEST_WAIT_SECONDS = 300.0


class Patience:
    """That of one call, which begins now."""

    def __init__(self, patience_seconds: float, sleep: Callable[[float], None]) -> None:
        self._patience_seconds, self._sleep = patience_seconds, sleep
        self._deadline = time.monotonic() + patience_seconds
        self._pause_seconds = _FIRST_PAUSE_SECONDS

    def pause(self, after_seconds: float = 0.0) -> bool:
        """Sleep until the next question, no shorter than the service said.

        False, at once, when patience is over, or would be by then.
        """
        left = self._deadline - time.monotonic()
        if left <= 0 or after_seconds > max(left, self._patience_seconds):
            return False
        self._sleep(max(after_seconds, min(left, self._pause_seconds)))
        self._pause_seconds = min(_LONGEST_PAUSE_SECONDS, 2 * self._pause_seconds)
        return True


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds until the next question, from a number or a date; 0 where nothing is said."""
    said = headers.get("Retry-After", "")
    with contextlib.suppress(ValueError):
        return _bounded(float(said))
    with contextlib.suppress(TypeError, ValueError):
        at = parsedate_to_datetime(said)
        return _bounded((at - datetime.now(UTC)).total_seconds())
    return 0.0


def _bounded(seconds: float) -> float:
    return min(_LONGEST_WAIT_SECONDS, max(0.0, seconds))
