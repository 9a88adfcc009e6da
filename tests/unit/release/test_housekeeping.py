"""Images that nothing uses go, where they are weir's."""

from __future__ import annotations

from dataclasses import replace

from tests import story
from tests.fakes.state import FakeState
from tests.fakes.world import world
from weir.release.housekeeping import forget_unused_images


class Unread(FakeState):
    def endpoints(self) -> tuple[str, ...]:
        raise AssertionError("nobody has to know every endpoint")


def test_images_of_no_version_go() -> None:
    here = world()
    story.release(here.platform, story.loaded("v1"))
    here.images.built.append("of nothing")
    forget_unused_images(here.platform)
    assert here.images.built == ["image-of-model-v1"]


def test_images_of_somebody_else_are_not_looked_for() -> None:
    here = world()
    story.release(here.platform, story.loaded("v1"))
    here.images.retains = False
    here.images.built.append("of nothing")
    forget_unused_images(replace(here.platform, state=Unread()))
    assert here.images.built == ["image-of-model-v1", "of nothing"]
