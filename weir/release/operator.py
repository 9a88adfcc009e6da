"""What a person can do to an endpoint: pause, resume, promote, roll back."""

from __future__ import annotations

from weir import rollout
from weir.document import (
    HISTORY_LENGTH,
    EndpointDocument,
    OperatorAction,
    OperatorRequest,
    Outcome,
    PastRelease,
    Release,
)
from weir.endpoint import Split
from weir.errors import PermanentError, StateConflict, TemporaryError
from weir.holding import this_process
from weir.ports import Platform
from weir.release import beginning, steps, transitions
from weir.release.ledger import ATTEMPTS, Change, contended, unknown_endpoint
from weir.release.observing import answer, rollout_of
from weir.rollout import Reason

POLL_SECONDS = 0.25


def read(platform: Platform, endpoint: str) -> EndpointDocument:
    """The endpoint's document. Raises UserError ``endpoint.unknown``."""
    document = platform.state.read(endpoint)
    if document is None:
        raise unknown_endpoint(endpoint, platform.state.endpoints())
    return document


def ask(platform: Platform, endpoint: str, action: OperatorAction, by: str) -> bool:
    """Leave a request for the process that works on the release.

    Returns False when no living process does. Raises PermanentError ``release.none`` without a
    release under way; only a rollback can be asked for before the rollout.
    """
    document = read(platform, endpoint)
    if document.release is None or action is not OperatorAction.ROLL_BACK:
        _require_rollout(document)
    if not platform.state.holder_is_alive(document, platform.clock.now()):
        return False
    now = platform.clock.now()
    write(platform, endpoint, lambda document: transitions.asked(document, action, by, now))
    return True


def await_answer(platform: Platform, endpoint: str, timeout_seconds: float) -> bool:
    """Wait until the request has been taken up; False when that takes longer."""
    release = read(platform, endpoint).release
    waited = 0.0
    while waited < timeout_seconds:
        document = read(platform, endpoint)
        now = document.release
        if now is None or release is None or now.id != release.id or now.request is None:
            return True
        platform.clock.sleep(POLL_SECONDS)
        waited += POLL_SECONDS
    return False


def pause_now(platform: Platform, endpoint: str, by: str) -> None:
    """Pause a rollout that no process works on: whoever takes it over waits for resume."""
    now = platform.clock.now()

    def paused(document: EndpointDocument) -> EndpointDocument:
        release = _require_rollout(document)
        return transitions.with_rollout(document, rollout.pause(rollout_of(release), by, now))

    write(platform, endpoint, paused)


def roll_back_now(
    platform: Platform, endpoint: str, by: str, release_id: str | None = None
) -> PastRelease:
    """Put everything on the control, whoever holds the release, and end it.

    Needs neither telemetry nor the process that ran the rollout. ``release_id`` is the release
    that the person saw: one that has ended since is only told. Raises PermanentError
    ``release.none`` without a release.
    """
    document = read(platform, endpoint)
    ended = next((past for past in document.history if past.id == release_id), None)
    if ended is not None:
        return ended
    if document.release is None:
        raise no_release(endpoint)
    return _decide_by_hand(platform, endpoint, promote=False, by=by)


def promote_now(platform: Platform, endpoint: str, by: str) -> PastRelease:
    """Promote the version under release on a person's word, and end the release."""
    release = _require_rollout(read(platform, endpoint))
    _require_ready(platform, endpoint, release.version)
    return _decide_by_hand(platform, endpoint, promote=True, by=by)


def _decide_by_hand(platform: Platform, endpoint: str, *, promote: bool, by: str) -> PastRelease:
    ledger = beginning.seize(platform, endpoint, this_process("", platform.clock.now()))
    release = ledger.release()
    if release.ending is None and release.rollout is None:
        steps.give_up(ledger, Reason.OPERATOR, f"ended before its rollout, on the word of {by}")
    elif release.ending is None:
        now = platform.clock.now()
        action = OperatorAction.PROMOTE if promote else OperatorAction.ROLL_BACK
        state, decision = answer(release, OperatorRequest(action=action, by=by, at=now), now)
        ledger.update(
            lambda document: transitions.decided(
                transitions.observed(document, state, None, now, decision), decision
            )
        )
    steps.apply_split(platform, ledger)
    steps.retire(platform, ledger)
    return steps.finish(platform, ledger).history[-1]


