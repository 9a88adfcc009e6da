from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.fakes.world import World, world
from tests.story import loaded, release
from weir.document import Holder, OperatorAction, Outcome
from weir.endpoint import Endpoint
from weir.errors import EndpointBusy, PermanentError, TemporaryError, UserError
from weir.holding import this_process
from weir.release import operator, steps
from weir.release.beginning import begin
from weir.release.ledger import Ledger


def with_v1(**failing: float) -> World:
    there = world(**failing)
    assert release(there.platform, loaded("v1")).outcome is Outcome.PROMOTED
    return there


def test_the_first_version_takes_everything_once_it_is_healthy() -> None:
    there = with_v1()
    document = there.state.documents["fraud"]
    assert document.endpoint.control == "v1"
    assert str(there.traffic.split("fraud")) == "v1 100 %"
    assert document.history[-1].reason == "first_version"


def test_an_equal_version_is_promoted_step_by_step() -> None:
    there = with_v1()
    past = release(there.platform, loaded("v2"))
    splits = [str(applied.split) for applied in there.traffic.applied]
    assert past.outcome is Outcome.PROMOTED
    assert [splits.index(f"v1 {100 - step:g} %, v2 {step:g} %") for step in (5, 25, 50)] == sorted(
        splits.index(f"v1 {100 - step:g} %, v2 {step:g} %") for step in (5, 25, 50)
    )
    assert str(there.traffic.split("fraud")) == "v2 100 %"
    assert there.state.documents["fraud"].previous == "v1"


def test_a_failing_version_is_rolled_back_at_the_first_step_and_removed() -> None:
    there = with_v1(v2=0.5)
    past = release(there.platform, loaded("v2"))
    assert (past.outcome, past.reason) == (Outcome.ROLLED_BACK, "harm")
    assert "v2 fails" in past.words
    assert str(there.traffic.split("fraud")) == "v1 100 %"
    assert there.workloads.removed == [("fraud", "v2")]
    assert there.telemetry.counted["v2"] <= 100


def test_promotion_keeps_the_last_good_version_and_retires_the_one_before() -> None:
    there = with_v1()
    release(there.platform, loaded("v2"))
    release(there.platform, loaded("v3"))
    document = there.state.documents["fraud"]
    assert (document.endpoint.control, document.previous) == ("v3", "v2")
    assert there.workloads.versions("fraud") == ("v2", "v3")


def test_the_same_release_again_does_nothing_and_tells_how_it_ended() -> None:
    there = with_v1(v2=0.5)
    first = release(there.platform, loaded("v2"))
    applied = len(there.traffic.applied)
    assert release(there.platform, loaded("v2")) == first
    assert len(there.traffic.applied) == applied


def test_a_rolled_back_release_runs_again_when_asked_to() -> None:
    there = with_v1(v2=0.5)
    first = release(there.platform, loaded("v2"))
    second = release(there.platform, loaded("v2"), again=True)
    assert second.id != first.id
    assert second.outcome is Outcome.ROLLED_BACK


def test_a_version_that_never_gets_ready_is_removed_and_the_control_untouched() -> None:
    there = with_v1()
    there.workloads.broken["v2"] = ("init() raised", "ValueError: no such file")
    past = release(there.platform, loaded("v2"))
    assert past.outcome is Outcome.FAILED
    assert "ValueError: no such file" in past.words
    assert str(there.traffic.split("fraud")) == "v1 100 %"
    assert there.workloads.versions("fraud") == ("v1",)


def test_a_build_that_fails_ends_the_release_and_leaves_no_version() -> None:
    there = with_v1()
    there.images.broken["image-of-model-v2"] = PermanentError(
        "image.requirements_unresolvable", "no such package.", remedy="Correct it."
    )
    past = release(there.platform, loaded("v2"))
    assert (past.outcome, past.reason) == (Outcome.FAILED, "image.requirements_unresolvable")
    assert there.state.documents["fraud"].endpoint.version("v2") is None


def test_other_content_under_the_controls_name_is_refused() -> None:
    there = with_v1()
    changed = loaded("v1")
    changed = type(changed)(
        spec=changed.spec, path=changed.path, directory=changed.directory, digest="other"
    )
    with pytest.raises(UserError) as caught:
        release(there.platform, changed)
    assert caught.value.reason == "release.version_is_live"


