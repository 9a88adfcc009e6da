"""How the state document changes as a release goes on. Pure: document in, document out."""

from __future__ import annotations

from datetime import datetime

from weir.document import (
    HISTORY_LENGTH,
    Ending,
    EndpointDocument,
    Holder,
    OperatorAction,
    OperatorRequest,
    Outcome,
    PastRelease,
    Phase,
    Release,
    Settings,
)
from weir.endpoint import Endpoint, Split, Version, assign
from weir.errors import PermanentError
from weir.holding import beating
from weir.rollout import Action, Decision, Reason, RolloutState, restart, split_applied
from weir.spec.release import ReleaseSpec
from weir.window import Window


def reached(document: EndpointDocument, phase: Phase) -> EndpointDocument:
    """The release is in ``phase`` from now on."""
    return _changed(document, release=_release(document).changed(phase=phase))


def with_gateway(document: EndpointDocument, endpoint: Endpoint) -> EndpointDocument:
    """The gateway's port is known."""
    return _changed(document, endpoint=endpoint)


def with_version(document: EndpointDocument, image: str) -> EndpointDocument:
    """The release's version is part of the endpoint, at no traffic.

    Other content under the name of the version that is kept is no way back any more. Raises
    UserError ``endpoint.full`` for a seventh.
    """
    release = _release(document)
    version = version_of(release.spec, image, release.digest)
    present = document.endpoint.version(version.name)
    if present == version:
        return document
    return _changed(
        document,
        endpoint=document.endpoint.with_version(version),
        previous=None if document.previous == version.name else document.previous,
    )


def version_of(spec: ReleaseSpec, image: str, digest: str) -> Version:
    """The version that a release of ``spec`` brings."""
    return Version(
        name=spec.version_name,
        image=image,
        release=digest,
        model=f"{spec.model.name}:{spec.model.version}",
        deployment=spec.deployment,
        inference=spec.inference,
    )


def with_rollout(document: EndpointDocument, rollout: RolloutState) -> EndpointDocument:
    return _changed(document, release=_release(document).changed(rollout=rollout))


def alive(document: EndpointDocument, now: datetime) -> EndpointDocument:
    """The holder works at ``now``; nothing else changes."""
    release = _release(document)
    if release.holder is None:
        return document
    return _changed(document, release=release.changed(holder=beating(release.holder, now)))


def still_removing(document: EndpointDocument, now: datetime) -> EndpointDocument:
    """Who removes something works at ``now``; nothing else changes."""
    removal = document.removal
    if removal is None:
        return document
    return _changed(document, removal=removal.changed(holder=beating(removal.holder, now)))


def observed(
    document: EndpointDocument,
    rollout: RolloutState,
    window: Window | None,
    now: datetime,
    decision: Decision | None = None,
    *,
    answered: OperatorRequest | None = None,
) -> EndpointDocument:
    """Evidence grew by ``window`` and led to ``decision``; the holder is alive.

    ``answered`` is the person's request that this takes up.
    """
    release = _release(document)
    return _changed(
        document,
        release=release.changed(
            rollout=rollout,
            holder=beating(release.holder, now) if release.holder else None,
            last_window=window or release.last_window,
            decision=decision or release.decision,
            requests=tuple(one for one in release.requests if one != answered),
        ),
    )


def decided(document: EndpointDocument, decision: Decision) -> EndpointDocument:
    """What ``decision`` intends: the split to come, and the ending if it is final."""
    release = _release(document)
    control = document.endpoint.control
    if decision.action is Action.PROMOTE:
        return promoted(document, str(decision.reason), decision.words)
    if control is None:
        return document
    if decision.action is Action.ROLL_BACK:
        ended_so = ended_as(
            document,
            Ending(
                outcome=Outcome.ROLLED_BACK,
                reason=str(decision.reason),
                words=decision.words,
            ),
        )
        return intended(ended_so, Split.everything_to(control))
    if decision.action is Action.ADVANCE:
        known = [version.name for version in document.endpoint.versions]
        split = assign(control, {release.version: decision.percentile}, known)
        return intended(document, split)
    return document


def promoted(document: EndpointDocument, reason: str, words: str) -> EndpointDocument:
    """The release's version becomes control and default, and is to take everything.

    The control of before is kept for a quick way back, the one kept until now is to go. What the
    release file says of the endpoint itself holds from now on.
    """
    release = _release(document)
    before, auth_enabled = document.endpoint.control, release.spec.endpoint.auth_enabled
    endpoint = document.endpoint.with_control(release.version)
    if auth_enabled is not None:
        endpoint = endpoint.model_copy(update={"auth_enabled": auth_enabled})
    superfluous = document.previous
    keeps_none = superfluous is None or superfluous in (release.version, before)
    return intended(
        _changed(
            document,
            endpoint=endpoint,
            previous=before if before != release.version else document.previous,
            retiring=tuple(
                name
                for name in (*document.retiring, *(() if keeps_none else (superfluous,)))
                if name != release.version
            ),
            settings=Settings(spec=release.spec, directory=release.directory),
            release=release.changed(
                ending=Ending(outcome=Outcome.PROMOTED, reason=reason, words=words)
            ),
        ),
        Split.everything_to(release.version),
    )


