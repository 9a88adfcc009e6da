"""A Prefect block that opens a platform in memory: flows on fakes, without patching."""

from __future__ import annotations

import uuid

from blocks import PlatformBlock
from tests.fakes.world import World
from weir.ports import Platform

_WORLDS: dict[str, World] = {}


class FakePlatform(PlatformBlock):
    """``world`` names one of this process's worlds."""

    _block_type_name = "Fake Platform"
    _block_type_slug = "fake-platform"

    world: str

    def open(self) -> Platform:
        return _WORLDS[self.world].platform


def reference_to(world: World) -> str:
    """What a flow's parameter ``platform`` has to be for the flow to run in ``world``."""
    name = f"world-{uuid.uuid4().hex[:12]}"
    _WORLDS[name] = world
    FakePlatform(world=name).save(name)
    return f"fake-platform/{name}"
