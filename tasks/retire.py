"""Retire: drain and remove what is not needed."""

from __future__ import annotations

from tasks.holding import opened
from tasks.outward import outward
from weir.release import steps


@outward(timeout_seconds=3600)
def drain_and_remove(endpoint: str, platform: str) -> tuple[str, ...]:
    """Versions that are not needed any more are gone. Returns their names."""
    return steps.retire(*opened(endpoint, platform))