def test_a_second_release_on_a_busy_endpoint_is_refused_naming_the_holder() -> None:
    there = with_v1()
    holder = this_process("", there.clock.now())
    begin(there.platform, loaded("v2"), holder)
    stranger = holder.model_copy(update={"pid": 1})
    with pytest.raises(EndpointBusy) as caught:
        begin(there.platform, loaded("v3"), stranger)
    assert str(holder.pid) in str(caught.value)
    assert holder.user in str(caught.value)


def test_a_dead_holders_release_is_taken_over() -> None:
    there = with_v1()
    gone = this_process("", there.clock.now()).model_copy(update={"pid": 2**22 + 1})
    begin(there.platform, loaded("v2"), gone)
    assert release(there.platform, loaded("v2")).outcome is Outcome.PROMOTED


def test_a_process_that_was_taken_over_stops_at_its_next_write() -> None:
    there = with_v1()
    old = this_process("", there.clock.now()).model_copy(update={"pid": 2**22 + 1})
    begin(there.platform, loaded("v2"), old)
    begin(there.platform, loaded("v2"), this_process("", there.clock.now()))
    with pytest.raises(EndpointBusy) as caught:
        steps.provision(there.platform, Ledger(there.state, "fraud", old))
    assert caught.value.reason == "release.hold_lost"


def test_a_release_that_saw_no_traffic_gives_way_to_a_corrected_file() -> None:
    there = with_v1()
    gone = this_process("", there.clock.now()).model_copy(update={"pid": 2**22 + 1})
    begin(there.platform, loaded("v2"), gone)
    assert release(there.platform, loaded("v3")).outcome is Outcome.PROMOTED


def test_a_release_in_mid_rollout_does_not_give_way_to_another() -> None:
    there = with_v1()
    ledger = halfway(there)
    steps.stand_back(there.platform, ledger)
    with pytest.raises(PermanentError) as caught:
        release(there.platform, loaded("v3"))
    assert caught.value.reason == "release.unfinished"


def test_standing_back_puts_all_traffic_on_the_control_and_keeps_the_evidence() -> None:
    there = with_v1()
    ledger = halfway(there)
    before = ledger.release().rollout
    steps.stand_back(there.platform, ledger)
    document = there.state.documents["fraud"]
    assert str(there.traffic.split("fraud")) == "v1 100 %"
    assert document.release is not None
    assert document.release.holder is None
    assert document.release.rollout is not None
    assert before is not None
    assert document.release.rollout.evidence == before.evidence
    assert release(there.platform, loaded("v2")).outcome is Outcome.PROMOTED


def test_a_seventh_version_is_refused_before_anything_is_touched() -> None:
    there = with_v1()
    for number in range(2, 7):
        release(there.platform, loaded(f"v{number}"), deploy_only=True)
    before = there.state.documents["fraud"]
    with pytest.raises(UserError) as caught:
        release(there.platform, loaded("v7"), deploy_only=True)
    assert caught.value.reason == "endpoint.full"
    assert there.state.documents["fraud"] == before


def test_a_deployed_version_can_be_rolled_out_later() -> None:
    there = with_v1()
    assert release(there.platform, loaded("v2"), deploy_only=True).outcome is Outcome.DEPLOYED
    assert str(there.traffic.split("fraud")) == "v1 100 %"
    assert release(there.platform, loaded("v2")).outcome is Outcome.PROMOTED


def test_traffic_that_stops_never_promotes_and_the_policy_rolls_back() -> None:
    there = with_v1()
    there.telemetry.silent = True
    past = release(
        there.platform, loaded("v2", maximum_wait_seconds=60, on_inconclusive="rollback")
    )
    assert (past.outcome, past.reason) == (Outcome.ROLLED_BACK, "inconclusive")


def test_telemetry_that_cannot_be_read_changes_no_evidence() -> None:
    there = with_v1()
    there.telemetry.unavailable = True
    past = release(
        there.platform, loaded("v2", maximum_wait_seconds=60, on_inconclusive="rollback")
    )
    assert past.outcome is Outcome.ROLLED_BACK
    assert there.windows.read("fraud", past.id) == ()


def test_every_window_is_recorded_once_and_none_overlaps() -> None:
    there = with_v1()
    past = release(there.platform, loaded("v2"))
    windows = there.windows.read("fraud", past.id)
    assert [window.id for window in windows] == list(range(1, len(windows) + 1))
    assert all(a.end <= b.start for a, b in itertools.pairwise(windows))


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