def ended_as(document: EndpointDocument, ending: Ending) -> EndpointDocument:
    """The release is to end as ``ending`` says, which is not promotion.

    What traffic its version takes goes back to the control. Unless it was only to be deployed, the
    version is to go; one of the same name that an earlier release brought stays.
    """
    release, control = _release(document), document.endpoint.control
    ended_so = _changed(document, release=release.changed(ending=ending))
    present = document.endpoint.version(release.version)
    brought = present is not None and present.release == release.digest
    if ending.outcome is Outcome.DEPLOYED or not brought:
        return ended_so
    ended_so = _changed(
        ended_so,
        previous=None if document.previous == release.version else document.previous,
        retiring=(*document.retiring, release.version),
    )
    split = document.endpoint.split
    if control is not None and split is not None and split.percentile(release.version):
        return intended(ended_so, Split.everything_to(control))
    return ended_so


def intended(document: EndpointDocument, split: Split, *, anew: bool = False) -> EndpointDocument:
    """``split`` is to become effective; nothing is acknowledged yet.

    ``anew`` asks for it also where it was acknowledged before.
    """
    acknowledged = document.split_applied_at is not None
    if document.endpoint.split == split and acknowledged and not anew:
        return document
    return _changed(document, endpoint=document.endpoint.with_split(split), split_applied_at=None)


def acknowledged(document: EndpointDocument, at: datetime) -> EndpointDocument:
    """The gateway follows ``endpoint.split`` since ``at``; a running rollout counts from there."""
    release = document.release
    if release is not None and release.rollout is not None and release.ending is None:
        release = release.changed(rollout=split_applied(release.rollout, at))
    return _changed(document, split_applied_at=at, release=release)


def without_version(document: EndpointDocument, name: str) -> EndpointDocument:
    """``name`` is gone from the platform."""
    return _changed(
        document,
        endpoint=document.endpoint.without_version(name),
        previous=None if document.previous == name else document.previous,
        retiring=tuple(version for version in document.retiring if version != name),
    )


def ended(document: EndpointDocument, now: datetime) -> EndpointDocument:
    """The release is history."""
    release = _release(document)
    if release.ending is None:
        raise PermanentError(
            "release.without_outcome",
            f"the release of {release.version} has no outcome yet and cannot end.",
            remedy="Release its file again.",
            where=f"endpoint {document.endpoint.name}",
        )
    past = PastRelease(
        id=release.id,
        version=release.version,
        digest=release.digest,
        outcome=release.ending.outcome,
        reason=release.ending.reason,
        words=release.ending.words,
        started_at=release.started_at,
        ended_at=now,
    )
    return _changed(document, release=None, history=(*document.history, past)[-HISTORY_LENGTH:])


def held_by(document: EndpointDocument, holder: Holder) -> EndpointDocument:
    """``holder`` works on the release from now on.

    What was asked of its predecessor in vain is void, but for what asks for less traffic.
    """
    release = _release(document)
    careful = (OperatorAction.ROLL_BACK, OperatorAction.PAUSE)
    return _changed(
        document,
        release=release.changed(
            holder=holder,
            run=holder.run or release.run,
            requests=tuple(one for one in release.requests if one.action in careful),
        ),
    )


def unpaused(document: EndpointDocument, now: datetime) -> EndpointDocument:
    """No pause is on or asked for; the rollout's waiting times start anew."""
    release = _release(document)
    release = release.changed(
        requests=tuple(one for one in release.requests if one.action is not OperatorAction.PAUSE)
    )
    if release.rollout is not None and release.ending is None:
        release = release.changed(rollout=restart(release.rollout, now))
    return _changed(document, release=release)


def left(document: EndpointDocument) -> EndpointDocument:
    """Nobody works on the release any more; whoever comes next goes on from here."""
    if document.release is None:
        return document
    return _changed(document, release=document.release.changed(holder=None))


def asked(document: EndpointDocument, request: OperatorRequest) -> EndpointDocument:
    """A person asks something of the release under way."""
    release = _release(document)
    return _changed(document, release=release.changed(requests=(*release.requests, request)))


def withdrawn(document: EndpointDocument) -> EndpointDocument:
    """The release ends before its rollout if a person asked for that, and goes on otherwise."""
    release = _release(document)
    back = release.asked_back
    if back is None or release.rollout is not None or release.ending is not None:
        return document
    words = f"ended before its rollout, on the word of {back.by}"
    return ended_as(document, Ending(outcome=Outcome.FAILED, reason=Reason.OPERATOR, words=words))


def _release(document: EndpointDocument) -> Release:
    if document.release is None:
        raise PermanentError(
            "release.none",
            "no release is under way.",
            remedy="Start one: weir release FILE.",
            where=f"endpoint {document.endpoint.name}",
        )
    return document.release


def _changed(document: EndpointDocument, **changes: object) -> EndpointDocument:
    changed: EndpointDocument = document.changed(**changes)
    return changed
