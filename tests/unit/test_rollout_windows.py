"""Which windows a rollout takes as evidence: each once, and of its own split only."""

from tests.rollouts import NOON, Rollout, arm, at
from weir.rollout import (
    Action,
    Reason,
    begin,
    next_window_id,
    next_window_start,
    split_applied,
)


def test_a_window_counts_once() -> None:
    rollout = Rollout()
    window = rollout.window(arm(200, 1), arm(100, 1))
    rollout.now = at(10)
    rollout.tick(window)
    after = rollout.state
    rollout.tick(window)
    assert rollout.state == after


def test_a_window_that_overlaps_the_last_changes_nothing() -> None:
    rollout = Rollout()
    rollout.see(arm(200), arm(100))
    after = rollout.state
    rollout.see(arm(200), arm(100, 90), start=at(9.9))
    assert rollout.state == after


def test_a_window_of_another_split_is_passed_over() -> None:
    rollout = Rollout()
    decision = rollout.see(arm(1000, 5), arm(100, 90), split={"v1": 50, "v2": 50})
    assert decision.action is Action.HOLD
    assert rollout.state.evidence == begin(rollout.policy, "v1", "v2", NOON).evidence
    assert next_window_start(rollout.state) == at(10)
    assert next_window_id(rollout.state) == 2


def test_a_window_from_before_the_split_is_passed_over() -> None:
    rollout = Rollout()
    assert rollout.see(arm(1000, 5), arm(100, 90), start=at(-1)).action is Action.HOLD
    assert rollout.state.total_counts == {}


def test_no_window_is_read_while_a_split_is_under_way() -> None:
    rollout = Rollout()
    window = rollout.window(arm(3000), arm(3000))
    rollout.healthy()
    assert next_window_start(rollout.state) is None
    decision = rollout.tick(window.model_copy(update={"id": 7}))
    assert (decision.action, decision.reason) == (Action.HOLD, Reason.SPLIT_PENDING)


def test_after_a_split_was_applied_again_windows_start_there() -> None:
    rollout = Rollout()
    rollout.see(arm(200), arm(100))
    rollout.state = split_applied(rollout.state, at(37))
    assert next_window_start(rollout.state) == at(37)


def test_windows_follow_each_other_without_a_gap() -> None:
    rollout = Rollout()
    assert next_window_start(rollout.state) == NOON
    rollout.see(arm(200), arm(100))
    assert next_window_start(rollout.state) == at(10)