def test_rolling_back_without_a_release_returns_to_the_version_kept() -> None:
    there = with_v1()
    release(there.platform, loaded("v2"))
    operator.return_to_previous(there.platform, "fraud", by="ada")
    document = there.state.documents["fraud"]
    assert str(there.traffic.split("fraud")) == "v1 100 %"
    assert (document.endpoint.control, document.previous) == ("v1", "v2")


def test_rolling_back_with_nothing_to_return_to_is_refused() -> None:
    there = with_v1()
    with pytest.raises(PermanentError) as caught:
        operator.return_to_previous(there.platform, "fraud", by="ada")
    assert caught.value.reason == "rollback.nothing_to_return_to"


def test_a_rollback_typed_twice_does_not_swing_back() -> None:
    there = with_v1()
    release(there.platform, loaded("v2"))
    operator.return_to_previous(there.platform, "fraud", by="ada")
    with pytest.raises(PermanentError) as caught:
        operator.return_to_previous(there.platform, "fraud", by="ada")
    assert caught.value.reason == "rollback.already_back"
    assert str(there.traffic.split("fraud")) == "v1 100 %"


def test_a_return_that_the_gateway_missed_is_ended_by_the_next_try() -> None:
    there = with_v1()
    release(there.platform, loaded("v2"))
    there.traffic.failures.append(
        TemporaryError("gateway.not_acknowledged", "no answer.", remedy="Again.")
    )
    with pytest.raises(TemporaryError):
        operator.return_to_previous(there.platform, "fraud", by="ada")
    operator.return_to_previous(there.platform, "fraud", by="ada")
    assert str(there.traffic.split("fraud")) == "v1 100 %"


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


def test_a_take_over_whose_version_no_longer_gets_ready_rolls_back() -> None:
    there = with_v1()
    abandoned_at_25(there)
    there.workloads.remove("fraud", "v2")
    there.workloads.broken["v2"] = ("the disk is gone",)
    past = release(there.platform, loaded("v2"))
    assert past.outcome is Outcome.ROLLED_BACK
    assert str(there.traffic.split("fraud")) == "v1 100 %"
    assert there.workloads.versions("fraud") == ("v1",)


def test_a_take_over_keeps_the_image_that_its_evidence_is_about() -> None:
    there = with_v1()
    abandoned_at_25(there)
    there.images.broken["image-of-model-v2"] = PermanentError("image.gone", "moved.", remedy="")
    assert release(there.platform, loaded("v2")).outcome is Outcome.PROMOTED


def test_a_take_over_in_mid_rollout_is_not_cut_short_by_deploy_only() -> None:
    there = with_v1()
    abandoned_at_25(there)
    assert release(there.platform, loaded("v2"), deploy_only=True).outcome is Outcome.PROMOTED


def test_what_was_asked_of_a_dead_run_is_not_asked_of_the_next() -> None:
    there = with_v1(v2=0.5)
    ledger = halfway_at(there, 5)
    operator.ask(there.platform, "fraud", OperatorAction.PROMOTE, "ada")
    steps.stand_back(there.platform, ledger)
    assert release(there.platform, loaded("v2")).outcome is Outcome.ROLLED_BACK


def test_a_decision_that_was_recorded_but_not_applied_is_applied_by_standing_back() -> None:
    there = with_v1()
    ledger = halfway(there)
    steps.give_up(ledger, "test", "given up")
    assert str(there.traffic.split("fraud")) == "v1 75 %, v2 25 %"
    assert str(steps.stand_back(there.platform, ledger)) == "v1 100 %"


def test_a_version_that_was_to_go_and_is_released_again_stays() -> None:
    there = with_v1()
    begin(there.platform, loaded("v2"), a_dead_process(there))
    steps.provision(there.platform, Ledger(there.state, "fraud", a_dead_process(there)))
    steps.build(there.platform, Ledger(there.state, "fraud", a_dead_process(there)))
    begin(there.platform, loaded("v3"), a_dead_process(there))
    assert release(there.platform, loaded("v2")).outcome is Outcome.PROMOTED
    assert "v2" in there.workloads.versions("fraud")


