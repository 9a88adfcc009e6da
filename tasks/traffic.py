"""Shift: the gateway follows a split."""

from __future__ import annotations

from tasks.holding import opened
from tasks.outward import HANG_SECONDS, outward
from weir.release import steps


@outward(timeout_seconds=HANG_SECONDS)
def shift_traffic(endpoint: str, platform: str) -> str:
    """The gateway follows the document's split. Returns the split in words."""
    document = steps.apply_split(*opened(endpoint, platform))
    return str(document.endpoint.split)
