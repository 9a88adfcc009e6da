from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.fakes.world import world
from tests.story import loaded, release
from tests.unit.release.stages import (
    a_dead_process,
    abandoned_at_25,
    halfway,
    halfway_at,
    with_v1,
)
from weir.document import OperatorAction, Outcome
from weir.errors import PermanentError, TemporaryError
from weir.holding import this_process
from weir.release import operator, steps
from weir.release.beginning import begin
from weir.release.observing import observe
from weir.rollout import Action


def test_a_person_rolls_back_without_the_run() -> None:
    there = with_v1()
    steps.stand_back(there.platform, halfway(there))
    past = operator.roll_back_now(there.platform, "fraud", by="ada")
    assert past.outcome is Outcome.ROLLED_BACK
    assert "ada" in past.words
    assert there.workloads.versions("fraud") == ("v1",)


def test_a_person_promotes_without_the_run() -> None:
    there = with_v1()
    steps.stand_back(there.platform, halfway(there))
    assert operator.promote_now(there.platform, "fraud", by="ada").outcome is Outcome.PROMOTED
    assert str(there.traffic.split("fraud")) == "v2 100 %"


def test_a_rollback_of_a_release_that_has_just_ended_only_tells_how() -> None:
    there = with_v1(v2=0.5)
    past = release(there.platform, loaded("v2"))
    assert operator.roll_back_now(there.platform, "fraud", "ada", past.id) == past
    assert str(there.traffic.split("fraud")) == "v1 100 %"


def test_a_rollback_asked_for_while_promotion_is_decided_wins() -> None:
    there = with_v1()
    asked = []

    class Asking:
        """Telemetry whose reading takes so long that a person speaks up meanwhile."""

        lag_seconds = there.telemetry.lag_seconds

        def read(self, *window: Any) -> Any:
            document = there.state.documents["fraud"]
            if document.endpoint.split and document.endpoint.split.percentile("v2") == 50:
                operator.ask(there.platform, "fraud", OperatorAction.ROLL_BACK, "ada")
                asked.append(window)
            return there.telemetry.read(*window)

    platform = replace(there.platform, telemetry=Asking())
    past = release(platform, loaded("v2"))
    assert asked
    assert (past.outcome, past.reason) == (Outcome.ROLLED_BACK, "operator")


def test_a_release_before_its_rollout_can_be_rolled_back_by_a_person() -> None:
    there = with_v1()
    begin(there.platform, loaded("v2"), a_dead_process(there))
    assert not operator.ask(there.platform, "fraud", OperatorAction.ROLL_BACK, "ada")
    assert operator.roll_back_now(there.platform, "fraud", "ada").outcome is Outcome.FAILED


def test_a_promotion_by_hand_is_refused_while_no_replica_is_ready() -> None:
    there = with_v1()
    steps.stand_back(there.platform, halfway(there))
    there.workloads.remove("fraud", "v2")
    with pytest.raises(TemporaryError) as caught:
        operator.promote_now(there.platform, "fraud", by="ada")
    assert caught.value.reason == "version.not_ready"
    assert str(there.traffic.split("fraud")) == "v1 100 %"


def test_a_promotion_asked_of_a_dead_run_is_not_asked_of_the_next() -> None:
    there = with_v1(v2=0.5)
    ledger = halfway_at(there, 5)
    operator.ask(there.platform, "fraud", OperatorAction.PROMOTE, "ada")
    steps.stand_back(there.platform, ledger)
    assert release(there.platform, loaded("v2")).outcome is Outcome.ROLLED_BACK


def test_a_rollback_asked_of_a_run_that_died_is_done_by_the_next() -> None:
    there = with_v1()
    ledger = halfway(there)
    operator.ask(there.platform, "fraud", OperatorAction.ROLL_BACK, "ada")
    steps.stand_back(there.platform, ledger)
    past = release(there.platform, loaded("v2"))
    assert (past.outcome, past.reason) == (Outcome.ROLLED_BACK, "operator")


