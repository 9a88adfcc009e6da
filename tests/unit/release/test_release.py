from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from tests.story import loaded, release
from tests.unit.release.stages import (
    a_dead_process,
    abandoned_at_25,
    halfway,
    with_v1,
)
from weir.document import Outcome
from weir.endpoint import Endpoint
from weir.errors import EndpointBusy, PermanentError, UserError
from weir.holding import this_process
from weir.release import operator, steps
from weir.release.beginning import begin
from weir.release.ledger import Ledger
from weir.release.observing import observe
from weir.spec.load import Loaded


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


@pytest.mark.parametrize(
    ("score", "ending", "words"),
    [
        (0.85, Outcome.PROMOTED, "v2's mean score is 0.850 of "),
        (0.7, Outcome.ROLLED_BACK, "lower by at most 0.02 is ruled out at 1 in "),
    ],
)
def test_what_a_version_reports_of_its_answers_decides_too(
    score: float, ending: Outcome, words: str
) -> None:
    there = with_v1()
    there.telemetry.scores = {"v1": 0.85, "v2": score}
    guardrails = ({"metric": "failures"}, {"metric": "score", "of": "score"})
    past = release(there.platform, loaded("v2", guardrails=guardrails))
    assert past.outcome is ending
    assert words in past.words


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


def test_a_rollout_that_has_begun_cannot_be_only_deployed() -> None:
    there = with_v1()
    abandoned_at_25(there)
    with pytest.raises(UserError) as caught:
        release(there.platform, loaded("v2"), deploy_only=True)
    assert caught.value.reason == "release.rollout_has_begun"


def test_a_clock_that_was_set_back_ends_the_watch_instead_of_blinding_it() -> None:
    there = with_v1()
    ledger = halfway(there)
    there.clock.set_back(3600)
    with pytest.raises(PermanentError) as caught:
        observe(there.platform, ledger)
    assert caught.value.reason == "clock.set_back"
    assert str(steps.stand_back(there.platform, ledger)) == "v1 100 %"


def test_the_gateway_is_put_back_also_where_the_document_cannot_be_written() -> None:
    there = with_v1()
    ledger = halfway(there)
    there.state.full = True
    with pytest.raises(PermanentError, match="space"):
        steps.stand_back(there.platform, ledger)
    assert str(there.traffic.split("fraud")) == "v1 100 %"


def without_keys(version: str) -> Loaded:
    """A release file that opens the endpoint to everybody."""
    found = loaded(version)
    wanted = found.spec.endpoint.model_copy(update={"auth_enabled": False})
    return replace(found, spec=found.spec.model_copy(update={"endpoint": wanted}))


def test_what_a_file_says_of_the_endpoint_holds_from_its_promotion_on() -> None:
    there = with_v1()
    there.workloads.broken["v2"] = ("no",)
    assert release(there.platform, without_keys("v2")).outcome is Outcome.FAILED
    assert all(applied.auth_enabled for applied in there.traffic.applied)
    assert release(there.platform, without_keys("v3")).outcome is Outcome.PROMOTED
    assert not there.traffic.applied[-1].auth_enabled
    assert release(there.platform, loaded("v4")).outcome is Outcome.PROMOTED
    assert not there.traffic.applied[-1].auth_enabled, "unset leaves it as it is"


def test_a_dead_release_that_brought_nothing_takes_no_version_with_it() -> None:
    there = with_v1()
    release(there.platform, loaded("v2"))
    begin(there.platform, replace(loaded("v1"), digest="other"), a_dead_process(there))
    begun = begin(there.platform, loaded("v3"), this_process("", there.clock.now()))
    assert not begun.taken_over
    release(there.platform, loaded("v3"))
    assert "v2" in there.workloads.versions("fraud")
    assert there.state.documents["fraud"].previous == "v2"


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

        def apply(self, endpoint: Endpoint, revision: int = 0) -> Any:
            stale = endpoint.split is not None and endpoint.split.percentile("v2") == 50
            if stale and not slept:
                slept.append(endpoint)
                operator.roll_back_now(there.platform, "fraud", by="ada")
            return there.traffic.apply(endpoint)

    with pytest.raises(EndpointBusy):
        release(replace(there.platform, traffic=Sleepy()), loaded("v2"), a_dead_process(there))
    assert slept
    assert str(there.traffic.split("fraud")) == "v1 100 %"


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
