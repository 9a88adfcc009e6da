"""``weir down`` ends its own machine's processes, and no others."""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest

from tests.fakes.world import world
from tests.story import loaded, release
from tests.unit.release.stages import halfway_at
from weir.cli import platform
from weir.holding import this_process


@pytest.mark.parametrize(
    ("difference", "ended"),
    [({}, ["fraud"]), ({"boot": "another"}, []), ({"pid_namespace": "another"}, [])],
    ids=["this machine", "another of the same name", "a container of the same name"],
)
def test_a_release_of_another_machine_of_the_same_name_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, difference: Mapping[str, str], ended: list[str]
) -> None:
    there = world()
    release(there.platform, loaded("v1"))
    holder = this_process("", there.clock.now()).model_copy(update={"machine": "", **difference})
    halfway_at(there, 25, holder)
    killed: list[int] = []

    def kill(pid: int, _: int) -> None:
        killed.append(pid)
        there.state.dead.add(pid)

    monkeypatch.setattr(os, "kill", kill)
    assert platform._end_releases(there.platform) == ended
    assert killed == [os.getpid()] * len(ended)
