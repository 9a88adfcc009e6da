"""Recorded windows through the engine once more: for post-mortems and for tuning a policy.

Pure. The state machine is the one that releases use; a replay only stands in for the gateway (the
record's split counts as the split that was wanted) and for the clock (a window is decided on when
it ends, unless the record tells when it was).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from weir import rollout
from weir.decision import Action, Decision
from weir.rollout import RolloutState
from weir.spec.rollout import RolloutPolicy
from weir.window import Window


class Verdict(StrEnum):
    """What a whole record comes to, for one treatment."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Judgement:
    """What was decided on ``treatment`` at the window ``id``."""

    id: int
    treatment: str
    decision: Decision


@dataclass(frozen=True)
class Outcome:
    """``at`` is the id of the deciding window; of the last one when undecided."""

    treatment: str
    verdict: Verdict
    at: int


def treatments_in(windows: Iterable[Window], control: str) -> tuple[str, ...]:
    """Every version but the control that takes traffic or has requests in any window, by name."""
    seen = {
        name
        for window in windows
        for name in (*window.split, *window.versions)
        if window.split.get(name, 0) or window.of(name).requests
    }
    return tuple(sorted(seen - {control}))


def replay(policy: RolloutPolicy, windows: Sequence[Window], control: str) -> Iterator[Judgement]:
    """Each window's decision on each treatment that is not decided yet.

    With several treatments each one gets an equal part of ``alpha``, so that the chance of any
    false rollback stays within it; ``beta`` holds for each as it is. A window whose id is not
    greater than the last one's counts for nothing, as in a release.
    """
    treatments = treatments_in(windows, control)
    if not treatments:
        return
    shared = policy.model_copy(update={"alpha": policy.alpha / len(treatments)})
    first = windows[0]
    states = {
        name: rollout.begin(shared, control, name, first.start).changed(last_window_id=first.id - 1)
        for name in treatments
    }
    for window in windows:
        for name, state in states.items():
            if state.decision is None:
                states[name], decision = _decided(shared, state, window)
                yield Judgement(window.id, name, decision)


def outcomes(judgements: Iterable[Judgement]) -> tuple[Outcome, ...]:
    """The verdict on each treatment, in the order in which they were first judged."""
    last: dict[str, Judgement] = {}
    for judgement in judgements:
        last[judgement.treatment] = judgement
    return tuple(
        Outcome(name, _verdict(judged.decision), judged.id) for name, judged in last.items()
    )


def _decided(
    policy: RolloutPolicy, state: RolloutState, window: Window
) -> tuple[RolloutState, Decision]:
    if state.step < 0:
        state, decision = rollout.decide(policy, state, None, window.start)
        if decision.final:
            return state, decision
    if state.split_applied_at is None:
        state = rollout.split_applied(state, window.start)
    wanted = window.model_copy(update={"split": rollout.percentiles(policy, state)})
    return rollout.decide(policy, state, wanted, window.decided_at or window.end)


def _verdict(decision: Decision) -> Verdict:
    if decision.action is Action.PROMOTE:
        return Verdict.PROMOTED
    if decision.action is Action.ROLL_BACK:
        return Verdict.ROLLED_BACK
    return Verdict.UNDECIDED