def test_a_rollback_goes_before_what_others_asked_and_is_never_lost() -> None:
    there = with_v1()
    ledger = halfway(there)
    for action in (OperatorAction.PAUSE, OperatorAction.ROLL_BACK, OperatorAction.RESUME):
        operator.ask(there.platform, "fraud", action, "ada")
    assert observe(there.platform, ledger).action is Action.ROLL_BACK


def test_each_person_gets_the_answer_to_the_own_question() -> None:
    there = with_v1()
    ledger = halfway(there)
    one = operator.ask(there.platform, "fraud", OperatorAction.PAUSE, "ada")
    other = operator.ask(there.platform, "fraud", OperatorAction.RESUME, "bob")
    assert one is not None
    assert other is not None
    observe(there.platform, ledger)
    assert operator.await_answer(there.platform, "fraud", one, 0.5)
    assert not operator.await_answer(there.platform, "fraud", other, 0.5)


@pytest.mark.parametrize("deploy_only", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_a_rollback_asked_for_before_the_rollout_ends_the_release(
    deploy_only: bool, first: bool
) -> None:
    there = world() if first else with_v1()

    class Slow:
        """Workloads that take so long to start that a person speaks up meanwhile."""

        def __getattr__(self, name: str) -> Any:
            return getattr(there.workloads, name)

        def apply(self, endpoint: str, version: Any) -> None:
            there.workloads.apply(endpoint, version)
            assert operator.ask(there.platform, "fraud", OperatorAction.ROLL_BACK, "ada")

    platform = replace(there.platform, workloads=Slow())
    past = release(platform, loaded("v2"), deploy_only=deploy_only)
    assert (past.outcome, past.reason) == (Outcome.FAILED, "operator")
    assert "ada" in past.words
    assert there.workloads.versions("fraud") == (() if first else ("v1",))


@pytest.mark.parametrize("action", [OperatorAction.PROMOTE, OperatorAction.PAUSE])
def test_what_only_a_rollout_can_do_is_not_asked_of_a_release_before_it(
    action: OperatorAction,
) -> None:
    there = with_v1()
    begin(there.platform, loaded("v2"), this_process("", there.clock.now()))
    with pytest.raises(PermanentError, match="has not come to its rollout") as caught:
        operator.ask(there.platform, "fraud", action, "ada")
    assert caught.value.reason == "release.before_rollout"


def test_a_release_that_was_interrupted_before_its_rollout_can_be_resumed() -> None:
    there = with_v1()
    begin(there.platform, loaded("v2"), a_dead_process(there))
    assert operator.ask(there.platform, "fraud", OperatorAction.RESUME, "ada") is None


def test_a_person_pause_outlives_the_run_and_whoever_releases_the_file_again() -> None:
    there = with_v1()
    abandoned_at_25(there)
    operator.pause_now(there.platform, "fraud", "ada")
    begun = begin(there.platform, loaded("v2"), this_process("", there.clock.now()))
    assert begun.ledger is not None
    for _ in range(3):
        assert observe(there.platform, begun.ledger).reason == "paused"


def test_a_rollout_that_is_paused_before_its_first_step_does_not_spin() -> None:
    there = with_v1()
    begun = begin(there.platform, loaded("v2"), this_process("", there.clock.now()))
    assert begun.ledger is not None
    for step in (steps.provision, steps.build, steps.deploy, steps.await_ready):
        step(there.platform, begun.ledger)
    steps.start_rollout(there.platform, begun.ledger)
    operator.pause_now(there.platform, "fraud", "ada")
    before = there.clock.now()
    for _ in range(4):
        assert observe(there.platform, begun.ledger).reason == "paused"
    assert there.clock.now() - before >= timedelta(seconds=2)


def test_a_rollback_by_hand_sets_the_gateway_also_where_the_document_cannot_be_written() -> None:
    there = with_v1()
    halfway(there)
    there.state.full = True
    with pytest.raises(PermanentError, match="space"):
        operator.roll_back_now(there.platform, "fraud", "ada")
    assert str(there.traffic.split("fraud")) == "v1 100 %"
