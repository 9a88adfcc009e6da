"""The rollout's state machine: decide(policy, state, window, now) -> (state, decision).

Pure: the caller reads telemetry, writes the state, and only then acts on the decision. After a
crash it reads the state, applies ``percentiles`` again, reports ``split_applied``, and goes on:
doing any of it twice changes nothing.

    begin -> first step -> split applied -> windows -> proven -> next step ... -> promote
                                                    |-> harm -> roll back
                                                    |-> not proven in time -> ask, or roll back
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from weir.decision import Action, Decision, NextStep, Reason, Tally
from weir.errors import PermanentError
from weir.evidence.assess import Assessment, assess, gate_log10_e
from weir.evidence.guardrail import Names, Verdict
from weir.evidence.guardrails import evidence_steps
from weir.forecast import next_step
from weir.happening import What
from weir.lacking import lacking
from weir.rollout_state import (
    Pause,
    RolloutState,
    begin,
    is_overdue,
    is_repeated,
    next_window_id,
    next_window_start,
    observe,
    pause,
    percentiles,
    restart,
    resume,
    split_applied,
    treatment_percentile,
)
from weir.spec.rollout import OnInconclusive, RolloutPolicy
from weir.window import Window

__all__ = [
    "Action",
    "Decision",
    "Pause",
    "Reason",
    "RolloutState",
    "Tally",
    "begin",
    "decide",
    "is_repeated",
    "next_window_id",
    "next_window_start",
    "operator_promotes",
    "operator_rolls_back",
    "pause",
    "percentiles",
    "restart",
    "resume",
    "split_applied",
]

Answer = tuple[RolloutState, Decision]


def decide(
    policy: RolloutPolicy,
    state: RolloutState,
    window: Window | None,
    now: datetime,
    telemetry_error: str = "",
) -> Answer:
    """The state after ``window``, and what to do.

    ``window`` is None when there is none to read (the clocks run on) or when reading failed,
    which ``telemetry_error`` tells. A window counts once: an id that is not greater than the last
    or a start before the last window's end changes nothing. A window of another split, or one
    which starts before the split took effect, is passed over: it is no evidence, nor read again.

    Order: a final decision stays; harm rolls back, in a pause too; a pause, an unreadable
    telemetry, or a split under way holds; a proven step ends; what remains waits, and when the
    step's wait or the deadline is over ``on_inconclusive`` answers, never with promotion.
    The clocks stand still in a pause.
    """
    if state.decision is not None:
        return state, state.decision
    after, decision = _decided(policy, state, window, now, telemetry_error)
    if after.last_window_id == state.last_window_id and _stands_elsewhere(state, after):
        # Time alone did that, and no window will tell when.
        after = after.noting(What.LOOKED, now)
    return after, decision


def _stands_elsewhere(before: RolloutState, after: RolloutState) -> bool:
    return (before.step, before.proven_at) != (after.step, after.proven_at)


def _decided(
    policy: RolloutPolicy,
    state: RolloutState,
    window: Window | None,
    now: datetime,
    telemetry_error: str,
) -> Answer:
    if state.step < 0:
        return _first_step(_Case(policy, state, now))
    case = _judge(policy, observe(policy, state, window, telemetry_error), now)
    judged = case.judged
    assert judged is not None
    case = case.proven_since(judged)
    if judged.harmful:
        failed = [name for name, given in judged.verdicts.items() if given is Verdict.FAIL]
        return case.finish(Action.ROLL_BACK, Reason.HARM, case.words(failed))
    if case.state.paused is not None:
        return case.stay(Action.HOLD, Reason.PAUSED, _paused_words(case.state.paused))
    lacks = lacking(policy, case.state, judged, telemetry_error)
    return _proven(case) if lacks is None else _wait(case, *lacks)


def operator_promotes(
    policy: RolloutPolicy, state: RolloutState, by: str, now: datetime, why: str = ""
) -> Answer:
    """A person promotes without waiting for evidence. A final decision stays as it is."""
    return _operator(_known(policy, state, now), Action.PROMOTE, f"on the word of {by}", by, why)


def operator_rolls_back(
    policy: RolloutPolicy, state: RolloutState, by: str, now: datetime, why: str = ""
) -> Answer:
    """A person rolls back, with or without telemetry. A final decision stays as it is."""
    return _operator(_known(policy, state, now), Action.ROLL_BACK, f"on the word of {by}", by, why)


@dataclass(frozen=True)
class _Case:
    """What a decision is made of. ``judged`` is None before any evidence was asked for."""

    policy: RolloutPolicy
    state: RolloutState
    now: datetime
    judged: Assessment | None = None

    def with_state(self, **changes: object) -> _Case:
        return _Case(self.policy, self.state.changed(**changes), self.now, self.judged)

    def proven_since(self, judged: Assessment) -> _Case:
        """The case with ``proven_at`` kept, begun or ended; unreadable telemetry says nothing."""
        if self.state.telemetry_errors:
            return self
        since = (self.state.proven_at or self.now) if judged.safe else None
        return self if since == self.state.proven_at else self.with_state(proven_at=since)

    def words(self, guardrails: list[str] | None = None) -> str:
        return self.judged.words(guardrails) if self.judged else ""

    def seconds_since(self, start: datetime) -> float:
        return (self.now - start).total_seconds()

    def overdue(self) -> bool:
        return is_overdue(self.policy, self.state, self.now)

    def stay(self, action: Action, reason: Reason, words: str) -> Answer:
        percentile = treatment_percentile(self.policy, self.state)
        return self.state, self._decision(action, reason, words, percentile)

    def advance(self, reason: Reason, words: str) -> Answer:
        step = self.state.step + 1
        after = self.with_state(
            step=step,
            step_started_at=self.now,
            split_applied_at=None,
            step_counts={},
            step_seconds=0.0,
            proven_at=None,
            pending=None,
            gate_log10_e=gate_log10_e(self.policy, self.state.evidence, step),
        )
        return after.stay(Action.ADVANCE, reason, words)

    def finish(self, action: Action, reason: Reason, words: str, by: str = "") -> Answer:
        percentile = 100.0 if action is Action.PROMOTE else 0.0
        decision = self._decision(action, reason, words, percentile, by)
        return self.state.changed(decision=decision, split_applied_at=None), decision

    def _decision(
        self, action: Action, reason: Reason, words: str, percentile: float, by: str = ""
    ) -> Decision:
        return Decision(
            action=action,
            reason=reason,
            words=words,
            at=self.now,
            percentile=percentile,
            verdicts=self.judged.verdicts if self.judged else {},
            evidence=self.judged.evidence if self.judged else {},
            counts=self.state.total_counts,
            by=by,
            next_step=self._next_step(action),
        )

    def _next_step(self, action: Action) -> NextStep | None:
        if self.judged is None or action not in (Action.HOLD, Action.ASK):
            return None
        return next_step(self.policy, self.state, self.judged, self.now)


def _judge(policy: RolloutPolicy, state: RolloutState, now: datetime) -> _Case:
    if state.step < 0 or not evidence_steps(policy):
        return _Case(policy, state, now)
    names = Names(state.control, state.treatment)
    unreadable = state.telemetry_errors > 0
    judged = assess(policy, state.evidence, state.step, names, unreadable=unreadable)
    return _Case(policy, state, now, judged)


def _known(policy: RolloutPolicy, state: RolloutState, now: datetime) -> _Case:
    """What is known, for a person's decision, which stands without evidence as well."""
    try:
        return _judge(policy, state, now)
    except PermanentError:
        return _Case(policy, state, now)


