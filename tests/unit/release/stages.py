"""Where a release stands when a test begins."""

from __future__ import annotations

import pytest

from tests.fakes.world import World, world
from tests.story import loaded, release
from weir.document import Holder, Outcome
from weir.holding import this_process
from weir.release.ledger import Ledger


def with_v1(**failing: float) -> World:
    there = world(**failing)
    assert release(there.platform, loaded("v1")).outcome is Outcome.PROMOTED
    return there


class Stop(Exception):
    pass


def halfway(there: World) -> Ledger:
    """A release of v2 that takes 25 %, in this process's hands."""
    return halfway_at(there, 25)


def abandoned_at_25(there: World) -> None:
    """A release of v2 that takes 25 %, whose process is dead."""
    halfway_at(there, 25, a_dead_process(there))


def halfway_at(there: World, percentile: float, holder: Holder | None = None) -> Ledger:
    found: list[Ledger] = []

    def stop(ledger: Ledger) -> None:
        split = there.traffic.split("fraud")
        if split is not None and split.percentile("v2") == percentile:
            found.append(ledger)
            raise Stop

    with pytest.raises(Stop):
        release(there.platform, loaded("v2"), holder, on_window=stop)
    return found[0]


def a_dead_process(there: World) -> Holder:
    return this_process("", there.clock.now()).model_copy(update={"pid": 2**22 + 1})
