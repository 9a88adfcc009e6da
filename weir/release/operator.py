"""What a person can do to a release: ask its run, or decide without it."""

from __future__ import annotations

import uuid

from weir import rollout
from weir.document import EndpointDocument, OperatorAction, OperatorRequest, PastRelease, Release
from weir.endpoint import Split
from weir.errors import EndpointBusy, PermanentError, StateConflict, TemporaryError
from weir.holding import this_process
from weir.ports import Platform
from weir.release import beginning, steps, transitions
from weir.release.heartbeat import beating
from weir.release.ledger import ATTEMPTS, Change, contended, living_holder, unknown_endpoint
from weir.release.observing import answer, rollout_of
from weir.rollout import Reason

POLL_SECONDS = 0.25


def read(platform: Platform, endpoint: str) -> EndpointDocument:
    """The endpoint's document. Raises UserError ``endpoint.unknown``."""
    document = platform.state.read(endpoint)
    if document is None:
        raise unknown_endpoint(endpoint, platform.state.endpoints())
    return document


def ask(
    platform: Platform, endpoint: str, action: OperatorAction, by: str
) -> OperatorRequest | None:
    """Leave a request for the process that works on the release.

    None when no living process does. Raises PermanentError ``release.none`` without a release
    under way, and ``release.before_rollout`` for what can only be asked of a rollout.
    """
    document = read(platform, endpoint)
    release = _require_release(document)
    alive = living_holder(platform, document) is not None
    can_wait = action is OperatorAction.RESUME and not alive
    if action is not OperatorAction.ROLL_BACK and not can_wait:
        _require_rollout(release, endpoint)
    if not alive:
        return None
    request = _request(action, by, platform)
    write(platform, endpoint, lambda document: transitions.asked(document, request))
    return request


def await_answer(
    platform: Platform, endpoint: str, request: OperatorRequest, timeout_seconds: float
) -> bool:
    """Wait until ``request`` has been taken up, or overtaken by the end of the release.

    False when that takes longer.
    """
    waited = 0.0
    while waited < timeout_seconds:
        release = read(platform, endpoint).release
        if release is None or release.ending is not None or request not in release.requests:
            return True
        platform.clock.sleep(POLL_SECONDS)
        waited += POLL_SECONDS
    return False


def pause_now(platform: Platform, endpoint: str, by: str) -> None:
    """Pause a rollout that no process works on: whoever takes it over waits for resume."""
    now = platform.clock.now()

    def paused(document: EndpointDocument) -> EndpointDocument:
        release = _require_release(document)
        _require_rollout(release, endpoint)
        return transitions.with_rollout(document, rollout.pause(rollout_of(release), by, now))

    write(platform, endpoint, paused)


def roll_back_now(
    platform: Platform, endpoint: str, by: str, release_id: str | None = None
) -> PastRelease:
    """Put everything on the control, whoever holds the release, and end it.

    Needs neither telemetry nor the process that ran the rollout. ``release_id`` is the release
    that the person saw: one that has ended since is only told. Where the document cannot be
    written, the gateway is set all the same, before the error goes on. Raises PermanentError
    ``release.none`` without a release.
    """
    document = read(platform, endpoint)
    ended = next((past for past in document.history if past.id == release_id), None)
    if ended is not None:
        return ended
    _require_release(document)
    try:
        return _decide_by_hand(platform, endpoint, OperatorAction.ROLL_BACK, by)
    except (EndpointBusy, StateConflict):
        raise
    except PermanentError:
        control = document.endpoint.control
        if control is not None:
            back = document.endpoint.with_split(Split.everything_to(control))
            platform.traffic.reclaim(endpoint)
            platform.traffic.apply(back, document.revision)
        raise


def promote_now(platform: Platform, endpoint: str, by: str) -> PastRelease:
    """Promote the version under release on a person's word, and end the release."""
    release = _require_release(read(platform, endpoint))
    _require_rollout(release, endpoint)
    require_ready(platform, endpoint, release.version)
    return _decide_by_hand(platform, endpoint, OperatorAction.PROMOTE, by)


def _decide_by_hand(
    platform: Platform, endpoint: str, action: OperatorAction, by: str
) -> PastRelease:
    platform.traffic.reclaim(endpoint)
    ledger = beginning.seize(platform, endpoint, this_process("", platform.clock.now()))
    with beating(platform, ledger):
        release = ledger.release()
        if release.ending is None and release.rollout is None:
            steps.give_up(ledger, Reason.OPERATOR, f"ended before its rollout, on the word of {by}")
        elif release.ending is None:
            request = _request(action, by, platform)
            state, decision = answer(release, request, request.at)
            ledger.update(
                lambda document: transitions.decided(
                    transitions.observed(document, state, None, request.at, decision), decision
                )
            )
        steps.apply_split(platform, ledger)
        steps.retire(platform, ledger)
        return steps.finish(platform, ledger).history[-1]


def require_ready(platform: Platform, endpoint: str, version: str) -> None:
    """Raise TemporaryError ``version.not_ready`` unless a replica of ``version`` is ready."""
    status = platform.workloads.status(endpoint, version)
    if status is None or status.ready() == 0:
        raise TemporaryError(
            "version.not_ready",
            f"version {version} has no ready replica.",
            remedy=f"See weir status and weir logs {endpoint} {version}, then try again.",
            where=f"endpoint {endpoint}",
        )


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


def _request(action: OperatorAction, by: str, platform: Platform) -> OperatorRequest:
    return OperatorRequest(id=uuid.uuid4().hex, action=action, by=by, at=platform.clock.now())


def _require_release(document: EndpointDocument) -> Release:
    if document.release is None:
        raise no_release(document.endpoint.name)
    return document.release


def _require_rollout(release: Release, endpoint: str) -> None:
    if release.rollout is None:
        raise PermanentError(
            "release.before_rollout",
            f"the release of {release.version} has not come to its rollout ({release.phase}).",
            remedy=f"Wait for it (weir status {endpoint} --watch), or end it: weir rollback"
            f" {endpoint}.",
            where=f"endpoint {endpoint}",
        )
