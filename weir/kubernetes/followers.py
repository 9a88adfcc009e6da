"""Followings that outlive the call that began them, and do not pile up."""

from __future__ import annotations

import threading
from collections.abc import Callable

from weir.kubernetes.following import Following

IDLE_SECONDS = 10.0
"""Who asks more seldom than that may as well ask the API server."""

FEW = 3
"""So many may be idle: who works on one endpoint for days keeps what it follows."""


class Followers:
    """One ``Following`` a key.

    A process that works on one endpoint after the other keeps the few that it asked last; the
    others end when a new one begins.
    """

    def __init__(self) -> None:
        self._followings: dict[str, Following] = {}
        # The heartbeat is another thread than the release.
        self._lock = threading.Lock()

    def get(self, key: str) -> Following | None:
        """What is followed already."""
        found = self._followings.get(key)
        return None if found is None or found.is_over else found

    def follow(self, key: str, begin: Callable[[], Following]) -> Following:
        """The following of ``key``, begun now unless there is one that lasts."""
        with self._lock:
            found = self.get(key)
            if found is None:
                self._end_idle()
                found = self._followings[key] = begin()
            return found

    def forget(self, key: str) -> None:
        with self._lock:
            found = self._followings.pop(key, None)
        if found is not None:
            found.close()

    def _end_idle(self) -> None:
        idle = {
            key: seconds
            for key, followed in self._followings.items()
            if (seconds := followed.idle_seconds()) > IDLE_SECONDS
        }
        for key in sorted(idle, key=lambda key: idle[key])[FEW:]:
            self._followings.pop(key).close()
