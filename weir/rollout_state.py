"""Where a rollout stands, and the changes to it that decide nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from weir.decision import Decision, Tally
from weir.evidence.counting import counted
from weir.evidence.guardrail import Evidence, Guardrail
from weir.evidence.guardrails import guardrails_of
from weir.evidence.mixture import mismatch
from weir.happening import Happening, What
from weir.spec.rollout import RolloutPolicy
from weir.window import VersionCounts, Window

PERCENTILE_TOLERANCE = 0.005
IDLE_WINDOWS = 5


class Pause(BaseModel):
    """A person stopped the ramp. Evidence is still gathered, and harm still rolls back."""

    model_config = ConfigDict(frozen=True)

    by: str
    at: datetime
    why: str = ""


class Pending(BaseModel):
    """Windows from ``since`` on, added up by version, in which one version has no request."""

    model_config = ConfigDict(frozen=True)

    since: datetime
    counts: Mapping[str, VersionCounts]


class RolloutState(BaseModel):
    """Where a rollout stands. JSON in and out without loss.

    ``step`` indexes the policy's steps, -1 before the first split. ``step_started_at`` is when the
    step was decided (the wait clock), ``split_applied_at`` when its split took effect, None while
    the change is under way. ``observed_until`` is the end of the last window. ``proven_at`` is
    since when the current gate has been passed without a break. Tallies are by version, and so are
    the requests ``in_flight`` at the last window; the windows behind ``step_counts`` took
    ``step_seconds``. ``pending`` are windows that wait until both versions have requests; windows
    of two splits never become one. ``gate_log10_e`` is how far each guardrail had come when the
    step was decided.
    ``telemetry_errors`` counts the consecutive ones. ``happened`` is what the next window's record
    has to tell beside its counts. ``decision`` is the final one, latched.
    """

    model_config = ConfigDict(frozen=True)

    control: str
    treatment: str
    started_at: datetime
    step: int = -1
    step_started_at: datetime
    split_applied_at: datetime | None = None
    observed_until: datetime | None = None
    last_window_id: int = 0
    evidence: Mapping[str, Evidence] = Field(default_factory=dict)
    pending: Pending | None = None
    gate_log10_e: Mapping[str, float] = Field(default_factory=dict)
    step_counts: Mapping[str, Tally] = Field(default_factory=dict)
    step_seconds: float = 0.0
    in_flight: Mapping[str, int] = Field(default_factory=dict)
    total_counts: Mapping[str, Tally] = Field(default_factory=dict)
    telemetry_errors: int = 0
    proven_at: datetime | None = None
    paused: Pause | None = None
    paused_seconds: float = 0.0
    happened: tuple[Happening, ...] = ()
    decision: Decision | None = None

    @field_validator("evidence", mode="wrap")
    @classmethod
    def _evidence_of_this_engine(
        cls, given: Any, read: ValidatorFunctionWrapHandler
    ) -> Mapping[str, Evidence]:
        """Evidence that another version of weir wrote is none, and no reason to lose the document.

        A decision on it ends in ``evidence.mismatch``; a person's word needs no evidence.
        """
        try:
            found: Mapping[str, Evidence] = read(given)
        except ValidationError:
            return {}
        return found

    def changed(self, **changes: Any) -> RolloutState:
        """A copy with ``changes``, which are taken as they are."""
        return self.model_copy(update=changes)

    def noting(self, what: What, at: datetime, **facts: Any) -> RolloutState:
        """A copy that remembers what happened. A split that is applied again takes its place."""
        told, new = self.happened, Happening(what=what, at=at, **facts)
        if told and what is What.APPLIED and (told[-1].what, told[-1].step) == (what, new.step):
            told = told[:-1]
        return self.changed(happened=(*told, new))


def begin(policy: RolloutPolicy, control: str, treatment: str, now: datetime) -> RolloutState:
    """A rollout whose treatment is checked and takes no traffic yet."""
    evidence = {guardrail.name: guardrail.start() for guardrail in guardrails_of(policy)}
    state = RolloutState(
        control=control,
        treatment=treatment,
        started_at=now,
        step_started_at=now,
        evidence=evidence,
    )
    return state.noting(What.BEGUN, now)


def restart(state: RolloutState, now: datetime) -> RolloutState:
    """Every waiting time starts anew, without a pause; the evidence stays."""
    anew = state.changed(paused=None, started_at=now, step_started_at=now, paused_seconds=0.0)
    return anew.noting(What.BEGUN, now)


def percentiles(policy: RolloutPolicy, state: RolloutState) -> dict[str, float]:
    """The split that has to be effective now, summing to 100. A version at 0 is left out."""
    share = treatment_percentile(policy, state)
    split = {state.control: round(100 - share, 2), state.treatment: share}
    return {version: percentile for version, percentile in split.items() if percentile}


def split_applied(state: RolloutState, at: datetime) -> RolloutState:
    """The gateway acknowledged ``percentiles``: every request from ``at`` on follows them.

    Also after a crash: requests begun before ``at`` are then no evidence any more.
    """
    return state.changed(split_applied_at=at).noting(What.APPLIED, at, step=state.step)


def next_window_start(state: RolloutState) -> datetime | None:
    """Where the next window starts: nothing twice, nothing from before the split.

    None while no split is effective.
    """
    if state.split_applied_at is None:
        return None
    return max(state.observed_until or state.split_applied_at, state.split_applied_at)


def next_window_id(state: RolloutState) -> int:
    """Ids rise by one, from 1."""
    return state.last_window_id + 1


def treatment_percentile(policy: RolloutPolicy, state: RolloutState) -> float:
    """The treatment's share in percent that has to be effective now."""
    if state.decision is not None:
        return state.decision.percentile
    return policy.steps[state.step] if state.step >= 0 else 0.0


