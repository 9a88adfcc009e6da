"""The ledger of an endpoint in the hands of this process."""

from __future__ import annotations

from blocks import open_platform
from weir.holding import this_process
from weir.ports import Platform
from weir.release.ledger import Ledger


def opened(endpoint: str, platform: str) -> tuple[Platform, Ledger]:
    """The platform, and the endpoint's ledger for this process."""
    chosen = open_platform(platform)
    return chosen, Ledger(chosen.state, endpoint, this_process("", chosen.clock.now()))
