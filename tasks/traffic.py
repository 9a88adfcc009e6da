"""Shift: the gateway follows a split."""

from __future__ import annotations

from tasks.holding import opened
from tasks.outward import outward
from weir.release import steps


@outward(timeout_seconds=300)
def shift_traffic(endpoint: str, platform: str) -> str:
    """The gateway follows the document's split. Returns the split in words."""
    document = steps.apply_split(*opened(endpoint, platform))
    return str(document.endpoint.split)
