"""What a foreseeable error leaves in a run's log, and how long a rollout says that it waits."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow

from flows.build import build
from flows.check import check
from flows.deploy import deploy
from flows.provision import provision
from flows.provision_cluster import provision_cluster
from flows.reconcile import reconcile
from flows.release import release
from flows.resume import resume
from flows.retire import retire
from flows.rollout import how_long, rollout
from tests import story
from tests.fakes.platform_block import reference_to
from tests.fakes.world import world
from weir.errors import UserError, WeirError
from weir.release.ledger import Ledger
from weir.rollout import Action


def test_a_mistake_is_one_line_without_a_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "release.yaml"
    path.write_text("endpoint: fraud\n")
    platform = reference_to(world())
    with caplog.at_level(logging.INFO):
        failed = release(str(path), platform=platform, return_state=True)
    error = failed.result(raise_on_failure=False)
    assert isinstance(error, UserError)
    assert (failed.name, failed.message) == ("Failed", str(error))
    assert [one for one in caplog.records if one.exc_info] == []
    with pytest.raises(UserError):
        release(str(path), platform=platform)


def test_nothing_to_resume_is_one_line_too(caplog: pytest.LogCaptureFixture) -> None:
    failed = resume("nowhere", reference_to(world()), return_state=True)
    error = failed.result(raise_on_failure=False)
    assert isinstance(error, WeirError)
    assert failed.message == str(error)
    assert [one for one in caplog.records if one.exc_info] == []


@pytest.mark.parametrize(
    "named",
    [
        build,
        check,
        deploy,
        provision,
        provision_cluster,
        reconcile,
        release,
        resume,
        retire,
        rollout,
    ],
    ids=lambda one: one.name,
)
def test_the_form_of_every_flow_says_what_a_platform_may_be(named: Flow[..., Any]) -> None:
    words = named.parameters.properties["platform"]["description"]
    assert "kubernetes:CONTEXT" in words
    assert words.startswith("`local`, `kubernetes`")


class Stop(Exception):
    pass


@pytest.mark.parametrize(
    ("on_inconclusive", "action", "words"),
    [
        (
            "hold",
            Action.HOLD,
            "; 19.9 min more at most, then it asks what to do; weir promote fraud",
        ),
        ("hold", Action.ASK, "; 40 min more at most, then it is held; weir promote fraud"),
        ("rollback", Action.HOLD, "; 19.9 min more at most, then it is rolled back; weir promote "),
    ],
)
def test_without_traffic_a_rollout_says_how_long_it_waits(
    on_inconclusive: str, action: Action, words: str
) -> None:
    there = world()
    story.release(there.platform, story.loaded("v1"))
    there.telemetry.silent = True
    told: list[str] = []

    def stop(ledger: Ledger) -> None:
        held = ledger.release()
        if held.decision is not None and held.rollout is not None and held.rollout.step >= 0:
            left = how_long(held.decision, held, there.clock.now())
            if left and held.decision.action is action:
                told.append(left)
                raise Stop

    wanted = story.loaded(
        "v2", on_inconclusive=on_inconclusive, maximum_wait_seconds=1_200, deadline_seconds=3_600
    )
    with pytest.raises(Stop):
        story.release(there.platform, wanted, on_window=stop)
    assert told[0].startswith(words), told[0]