def test_a_broken_release_under_the_kept_versions_name_leaves_that_version_running() -> None:
    there = with_v1()
    release(there.platform, loaded("v2"))
    other = replace(loaded("v1"), digest="other")
    there.images.broken["image-of-model-v1"] = PermanentError("image.bad", "bad.", remedy="")
    assert release(there.platform, other).outcome is Outcome.FAILED
    assert there.workloads.versions("fraud") == ("v1", "v2")
    assert there.state.documents["fraud"].previous == "v1"


def test_a_taken_over_process_puts_the_gateway_where_the_newest_document_wants_it() -> None:
    there = with_v1()
    slept = []

    class Sleepy:
        """The gateway as a process sees it that sleeps through a person's rollback."""

        def __getattr__(self, name: str) -> Any:
            return getattr(there.traffic, name)

        def apply(self, endpoint: Endpoint) -> Any:
            stale = endpoint.split is not None and endpoint.split.percentile("v2") == 50
            if stale and not slept:
                slept.append(endpoint)
                operator.roll_back_now(there.platform, "fraud", by="ada")
            return there.traffic.apply(endpoint)

    with pytest.raises(EndpointBusy):
        release(replace(there.platform, traffic=Sleepy()), loaded("v2"), a_dead_process(there))
    assert slept
    assert str(there.traffic.split("fraud")) == "v1 100 %"


def test_a_version_goes_when_its_requests_have_ended_and_the_gateway_forgets_it_last() -> None:
    there = with_v1(v2=0.5)
    seen: list[str] = []

    class Watched:
        """Requests to v2 are under way at the first three looks after the rollback."""

        looks = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(there.traffic, name)

        def in_flight(self, endpoint: str) -> dict[str, int]:
            split = there.traffic.split("fraud")
            if split is None or split.percentile("v2"):
                return {}
            self.looks += 1
            seen.append("asked")
            return {"v2": 4 - self.looks}

        def apply(self, endpoint: Endpoint) -> Any:
            if endpoint.version("v2") is None:
                seen.append("forgotten")
            return there.traffic.apply(endpoint)

    class Removing:
        def __getattr__(self, name: str) -> Any:
            return getattr(there.workloads, name)

        def remove(self, endpoint: str, version: str) -> None:
            seen.append("removed")
            there.workloads.remove(endpoint, version)

    platform = replace(there.platform, traffic=Watched(), workloads=Removing())
    assert release(platform, loaded("v2")).outcome is Outcome.ROLLED_BACK
    assert seen == ["asked"] * 4 + ["removed", "forgotten"]


def test_a_version_whose_requests_never_end_goes_after_their_longest_time() -> None:
    there = with_v1(v2=0.5)
    there.traffic.hanging = {"v2": 1}
    began = there.clock.now()
    assert release(there.platform, loaded("v2")).outcome is Outcome.ROLLED_BACK
    assert there.workloads.versions("fraud") == ("v1",)
    assert timedelta(seconds=60) < there.clock.now() - began < timedelta(seconds=100)


def test_requests_that_hang_delay_the_step_until_they_end() -> None:
    there = with_v1()
    there.traffic.hanging = {"v1": 0, "v2": 40}
    reasons = []

    def end_them_after_a_while(ledger: Ledger) -> None:
        decision = ledger.release().decision
        reasons.append(str(decision.reason) if decision else "")
        if reasons.count("in_flight") == 3:
            there.traffic.hanging = {}

    past = release(there.platform, loaded("v2"), on_window=end_them_after_a_while)
    assert past.outcome is Outcome.PROMOTED
    assert reasons.count("in_flight") == 3


def test_a_hand_that_changes_the_gateway_is_set_right_by_the_next_window() -> None:
    there = with_v1()
    meddled = []

    def meddle(ledger: Ledger) -> None:
        document = ledger.read()
        if document.endpoint.split and document.endpoint.split.percentile("v2") == 25:
            if not meddled:
                there.traffic.apply(
                    document.endpoint.with_split(document.endpoint.split.everything_to("v1"))
                )
            meddled.append(str(there.traffic.split("fraud")))

    assert release(there.platform, loaded("v2"), on_window=meddle).outcome is Outcome.PROMOTED
    assert meddled[0] == "v1 100 %"
    assert "v1 75 %, v2 25 %" in meddled[1:] or len(meddled) == 1


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