def _operator(case: _Case, action: Action, words: str, by: str, why: str) -> Answer:
    if case.state.decision is not None:
        return case.state, case.state.decision
    return case.finish(action, Reason.OPERATOR, f"{words}: {why}" if why else words, by)


def _paused_words(paused: Pause) -> str:
    return f"paused by {paused.by}" + (f": {paused.why}" if paused.why else "")


def _first_step(case: _Case) -> Answer:
    steps, treatment = case.policy.steps, case.state.treatment
    if case.state.paused is not None:
        return case.stay(Action.HOLD, Reason.PAUSED, _paused_words(case.state.paused))
    if not evidence_steps(case.policy):
        words = "without evidence: the policy's only step is 100"
        return case.finish(Action.PROMOTE, Reason.WITHOUT_EVIDENCE, words)
    return case.advance(Reason.FIRST_STEP, f"{treatment} starts with {steps[0]:g} %")


def _proven(case: _Case) -> Answer:
    policy, treatment = case.policy, case.state.treatment
    in_step = case.seconds_since(case.state.split_applied_at or case.now)
    if in_step < policy.minimum_step_seconds:
        words = f"proven; the step goes on for {policy.minimum_step_seconds - in_step:.0f} s"
        return _linger(case, Reason.MINIMUM_TIME, words)
    following = case.state.step + 1
    if following < evidence_steps(policy):
        if case.overdue():
            return _wait(case, Reason.PROVEN, case.words())
        words = f"{treatment} goes on to {policy.steps[following]:g} %: {case.words()}"
        return case.advance(Reason.PROVEN, words)
    soaked = case.seconds_since(case.state.proven_at or case.now)
    if soaked < policy.soak_seconds:
        words = f"proven; soaking for {policy.soak_seconds - soaked:.0f} s more"
        return _linger(case, Reason.SOAKING, words)
    return case.finish(Action.PROMOTE, Reason.PROVEN, case.words())


def _linger(case: _Case, reason: Reason, words: str) -> Answer:
    """Nothing but time is missing: only the deadline ends that."""
    return _wait(case, reason, words) if case.overdue() else case.stay(Action.HOLD, reason, words)


def _wait(case: _Case, reason: Reason, words: str) -> Answer:
    policy = case.policy
    if case.overdue():
        reason = Reason.DEADLINE
        words = f"the rollout is not over after {policy.deadline_seconds:g} s: {words}"
    elif case.seconds_since(case.state.step_started_at) >= policy.maximum_wait_seconds:
        reason = Reason.INCONCLUSIVE
        words = f"not decided after {policy.maximum_wait_seconds:g} s at this step: {words}"
    else:
        return case.stay(Action.HOLD, reason, words)
    if policy.on_inconclusive is OnInconclusive.ROLLBACK:
        return case.finish(Action.ROLL_BACK, reason, words)
    return case.stay(Action.ASK, reason, words)