def pause(state: RolloutState, by: str, now: datetime, why: str = "") -> RolloutState:
    """Stop the ramp where it is. A finished or paused rollout stays as it is."""
    if state.decision is not None or state.paused is not None:
        return state
    paused = Pause(by=by, at=now, why=why)
    return state.changed(paused=paused).noting(What.PAUSED, now, by=by, why=why)


def resume(state: RolloutState, now: datetime) -> RolloutState:
    """Go on; the time of the pause counts neither for the step's wait nor for the deadline."""
    if state.paused is None:
        return state
    paused = max(now - state.paused.at, timedelta())
    return state.changed(
        paused=None,
        paused_seconds=state.paused_seconds + paused.total_seconds(),
        step_started_at=state.step_started_at + paused,
    ).noting(What.RESUMED, now)


def is_overdue(policy: RolloutPolicy, state: RolloutState, now: datetime) -> bool:
    """Whether the rollout should be over by now; the time of pauses does not count."""
    waited = (now - state.started_at).total_seconds() - state.paused_seconds
    return waited >= policy.deadline_seconds


def is_repeated(state: RolloutState, window: Window) -> bool:
    """Whether the window, or a part of it, was seen before: then it counts for nothing."""
    overlaps = state.observed_until is not None and window.start < state.observed_until
    return window.id <= state.last_window_id or overlaps


def observe(
    policy: RolloutPolicy, state: RolloutState, window: Window | None, telemetry_error: str = ""
) -> RolloutState:
    """The state with ``window`` counted, once, if it is evidence at all; see ``decide``."""
    if telemetry_error:
        return state.changed(telemetry_errors=state.telemetry_errors + 1)
    if window is None or state.split_applied_at is None:
        return state
    if is_repeated(state, window):
        return state
    seen = {
        "last_window_id": window.id,
        "observed_until": window.end,
        "telemetry_errors": 0,
        "happened": (),
    }
    if window.start < state.split_applied_at or not _same_split(policy, state, window.split):
        return state.changed(**seen)
    control = counted(window.of(state.control), policy.failure_classes)
    treatment = counted(window.of(state.treatment), policy.failure_classes)

    def added(tallies: Mapping[str, Tally]) -> dict[str, Tally]:
        return {
            name: tallies.get(name, Tally()).plus(counts.requests, counts.failures)
            for name, counts in ((state.control, control), (state.treatment, treatment))
        }

    return state.changed(
        **seen,
        **_judged(policy, state, control, treatment, window.start),
        step_counts=added(state.step_counts),
        step_seconds=state.step_seconds + (window.end - window.start).total_seconds(),
        in_flight={state.control: control.in_flight, state.treatment: treatment.in_flight},
        total_counts=added(state.total_counts),
    )


def _judged(
    policy: RolloutPolicy,
    state: RolloutState,
    control: VersionCounts,
    treatment: VersionCounts,
    start: datetime,
) -> dict[str, Any]:
    """The evidence after both versions' counts, or the counts themselves while one has none.

    What needs no control does not wait for one.
    """
    guardrails, step = guardrails_of(policy), state.step
    held = {each.name: _held(state, each) for each in guardrails}
    alone = {
        each.name: each.update(held[each.name], control, treatment, step)
        for each in guardrails
        if not each.compares
    }
    if state.pending is not None:
        start = state.pending.since
        control = state.pending.counts[state.control].plus(control)
        treatment = state.pending.counts[state.treatment].plus(treatment)
    if not control.requests or not treatment.requests:
        both = {state.control: control, state.treatment: treatment}
        return {"evidence": {**held, **alone}, "pending": Pending(since=start, counts=both)}
    compared = {
        each.name: each.update(held[each.name], control, treatment, step)
        for each in guardrails
        if each.compares
    }
    return {"evidence": {**held, **alone, **compared}, "pending": None}


def idle_versions(policy: RolloutPolicy, state: RolloutState) -> tuple[str, ...]:
    """The versions without a request for so long that comparing stands still."""
    if state.pending is None or state.observed_until is None:
        return ()
    waited = (state.observed_until - state.pending.since).total_seconds()
    if waited < IDLE_WINDOWS * policy.window_seconds:
        return ()
    return tuple(name for name, counts in state.pending.counts.items() if not counts.requests)


def _held(state: RolloutState, guardrail: Guardrail) -> Evidence:
    found = state.evidence.get(guardrail.name)
    if found is None:
        raise mismatch()
    return found


def _same_split(policy: RolloutPolicy, state: RolloutState, split: Mapping[str, float]) -> bool:
    wanted = percentiles(policy, state)
    return all(
        abs(wanted.get(version, 0) - split.get(version, 0)) <= PERCENTILE_TOLERANCE
        for version in {*wanted, *split}
    )
