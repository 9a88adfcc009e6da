"""What a release does while Prefect's server is gone."""

from __future__ import annotations

import time

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

from flows.parts import carrying_out
from tasks.artifacts import Pictures
from tests import story
from tests.fakes.world import world
from weir.decision import Action, Decision, Reason
from weir.errors import PermanentError

NOBODY = "http://127.0.0.1:9/api"


class Part:
    """A part of a release whose run fails with ``error``."""

    name = "rollout"

    def __init__(self, error: Exception) -> None:
        self.done: list[tuple[str, str]] = []
        self._error = error

    def __call__(self, endpoint: str, platform: str) -> None:
        raise self._error

    def fn(self, endpoint: str, platform: str) -> None:
        self.done.append((endpoint, platform))


def test_a_part_whose_run_cannot_be_reported_is_done_plainly() -> None:
    part = Part(httpx.ConnectError("connection refused"))
    with carrying_out() as carry:
        carry(part, "fraud", "local")
        assert get_current_settings().client.max_retries == 0
    assert part.done == [("fraud", "local")]
    assert get_current_settings().client.max_retries > 0


def test_a_part_that_fails_by_itself_is_not_done_twice() -> None:
    part = Part(PermanentError("image.broken", "it does not build.", remedy="Correct it."))
    with carrying_out() as carry, pytest.raises(PermanentError):
        carry(part, "fraud", "local")
    assert part.done == []


def test_only_the_release_itself_beats() -> None:
    with carrying_out():
        assert get_current_settings().flows.heartbeat_frequency is None
    assert get_current_settings().flows.heartbeat_frequency is not None


def test_a_rollout_does_not_wait_for_its_pictures() -> None:
    there = world()
    story.release(there.platform, story.loaded("v1"))
    decision = Decision(
        action=Action.ADVANCE,
        reason=Reason.FIRST_STEP,
        words="v2 starts with 5 %",
        at=there.clock.now(),
        percentile=5,
    )
    with temporary_settings({PREFECT_API_URL: NOBODY}):
        began = time.monotonic()
        Pictures().publish_step(there.state.documents["fraud"], decision)
        assert time.monotonic() - began < 1
