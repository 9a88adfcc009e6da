"""What holds for a rollout whatever happens to it."""

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rollouts import Rollout, a_policy, arm
from weir.evidence.guardrail import Verdict
from weir.rollout import (
    Action,
    RolloutState,
    pause,
    resume,
)
from weir.spec.rollout import RolloutPolicy

counts = st.tuples(st.integers(0, 400), st.integers(0, 40)).map(
    lambda pair: arm(pair[0], min(pair))
)
events = st.lists(
    st.one_of(
        st.tuples(st.just("window"), counts, counts),
        st.just(("error",)),
        st.just(("repeat",)),
        st.just(("pause",)),
        st.just(("resume",)),
    ),
    max_size=25,
)


Event = tuple[Any, ...]
"""What happens to a rollout, and with which numbers."""


def play(policy: RolloutPolicy, script: list[Event], *, reload: bool, repeat: bool) -> RolloutState:
    """The state after ``script``, with a crash and restart, or a repeat, after every event."""
    rollout = Rollout(policy)
    window = None
    for event in script:
        rollout.apply_split() if rollout.state.split_applied_at is None else None
        if event[0] == "window" and not rollout.last.final:
            window = rollout.window(event[1], event[2])
            rollout.now += timedelta(seconds=10)
            rollout.tick(window)
        elif event[0] == "error":
            rollout.tick(error="timed out")
        elif event[0] == "pause":
            rollout.state = pause(rollout.state, "ada", rollout.now)
        elif event[0] == "resume":
            rollout.state = resume(rollout.state, rollout.now)
        elif repeat and window is not None and rollout.state.step_counts:
            rollout.tick(window)
        if reload:
            dumped = rollout.state.model_dump_json()
            rollout.state = RolloutState.model_validate_json(dumped)
    return rollout.state


@settings(max_examples=60, deadline=None)
@given(events)
def test_a_rollout_reloaded_after_every_event_ends_in_the_same_state(
    script: list[Event],
) -> None:
    policy = RolloutPolicy(minimum_requests=50)
    whole = play(policy, script, reload=False, repeat=False)
    assert play(policy, script, reload=True, repeat=False) == whole


@settings(max_examples=60, deadline=None)
@given(events)
def test_windows_that_are_offered_again_never_move_the_evidence(
    script: list[Event],
) -> None:
    policy = a_policy()
    without = [event for event in script if event[0] in ("window", "repeat")]
    once = play(policy, without, reload=False, repeat=False)
    again = play(policy, without, reload=False, repeat=True)
    assert again.total_counts == once.total_counts
    assert again.evidence == once.evidence


@settings(max_examples=60, deadline=None)
@given(events)
def test_every_promotion_is_proven_and_every_rollback_harmful(
    script: list[Event],
) -> None:
    decision = play(a_policy(), script, reload=False, repeat=False).decision
    if decision is not None:
        expected = Verdict.PASS if decision.action is Action.PROMOTE else Verdict.FAIL
        assert decision.verdicts == {"failures": expected}
