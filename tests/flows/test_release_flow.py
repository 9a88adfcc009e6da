"""The flows on a platform in memory: what a run comes to, and what it leaves behind."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from prefect import flow
from prefect.client.schemas.objects import State

from flows.reconcile import reconcile
from flows.release import release
from flows.resume import resume
from tasks.outward import outward
from tasks.traffic import shift_traffic
from tests import story
from tests.eventually import eventually
from tests.fakes.platform_block import reference_to
from tests.fakes.world import NOON, World, world
from weir.document import Outcome
from weir.endpoint import Split
from weir.errors import PermanentError, TemporaryError, UserError, WeirError
from weir.holding import this_process
from weir.release import heartbeat
from weir.release.ledger import Ledger

WriteFile = Callable[..., str]


@pytest.fixture
def file(tmp_path: Path) -> WriteFile:
    """``file("v2", steps=[50, 100])`` is the path of a release file."""

    def write(version: str, **rollout: Any) -> str:
        (tmp_path / version).write_text(version)
        path = tmp_path / f"release-{version}.yaml"
        content = {
            "endpoint": "fraud",
            "version_name": version,
            "model": {"name": "fraud", "version": version, "path": version},
            "inference": {"command": ["serve", "{port}"]},
            "rollout": {"window_seconds": 5, "steps": [50, 100], **rollout},
        }
        path.write_text(json.dumps(content))
        return str(path)

    return write


def in_service(version: str, **failing: float) -> tuple[World, str]:
    """A world where ``version`` takes everything, and what flows call that platform."""
    there = world(**failing)
    story.release(there.platform, story.loaded(version))
    return there, reference_to(there)


def run(path: str, platform: str, **parameters: Any) -> State[Any]:
    return release(path, platform=platform, **parameters, return_state=True)


def split_of(there: World) -> Split | None:
    return there.traffic.split("fraud")


def outcomes(there: World) -> list[tuple[str, Outcome]]:
    document = there.state.documents["fraud"]
    return [(past.version, past.outcome) for past in document.history]


def test_a_good_version_is_promoted_and_again_is_nothing_to_do(file: WriteFile) -> None:
    there, platform = in_service("v1")
    state = run(file("v2"), platform)
    assert (state.name, state.is_completed()) == ("Promoted", True)
    assert "is ruled out" in (state.message or "")
    assert split_of(there) == Split.everything_to("v2")

    moves = len(there.traffic.applied)
    assert run(file("v2"), platform).name == "Promoted"
    assert len(there.traffic.applied) == moves
    assert outcomes(there) == [("v1", Outcome.PROMOTED), ("v2", Outcome.PROMOTED)]


def test_what_a_builder_prints_is_kept_in_prefects_log(
    file: WriteFile, prefect_server: str
) -> None:
    _, platform = in_service("v1")
    run(file("v2"), platform)

    def kept() -> bool:
        asked = {"sort": "TIMESTAMP_DESC", "limit": 200}
        found = requests.post(f"{prefect_server}/logs/filter", json=asked, timeout=10).json()
        return "building image-of-v2" in [one["message"] for one in found]

    eventually(kept)


def test_a_failing_version_is_rolled_back_with_the_evidence_in_the_state(file: WriteFile) -> None:
    there, platform = in_service("v1", v2=0.5)

    state = run(file("v2"), platform)
    assert (state.name, state.is_failed()) == ("RolledBack", True)
    assert (state.message or "").startswith("v2 rolled back: v2 fails 50.0 % of ")
    assert split_of(there) == Split.everything_to("v1")
    assert there.workloads.removed == [("fraud", "v2")]


def test_without_traffic_a_release_is_held_and_a_resume_with_traffic_ends_it(
    file: WriteFile,
) -> None:
    there, platform = in_service("v1")
    there.telemetry.silent = True

    held = run(file("v2", maximum_wait_seconds=60, deadline_seconds=120), platform)
    assert (held.name, held.is_failed()) == ("Held", True)
    assert "weir resume" in (held.message or "")
    assert split_of(there) == Split.everything_to("v1")
    kept = there.state.documents["fraud"].release
    assert kept is not None
    assert kept.holder is None
    assert reconcile(platform) == []

    there.telemetry.silent = False
    assert resume("fraud", platform, return_state=True).name == "Promoted"
    assert split_of(there) == Split.everything_to("v2")


def test_a_version_that_does_not_start_is_not_released_and_the_control_stays(
    file: WriteFile,
) -> None:
    there, platform = in_service("v1")
    there.workloads.broken["v2"] = ("ValueError: the model file is damaged",)

    state = run(file("v2"), platform)
    assert (state.name, state.is_failed()) == ("NotReleased", True)
    assert "the model file is damaged" in (state.message or "")
    assert split_of(there) == Split.everything_to("v1")
    assert outcomes(there)[-1] == ("v2", Outcome.FAILED)


def test_deploy_only_ends_before_any_traffic(file: WriteFile) -> None:
    there, platform = in_service("v1")

    assert run(file("v2"), platform, deploy_only=True).name == "Deployed"
    assert split_of(there) == Split.everything_to("v1")
    assert there.workloads.versions("fraud") == ("v1", "v2")


def test_a_mistake_in_the_file_fails_the_run_with_its_own_error_and_touches_nothing(
    tmp_path: Path,
) -> None:
    there = world()
    path = tmp_path / "release.yaml"
    path.write_text("endpoint: fraud\n")

    state = run(str(path), reference_to(there))
    assert state.is_failed()
    assert isinstance(state.result(raise_on_failure=False), UserError)
    assert there.state.documents == {}


def test_an_unknown_platform_is_the_users_error(file: WriteFile) -> None:
    state = run(file("v1"), "fake-platform/nowhere")
    error = state.result(raise_on_failure=False)
    assert isinstance(error, UserError)
    assert error.reason == "platform.unknown"


def test_a_split_that_does_not_arrive_is_told_once_and_decides_nothing(
    file: WriteFile, caplog: pytest.LogCaptureFixture
) -> None:
    there, platform = in_service("v1")
    there.telemetry.arriving = Split.of({"v1": 90, "v2": 10})
    with caplog.at_level(logging.INFO, "weir.progress"):
        assert run(file("v2", steps=[50, 100]), platform).name == "Promoted"
    told = [one.getMessage() for one in caplog.records if one.name == "weir.progress"]
    off = [words for words in told if words.startswith("the split does not arrive: ")]
    assert [words.split(" and took")[0] for words in off] == [
        "the split does not arrive: v2 was to take 50 %",
    ]


def test_a_run_beats_from_its_first_part_until_it_has_put_the_traffic_back(
    file: WriteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, platform = in_service("v1")
    beats: list[bool] = []
    ensure, apply = there.traffic.ensure, there.traffic.apply
    monkeypatch.setattr(
        there.traffic, "ensure", lambda one: (beats.append(_beats()), ensure(one))[1]
    )
    monkeypatch.setattr(
        there.traffic, "apply", lambda *one: (beats.append(_beats()), apply(*one))[1]
    )
    there.clock.interruptions = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        run(file("v2"), platform)
    assert run(file("v2"), platform).name == "Promoted"
    assert len(beats) > 4
    assert all(beats)
    assert not _beats()


def _beats() -> bool:
    return any(thread.name == heartbeat.THREAD for thread in threading.enumerate())


def test_an_interrupted_run_puts_the_traffic_back_and_the_next_one_goes_on(
    file: WriteFile,
) -> None:
    there, platform = in_service("v1")
    there.clock.interruptions = [KeyboardInterrupt()]

    with pytest.raises(KeyboardInterrupt):
        run(file("v2"), platform)
    assert split_of(there) == Split.everything_to("v1")
    left = there.state.documents["fraud"].release
    assert left is not None
    assert left.holder is None

    assert run(file("v2"), platform).name == "Promoted"


def test_a_gateway_that_stalls_is_asked_again_and_the_release_goes_on(file: WriteFile) -> None:
    there, platform = in_service("v1")
    there.traffic.failures = [_stalled()]

    assert run(file("v2"), platform).name == "Promoted"
    assert there.traffic.failures == []


def test_a_release_whose_process_died_is_reconciled() -> None:
    there, platform = in_service("v1")
    with pytest.raises(Killed):
        story.release(there.platform, story.loaded("v2"), holder=GONE, on_window=_die)
    assert split_of(there) == MIXED

    assert reconcile(platform) == ["fraud"]
    assert outcomes(there)[-1] == ("v2", Outcome.PROMOTED)
    assert reconcile(platform) == []


def test_a_state_that_cannot_be_read_keeps_no_other_release_from_being_reconciled() -> None:
    there, platform = in_service("v1")
    with pytest.raises(Killed):
        story.release(there.platform, story.loaded("v2"), holder=GONE, on_window=_die)
    there.state.corrupt.add("another")
    assert reconcile(platform) == ["fraud"]


def test_a_release_that_a_living_process_holds_is_not_reconciled() -> None:
    there, platform = in_service("v1")
    with pytest.raises(Killed):
        story.release(there.platform, story.loaded("v2"), on_window=_die)

    assert reconcile(platform) == []
    assert split_of(there) == MIXED


MIXED = Split.of({"v1": 95, "v2": 5})


class Killed(BaseException):
    pass


GONE = this_process("", NOON).model_copy(update={"pid": 4_194_304_000})


def _die(ledger: Ledger) -> None:
    """SIGKILL, once the gateway follows the first step."""
    if ledger.read().split_applied_at is not None:
        raise Killed


class TestTasks:
    def test_are_tried_again_for_what_may_pass(self) -> None:
        tries = _failing_task(TemporaryError("gateway.no_answer", "no answer.", remedy="Wait."), 1)
        assert tries == 2

    def test_are_not_tried_again_for_what_will_not(self) -> None:
        error = PermanentError("image.broken", "it does not build.", remedy="Correct it.")
        assert _failing_task(error, 1) == 1

    def test_are_plain_functions_by_fn(self) -> None:
        there, platform = in_service("v1")
        with pytest.raises(Killed):
            story.release(there.platform, story.loaded("v2"), on_window=_die)
        assert shift_traffic.fn("fraud", platform) == str(MIXED)


def _failing_task(error: WeirError, times: int) -> int:
    """How often a task is tried that fails ``times`` times."""
    tries = []

    @outward(timeout_seconds=10)
    def step() -> None:
        tries.append(1)
        if len(tries) <= times:
            raise error

    @flow
    def part() -> None:
        step()

    part(return_state=True)
    return len(tries)


def _stalled() -> TemporaryError:
    return TemporaryError("gateway.no_answer", "the gateway did not answer.", remedy="Wait.")