def return_to_previous(
    platform: Platform, name: str, by: str, *, also_after_rollback: bool = False
) -> PastRelease:
    """The version kept from before the last promotion becomes the control again.

    Typed twice it does not swing back: after a rollback it is refused, with PermanentError
    ``rollback.already_back``, unless ``also_after_rollback``. Running it again after a failure
    ends what it began. Raises PermanentError ``rollback.nothing_to_return_to``, TemporaryError
    ``version.not_ready``.
    """
    document = read(platform, name)
    previous, control = document.previous, document.endpoint.control
    last = document.history[-1] if document.history else None
    if last is not None and last.outcome is Outcome.ROLLED_BACK and not also_after_rollback:
        if document.split_applied_at is None:
            _make_effective(platform, name)
            return last
        raise PermanentError(
            "rollback.already_back",
            f"{last.version} was rolled back at {last.ended_at:%H:%M:%S} UTC, and nothing was"
            " released since.",
            remedy=f"If {previous} is to be the control: weir rollback {name} --to-previous."
            if previous
            else "There is no earlier version to return to.",
            where=f"endpoint {name}",
        )
    if previous is None or control is None:
        raise PermanentError(
            "rollback.nothing_to_return_to",
            "no release is under way, and no earlier version is kept.",
            remedy="Release the version that you want: weir release FILE.",
            where=f"endpoint {name}",
        )
    _require_ready(platform, name, previous)
    now = platform.clock.now()
    past = PastRelease(
        id=f"back-{document.revision}",
        version=control,
        digest=_digest(document, control),
        outcome=Outcome.ROLLED_BACK,
        reason=Reason.OPERATOR,
        words=f"{previous} is the control again, on the word of {by}",
        started_at=now,
        ended_at=now,
    )

    def back(document: EndpointDocument) -> EndpointDocument:
        if document.release is not None or document.endpoint.control != control:
            raise contended(name)
        swapped = document.changed(
            endpoint=document.endpoint.with_control(previous),
            previous=control,
            history=(*document.history, past)[-HISTORY_LENGTH:],
        )
        return transitions.intended(swapped, Split.everything_to(previous))

    write(platform, name, back)
    _make_effective(platform, name)
    return past


def _make_effective(platform: Platform, name: str) -> None:
    at = platform.traffic.apply(read(platform, name).endpoint)
    write(platform, name, lambda document: transitions.acknowledged(document, at))


def _require_ready(platform: Platform, endpoint: str, version: str) -> None:
    status = platform.workloads.status(endpoint, version)
    if status is None or status.ready() == 0:
        raise TemporaryError(
            "version.not_ready",
            f"version {version} has no ready replica.",
            remedy=f"See weir logs {endpoint} {version}, then try again.",
            where=f"endpoint {endpoint}",
        )


def _digest(document: EndpointDocument, version: str) -> str:
    present = document.endpoint.version(version)
    return present.release if present else ""


def _require_rollout(document: EndpointDocument) -> Release:
    if document.release is None or document.release.rollout is None:
        raise no_release(document.endpoint.name)
    return document.release


def no_release(endpoint: str) -> PermanentError:
    return PermanentError(
        "release.none",
        "no rollout is under way.",
        remedy="Start one: weir release FILE.",
        where=f"endpoint {endpoint}",
    )


def write(platform: Platform, endpoint: str, change: Change) -> EndpointDocument:
    """Write ``change`` of the newest document, whoever holds it. Raises StateConflict."""
    for _ in range(ATTEMPTS):
        try:
            return platform.state.write(change(read(platform, endpoint)))
        except StateConflict:
            continue
    raise contended(endpoint)
