"""One look at telemetry: read a window, decide, record. The loop around it is the flow's."""

from __future__ import annotations

from datetime import datetime, timedelta

from weir import rollout
from weir.document import EndpointDocument, OperatorAction, OperatorRequest, Release
from weir.endpoint import Split
from weir.errors import PermanentError, WeirError
from weir.evidence.counting import counted
from weir.ports import Platform
from weir.release import transitions
from weir.release.ledger import Ledger
from weir.release.steps import apply_split, flush_window, is_effective
from weir.rollout import Action, Decision, RolloutState
from weir.window import VersionCounts, Window

REQUEST_POLL_SECONDS = 0.5


def observe(platform: Platform, ledger: Ledger) -> Decision:
    """Wait for the next window, decide on it, and record what was decided.

    A request of a person goes first. The window's counts and the state that they led to are
    written in one compare-and-swap, so that a crash loses or repeats neither.
    """
    restore_step(platform, ledger)
    flush_window(platform, ledger)
    release = ledger.release()
    if release.next_request is not None:
        return _answer(platform, ledger, release, release.next_request)
    state = rollout_of(release)
    end = _await_window(platform, ledger, state, release)
    window, trouble = _read(platform, ledger, state, release, end)
    now = platform.clock.now()
    if window is not None:
        window = window.model_copy(update={"decided_at": now, "happened": state.happened})
    state, decision = rollout.decide(
        release.spec.rollout, state, window, now, telemetry_error=trouble
    )
    return _record(platform, ledger, state, decision, window)


def restore_step(platform: Platform, ledger: Ledger) -> None:
    """The gateway follows the rollout's step, also after a crash, a pause or a hand's change."""
    document = ledger.read()
    release = ledger.release()
    state = release.rollout
    if release.ending is not None or state is None or state.step < 0:
        return
    wanted = Split.of(rollout.percentiles(release.spec.rollout, state))
    applied = document.split_applied_at is not None and state.split_applied_at is not None
    if applied and document.endpoint.split == wanted and is_effective(platform, document):
        return
    ledger.update(lambda document: transitions.intended(document, wanted, anew=True))
    apply_split(platform, ledger)


def _await_window(
    platform: Platform, ledger: Ledger, state: RolloutState, release: Release
) -> datetime:
    """Sleep until a whole window lies before now - lag; returns its end.

    A person's request ends the wait early. Raises PermanentError ``clock.set_back`` when the next
    window lies so far ahead that nobody would see harm until then.
    """
    policy = release.spec.rollout
    lag_seconds = policy.lag_seconds
    lag = timedelta(seconds=platform.telemetry.lag_seconds if lag_seconds is None else lag_seconds)
    start = rollout.next_window_start(state)
    if start is None:
        if state.paused is not None:
            platform.clock.sleep(REQUEST_POLL_SECONDS)
        return platform.clock.now()
    window = timedelta(seconds=policy.window_seconds)
    due = start + window + lag
    if state.telemetry_errors:
        due = max(due, platform.clock.now() + window)
    patience = (window + lag).total_seconds()
    ahead = (start - platform.clock.now()).total_seconds()
    if ahead > patience:
        raise PermanentError(
            "clock.set_back",
            f"the clock was set back by at least {ahead:.0f} s; requests of before and after cannot"
            " be told apart until it has caught up.",
            remedy=f"Set the clock right, or wait, then weir resume {ledger.endpoint}.",
            where=f"endpoint {ledger.endpoint}",
        )
    while patience > 0 and (remaining := (due - platform.clock.now()).total_seconds()) > 0:
        if ledger.release().requests:
            break
        pause = min(remaining, patience, REQUEST_POLL_SECONDS)
        platform.clock.sleep(pause)
        patience -= pause
    return max(start, platform.clock.now() - lag)


def _read(
    platform: Platform, ledger: Ledger, state: RolloutState, release: Release, end: datetime
) -> tuple[Window | None, str]:
    start = rollout.next_window_start(state)
    if start is None or state.split_applied_at is None or end <= start:
        return None, ""
    split = ledger.read().endpoint.split
    try:
        versions = platform.telemetry.read(ledger.endpoint, start, end, state.split_applied_at)
    except WeirError as error:
        return None, str(error)
    policy = release.spec.rollout
    hanging = platform.traffic.in_flight(ledger.endpoint)
    named = {*versions, *(name for name, count in hanging.items() if count)}
    window = Window(
        id=rollout.next_window_id(state),
        start=start,
        end=end,
        split=split.model_dump() if split else {},
        versions={
            name: counted(versions.get(name, VersionCounts()), policy.failure_classes).model_copy(
                update={"in_flight": hanging.get(name, 0)}
            )
            for name in sorted(named)
        },
    )
    return window, ""


def _answer(
    platform: Platform, ledger: Ledger, release: Release, request: OperatorRequest
) -> Decision:
    """Take up what a person asked: pause, resume, promote or roll back."""
    state, decision = answer(release, request, platform.clock.now())
    return _record(platform, ledger, state, decision, None, answered=request)


def answer(
    release: Release, request: OperatorRequest, now: datetime
) -> tuple[RolloutState, Decision]:
    """The rollout after a person's request."""
    state, policy = rollout_of(release), release.spec.rollout
    match request.action:
        case OperatorAction.PROMOTE:
            return rollout.operator_promotes(policy, state, request.by, now)
        case OperatorAction.ROLL_BACK:
            return rollout.operator_rolls_back(policy, state, request.by, now)
        case OperatorAction.PAUSE:
            state = rollout.pause(state, request.by, now)
        case OperatorAction.RESUME:
            state = rollout.resume(state, now)
    return rollout.decide(policy, state, None, now)


def _record(
    platform: Platform,
    ledger: Ledger,
    state: RolloutState,
    decision: Decision,
    window: Window | None,
    answered: OperatorRequest | None = None,
) -> Decision:
    now = platform.clock.now()

    def change(document: EndpointDocument) -> EndpointDocument:
        if document.release is not None and _is_overtaken(document.release, decision, answered):
            return document
        document = transitions.observed(document, state, window, now, decision, answered=answered)
        return transitions.decided(document, decision)

    written = ledger.update(change).release
    if written is not None and _is_overtaken(written, decision, answered):
        assert written.next_request is not None
        return _answer(platform, ledger, written, written.next_request)
    return decision


def _is_overtaken(release: Release, decision: Decision, answered: OperatorRequest | None) -> bool:
    """Whether a person asked for something while ``decision``, to give more traffic, was made."""
    gives_more = decision.action in (Action.ADVANCE, Action.PROMOTE)
    others = [one for one in release.requests if one != answered]
    return gives_more and bool(others) and release.ending is None


def rollout_of(release: Release) -> RolloutState:
    """The release's rollout. Raises PermanentError ``release.no_rollout``."""
    if release.rollout is None:
        raise PermanentError(
            "release.no_rollout",
            f"the rollout of {release.version} has not begun.",
            remedy="Release its file again.",
        )
    return release.rollout
