"""What weir plan says, on a platform in memory that it must leave as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import story
from tests.fakes.world import World, world
from weir.document import Outcome
from weir.errors import UserError
from weir.release.planning import plan_release
from weir.spec.load import load_release

WriteFile = Callable[..., Path]


@pytest.fixture
def file(tmp_path: Path) -> WriteFile:
    def write(version: str, **more: Any) -> Path:
        (tmp_path / f"model-{version}").write_text(version)
        path = tmp_path / f"{version}.yaml"
        content = {
            "endpoint": "fraud",
            "version_name": version,
            "model": {"name": "fraud", "version": version, "path": f"model-{version}"},
            "inference": {"command": ["serve", "{port}"]},
            "rollout": {"window_seconds": 5},
            **more,
        }
        path.write_text(json.dumps(content))
        return path

    return write


def planned(there: World, path: Path) -> str:
    """The plan; the platform is as it was."""
    before = dict(there.state.documents), list(there.traffic.applied), list(there.images.built)
    lines = plan_release(there.platform, path, None, "latest")
    assert before == (there.state.documents, there.traffic.applied, there.images.built)
    return "\n".join(lines)


def test_a_first_release_creates_the_endpoint_and_takes_everything(file: WriteFile) -> None:
    plan = planned(world(), file("v1"))
    assert "+ endpoint fraud: created, key authentication" in plan
    assert "+ version v1: model fraud v1" in plan
    assert "v1 becomes the control and takes 100 % once it is healthy" in plan


def test_a_second_version_is_planned_with_its_steps_and_its_policy(file: WriteFile) -> None:
    there = world()
    story.release(there.platform, load_release(file("v1")))
    plan = planned(there, file("v2", rollout={"window_seconds": 5, "steps": [10, 100]}))
    assert "  endpoint fraud: exists, v1 100 %" in plan
    assert "~ traffic from v1 to v2: 10 % -> 100 %" in plan
    assert "failures: back when more than" in plan
    assert "windows of 5 s" in plan


def test_what_is_the_control_already_is_nothing_to_do(file: WriteFile) -> None:
    there = world()
    story.release(there.platform, load_release(file("v1")))
    plan = planned(there, file("v1"))
    assert "version v1: unchanged" in plan
    assert "nothing to do: v1 was promoted and is the control" in plan


def test_what_was_rolled_back_is_said_with_the_reason(file: WriteFile) -> None:
    there = world(v2=0.5)
    story.release(there.platform, load_release(file("v1")))
    past = story.release(there.platform, load_release(file("v2")))
    assert past.outcome is Outcome.ROLLED_BACK
    plan = planned(there, file("v2"))
    assert "! this content was rolled back: v2 fails " in plan
    assert "--again" in plan


def test_other_content_under_the_controls_name_is_the_users_error(file: WriteFile) -> None:
    there = world()
    story.release(there.platform, load_release(file("v1")))
    with pytest.raises(UserError) as raised:
        planned(there, file("v1", inference={"command": ["other", "{port}"]}))
    assert raised.value.reason == "release.version_is_live"
