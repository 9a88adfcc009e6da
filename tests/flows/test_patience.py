"""Runs that find their endpoint busy: those that nobody watches wait for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import State

from flows.release import release
from tests import story
from tests.fakes.platform_block import reference_to
from tests.fakes.world import NOON, World, world
from weir.document import Holder
from weir.endpoint import Split
from weir.errors import EndpointBusy
from weir.holding import this_process
from weir.release.ledger import Ledger


class Stop(Exception):
    pass


@pytest.fixture
def somebody(tmp_path: Path) -> tuple[World, str, Holder]:
    """A world where another host's process releases v2 over v1, and versions 1 and 2 of the model
    are registered for the endpoint."""
    there = world()
    story.release(there.platform, story.loaded("v1"))
    holder = this_process("", NOON).model_copy(update={"host": "elsewhere", "pid": 17})
    with pytest.raises(Stop):
        story.release(there.platform, story.loaded("v2"), holder, on_window=_stop)
    register(there, tmp_path, "1")
    register(there, tmp_path, "2")
    return there, reference_to(there), holder


def _stop(ledger: Ledger) -> None:
    raise Stop


def register(there: World, folder: Path, content: str) -> None:
    (folder / "model").write_text(content)
    file = folder / "release.yaml"
    spec = {
        "endpoint": "fraud",
        "version_name": "any",
        "model": {"name": "fraud", "version": "any", "path": "model"},
        "inference": {"command": ["serve", "{port}"]},
        "rollout": {"window_seconds": 5, "steps": [50, 100]},
    }
    file.write_text(json.dumps(spec))
    there.models.register("fraud", folder / "model", release_file=file)


def run(platform: str, version: str, patience_seconds: float) -> State[Any]:
    return release(
        model="fraud",
        model_version=version,
        platform=platform,
        patience_seconds=patience_seconds,
        return_state=True,
    )


def ends(there: World, holder: Holder) -> None:
    """The other process comes to its end."""
    story.release(there.platform, story.loaded("v2"), holder)


def test_a_run_without_patience_fails_at_once_and_names_who_works_there(
    somebody: tuple[World, str, Holder],
) -> None:
    _, platform, _ = somebody
    error = run(platform, "2", 0).result(raise_on_failure=False)
    assert isinstance(error, EndpointBusy)
    assert "v2 is under way" in error.message


def test_a_run_with_patience_takes_the_endpoint_when_the_other_release_has_ended(
    somebody: tuple[World, str, Holder],
) -> None:
    there, platform, holder = somebody
    there.clock.meanwhile = [lambda: None, lambda: ends(there, holder)]
    assert run(platform, "2", 60).name == "Promoted"
    assert there.traffic.split("fraud") == Split.everything_to("fraud-2")


def test_patience_has_an_end(somebody: tuple[World, str, Holder]) -> None:
    there, platform, holder = somebody
    there.state.alive.add(holder.pid)
    error = run(platform, "2", 60).result(raise_on_failure=False)
    assert isinstance(error, EndpointBusy)
    assert (there.clock.now() - NOON).total_seconds() >= 60


def test_a_run_that_waits_gives_way_to_a_version_that_is_registered_later(
    somebody: tuple[World, str, Holder], tmp_path: Path
) -> None:
    there, platform, holder = somebody
    there.clock.meanwhile = [lambda: register(there, tmp_path, "3")]
    state = run(platform, "2", 60)
    assert (state.name, state.is_completed()) == ("Superseded", True)
    assert "fraud 3 was registered meanwhile" in (state.message or "")

    there.clock.meanwhile = [lambda: ends(there, holder)]
    assert run(platform, "latest", 60).name == "Promoted"
    assert there.traffic.split("fraud") == Split.everything_to("fraud-3")
