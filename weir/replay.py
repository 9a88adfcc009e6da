"""Recorded windows through the engine once more: for post-mortems and for tuning a policy.

Pure. The state machine is the one that releases use; a replay only stands in for the gateway (the
record's split counts as the split that was wanted) and for the clock. A record that weir made tells
when each window was decided on and what happened between two windows; where that is missing, a
split takes effect when the next window starts, and a window is decided on when it ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce

from weir import rollout
from weir.decision import Action, Decision, Reason
from weir.happening import Happening, What
from weir.rollout import RolloutState
from weir.spec.rollout import RolloutPolicy
from weir.window import Window

MOST_TREATMENTS = 5
"""More than a policy's alpha can be divided among and still roll anything back in time."""


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
    """``at`` is the id of the deciding window; of the last one that counts when undecided."""

    treatment: str
    verdict: Verdict
    at: int


def treatments_in(windows: Sequence[Window], control: str) -> tuple[str, ...]:
    """Every version but the control to which a split gives traffic, by name.

    Requests alone, such as those that ask for a version by its header, make a treatment only where
    no split has any.
    """
    split = {name for window in windows for name, share in window.split.items() if share}
    if split - {control}:
        return tuple(sorted(split - {control}))
    served = {name for window in windows for name, seen in window.versions.items() if seen.requests}
    return tuple(sorted(served - {control}))


def replay(policy: RolloutPolicy, windows: Sequence[Window], control: str) -> Iterator[Judgement]:
    """Each window's decision on each treatment that is not decided yet.

    With several treatments each one gets an equal part of ``alpha``, so that the chance of any
    false rollback stays within it; ``beta`` holds for each as it is. A window whose id is not
    greater than the last one's, or that overlaps it, changes nothing, the clocks included. One in
    which the control or the treatment has no requests is no evidence before both have some at the
    same split. Raises ValueError for more than MOST_TREATMENTS.
    """
    treatments = treatments_in(windows, control)
    if len(treatments) > MOST_TREATMENTS:
        raise ValueError(f"{len(treatments)} treatments are more than {MOST_TREATMENTS}")
    if not treatments:
        return
    shared = policy.model_copy(update={"alpha": policy.alpha / len(treatments)})
    lanes = {name: _Lane.before(windows[0], shared, control, name) for name in treatments}
    for window in windows:
        for name, lane in lanes.items():
            if lane.state.decision is None:
                lanes[name] = after = lane.after(window)
                assert after.last is not None
                yield Judgement(window.id, name, after.last)


def outcomes(judgements: Iterable[Judgement]) -> tuple[Outcome, ...]:
    """The verdict on each treatment, in the order in which they were first judged."""
    last: dict[str, Judgement] = {}
    for judgement in judgements:
        if judgement.decision.reason is not Reason.REPEATED:
            last[judgement.treatment] = judgement
    return tuple(
        Outcome(name, _verdict(judged.decision), judged.id) for name, judged in last.items()
    )


@dataclass(frozen=True)
class _Lane:
    """One treatment on its way through the record, after the window of ``split``."""

    policy: RolloutPolicy
    state: RolloutState
    split: dict[str, float]
    last: Decision | None = None

    @classmethod
    def before(cls, first: Window, policy: RolloutPolicy, control: str, treatment: str) -> _Lane:
        state = rollout.begin(policy, control, treatment, first.start)
        state = state.changed(last_window_id=first.id - 1)
        return cls(policy, state, dict(first.split))

    def after(self, window: Window) -> _Lane:
        if rollout.is_repeated(self.state, window):
            return _Lane(self.policy, self.state, self.split, self._repeated(window))
        state = reduce(self._with, window.happened, self.state)
        if dict(window.split) != self.split:
            state = state.changed(pending=None)
        state, decision = self._decided(state, window)
        return _Lane(self.policy, state, dict(window.split), decision)

    def _decided(self, state: RolloutState, window: Window) -> tuple[RolloutState, Decision]:
        if state.step < 0:
            state, decision = rollout.decide(self.policy, state, None, window.start)
            if decision.final:
                return state, decision
        if state.split_applied_at is None:
            state = rollout.split_applied(state, window.start)
        wanted = window.model_copy(update={"split": rollout.percentiles(self.policy, state)})
        return rollout.decide(self.policy, state, wanted, window.decided_at or window.end)

    def _with(self, state: RolloutState, happening: Happening) -> RolloutState:
        at = happening.at
        match happening.what:
            case What.BEGUN:
                return rollout.restart(state, at)
            case What.LOOKED:
                after, decision = rollout.decide(self.policy, state, None, at)
                # In the record it did not end there: the window that follows decides.
                return state if decision.final else after
            case What.APPLIED:
                return rollout.split_applied(state, at) if happening.step == state.step else state
            case What.PAUSED:
                return rollout.pause(state, happening.by, at, happening.why)
            case What.RESUMED:
                return rollout.resume(state, at)

    def _repeated(self, window: Window) -> Decision:
        """A window that counts for nothing: what stood before it stands."""
        assert self.last is not None
        words = (
            f"not counted: the id {window.id} is not greater than {self.state.last_window_id}"
            if window.id <= self.state.last_window_id
            else f"not counted: it starts at {window.start.isoformat()}, before the end of the"
            f" window {self.state.last_window_id}"
        )
        action = Action.ASK if self.last.action is Action.ASK else Action.HOLD
        return self.last.model_copy(
            update={"action": action, "reason": Reason.REPEATED, "words": words}
        )


def _verdict(decision: Decision) -> Verdict:
    if decision.action is Action.PROMOTE:
        return Verdict.PROMOTED
    if decision.action is Action.ROLL_BACK:
        return Verdict.ROLLED_BACK
    return Verdict.UNDECIDED
