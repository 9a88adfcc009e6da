"""How a release begins: it is new, it is taken over, it is refused, or it has ended before."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from weir.document import EndpointDocument, Holder, Outcome, PastRelease
from weir.errors import EndpointBusy, PermanentError, PlatformMissing, StateConflict
from weir.holding import same_process
from weir.ports import Platform, Say, unsaid
from weir.release import transitions
from weir.release.ledger import ATTEMPTS, Ledger, contended, living_holder, unknown_endpoint
from weir.release.mending import mend
from weir.release.opening import opened
from weir.spec.load import Loaded


@dataclass(frozen=True)
class Begun:
    """Either ``ledger``, for a release to be worked on, or ``past``, one that has ended already."""

    ledger: Ledger | None
    past: PastRelease | None = None
    taken_over: bool = False
    mended: tuple[str, ...] = ()
    """What was put back of an endpoint whose release had ended before, in words."""


def begin(
    platform: Platform,
    loaded: Loaded,
    holder: Holder,
    *,
    again: bool = False,
    deploy_only: bool = False,
    say: Say = unsaid,
) -> Begun:
    """Take the endpoint for the release in ``loaded``.

    The same content that has ended on this endpoint is not released twice unless ``again``.
    Raises EndpointBusy when a living process holds another release, or this one, and
    PermanentError ``state.lost`` when something runs there and no document tells what.
    """
    name = loaded.spec.endpoint.name
    for _ in range(ATTEMPTS):
        document = _document(platform, name)
        if document is None:
            # Where the document is to be kept may have to be made first.
            platform.clusters.ensure(say)
            _refuse_if_lost(platform, name)
        else:
            refuse_if_held(platform, document, holder)
            past = ended_before(document, loaded, deploy_only=deploy_only)
            if past is not None and not (again and past.outcome is not Outcome.PROMOTED):
                catch_up(platform, document)
                return Begun(ledger=None, past=past, mended=mend(platform, document))
        wanted = opened(
            document,
            loaded,
            holder,
            uuid.uuid4().hex[:12],
            platform.clock.now(),
            deploy_only=deploy_only,
        )
        try:
            platform.state.write(wanted)
        except StateConflict:
            continue
        running = document.release if document is not None else None
        taken_over = running is not None and running.digest == loaded.digest
        return Begun(Ledger(platform.state, name, holder), taken_over=taken_over)
    raise contended(name)


def _document(platform: Platform, name: str) -> EndpointDocument | None:
    with contextlib.suppress(PlatformMissing):
        return platform.state.read(name)
    return None


def refuse_if_held(platform: Platform, document: EndpointDocument, holder: Holder) -> None:
    """Raise EndpointBusy, naming the holder, if another living process works on the endpoint."""
    held, release = living_holder(platform, document), document.release
    if held is None or same_process(held, holder):
        return
    if release is None or release.holder != held:
        raise EndpointBusy(
            "endpoint.busy",
            f"it is being removed, by {held}.",
            remedy="Wait until that has ended, then run again.",
            where=f"endpoint {document.endpoint.name}",
        )
    raise EndpointBusy(
        "endpoint.busy",
        f"the release of {release.version} is under way, held by {held}.",
        remedy=f"Watch it with weir status {document.endpoint.name} --watch, or end it with weir"
        f" rollback {document.endpoint.name}.",
        where=f"endpoint {document.endpoint.name}",
    )


def catch_up(platform: Platform, document: EndpointDocument) -> None:
    """The gateway follows the document also where a killed command left that undone.

    For a document without a release; of a release the next holder sees to it.
    """
    if document.split_applied_at is not None or document.endpoint.split is None:
        return
    at = platform.traffic.apply(document.endpoint, document.revision)
    with contextlib.suppress(StateConflict):
        platform.state.write(transitions.acknowledged(document, at))


def _refuse_if_lost(platform: Platform, name: str) -> None:
    versions = platform.workloads.versions(name)
    if platform.traffic.scoring_uri(name) is None and not versions:
        return
    running = f"with {', '.join(versions)} behind it" if versions else "without any version"
    raise PermanentError(
        "state.lost",
        f"a gateway runs {running}, and no state document tells what it is to do.",
        remedy=f"Put its document back, or remove what is left: weir delete {name}.",
        where=f"endpoint {name}",
    )


def ended_before(
    document: EndpointDocument, loaded: Loaded, *, deploy_only: bool = False
) -> PastRelease | None:
    """The newest ended release of the same content, if its end still stands."""
    if document.release is not None:
        return None
    past = document.last(loaded.spec.version_name)
    if past is None or past.digest != loaded.digest:
        return None
    if past.outcome is Outcome.PROMOTED:
        return past if document.endpoint.control == past.version else None
    if past.outcome is Outcome.DEPLOYED:
        present = document.endpoint.version(past.version)
        return past if deploy_only and present is not None else None
    return past if past.outcome is Outcome.ROLLED_BACK else None


def take_over(platform: Platform, endpoint: str, holder: Holder, *, unpause: bool) -> Ledger:
    """Hold a release that no living process holds. Raises EndpointBusy when one does.

    ``unpause`` ends a pause, and the rollout's waiting times start anew.
    """
    ledger = _hold(
        platform, endpoint, holder, lambda document: refuse_if_held(platform, document, holder)
    )
    if unpause:
        platform.traffic.reclaim(endpoint)
        now = platform.clock.now()
        ledger.update(lambda document: transitions.unpaused(document, now))
    return ledger


def seize(platform: Platform, endpoint: str, holder: Holder) -> Ledger:
    """Hold the release under way, whoever held it: its process finds out at its next write."""
    return _hold(platform, endpoint, holder, lambda _: None)


def _hold(
    platform: Platform,
    endpoint: str,
    holder: Holder,
    refuse: Callable[[EndpointDocument], None],
) -> Ledger:
    """``refuse`` sees the very document that is taken: a heartbeat or another's take-over that
    comes in between is seen as well."""
    for _ in range(ATTEMPTS):
        document = platform.state.read(endpoint)
        if document is None:
            raise unknown_endpoint(endpoint, platform.state.endpoints())
        refuse(document)
        try:
            platform.state.write(transitions.held_by(document, holder))
        except StateConflict:
            continue
        return Ledger(platform.state, endpoint, holder)
    raise contended(endpoint)
