"""Removing an endpoint, or one version of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from weir.document import EndpointDocument, Holder, Removal
from weir.endpoint import Endpoint
from weir.errors import EndpointBusy, StateConflict, UserError
from weir.holding import this_process
from weir.ports import Platform
from weir.readiness import await_idle
from weir.release import transitions
from weir.release.beginning import refuse_if_held
from weir.release.heartbeat import beating
from weir.release.housekeeping import forget_unused_images
from weir.release.ledger import ATTEMPTS, RemovalHold, contended
from weir.release.operator import read


def is_lost(platform: Platform, endpoint: str) -> bool:
    """Whether something runs of an endpoint that has no document any more."""
    if platform.state.read(endpoint) is not None:
        return False
    has_gateway = platform.traffic.scoring_uri(endpoint) is not None
    return has_gateway or bool(platform.workloads.versions(endpoint))


def remove_endpoint(platform: Platform, endpoint: str) -> None:
    """Replicas, gateway, keys and state are gone; idempotent.

    Also what is left of an endpoint whose document is lost. Nobody can release to it meanwhile.
    Raises EndpointBusy while a living process releases to it or removes it, and
    ``removal.hold_lost`` when another has taken the removal over.
    """
    if is_lost(platform, endpoint):
        _remove_all(platform, endpoint, lambda: _require_lost(platform, endpoint))
    else:
        hold = _marked(platform, endpoint, None)
        with beating(platform, hold):
            _remove_all(platform, endpoint, hold.newest)
            _forget(platform, hold)
    forget_unused_images(platform)


def _remove_all(platform: Platform, endpoint: str, require: Callable[[], object]) -> None:
    """Whatever runs of the endpoint is gone. ``require`` raises when that is not ours to do."""
    # Replicas first, while the gateway can still answer what they are working on.
    for version in platform.workloads.versions(endpoint):
        require()
        platform.workloads.remove(endpoint, version)
    require()
    platform.traffic.remove(endpoint)


def _require_lost(platform: Platform, endpoint: str) -> None:
    if platform.state.read(endpoint, fresh=True) is not None:
        raise EndpointBusy(
            "removal.hold_lost",
            "it was removed by another process and has begun anew.",
            remedy=f"See how it stands: weir status {endpoint}.",
            where=f"endpoint {endpoint}",
        )


def _forget(platform: Platform, hold: RemovalHold) -> None:
    """The document is gone, also when it was written meanwhile, as long as the hold is ours.

    A heartbeat may come in between, ours or that of a process that was taken for dead.
    """
    for _ in range(ATTEMPTS):
        document = platform.state.read(hold.endpoint, fresh=True)
        if document is None:
            return
        hold.require(document)
        try:
            platform.state.remove(document)
        except StateConflict:
            continue
        return
    raise contended(hold.endpoint)


def remove_version(platform: Platform, endpoint: str, version: str) -> None:
    """The version's replicas are drained and gone.

    Raises UserError ``version.unknown`` or ``version.under_release``, PermanentError
    ``endpoint.version_takes_traffic``, and EndpointBusy while a living process works on the
    endpoint, also ``removal.hold_lost`` when one does by now.
    """
    hold = _marked(platform, endpoint, version)
    with beating(platform, hold):
        going = hold.newest().endpoint
        _put(platform, hold, platform.traffic.withdraw, version)
        await_idle(platform, going, version)
        hold.newest()
        platform.workloads.remove(endpoint, version)
        _put(platform, hold, platform.traffic.apply, version)
        hold.update(
            lambda document: transitions.without_version(document, version).changed(removal=None)
        )


def _put(
    platform: Platform,
    hold: RemovalHold,
    put: Callable[[Endpoint, int], datetime],
    version: str,
) -> None:
    """Have the gateway follow, by ``put``, the endpoint as it is by now, without ``version``.

    A process that was taken over in the midst of that finds out right after, and puts the gateway
    where the newest document wants it.
    """
    document = hold.newest()
    put(document.endpoint.without_version(version), document.revision)
    try:
        hold.newest()
    except EndpointBusy:
        wanted = hold.read(fresh=True)
        if wanted.endpoint.split is not None:
            platform.traffic.apply(wanted.endpoint, wanted.revision)
        raise


def _marked(platform: Platform, endpoint: str, version: str | None) -> RemovalHold:
    """The document says what is being removed, and by this process."""
    holder = this_process("", platform.clock.now())
    for _ in range(ATTEMPTS):
        document = read(platform, endpoint)
        refuse_if_held(platform, document, holder)
        if version is not None:
            _require_removable(document, version)
        try:
            platform.state.write(_with_removal(document, holder, version))
        except StateConflict:
            continue
        return RemovalHold(platform.state, endpoint, holder)
    raise contended(endpoint)


def _with_removal(
    document: EndpointDocument, holder: Holder, version: str | None
) -> EndpointDocument:
    leaving = () if version is None or version in document.retiring else (version,)
    marked: EndpointDocument = document.changed(
        removal=Removal(holder=holder, version=version), retiring=(*document.retiring, *leaving)
    )
    return marked


def _require_removable(document: EndpointDocument, version: str) -> None:
    name = document.endpoint.name
    if document.endpoint.version(version) is None:
        known = ", ".join(present.name for present in document.endpoint.versions) or "none"
        raise UserError(
            "version.unknown",
            f"there is no version {version}; there is {known}.",
            remedy=f"weir status {name} shows the versions.",
            where=f"endpoint {name}",
        )
    if document.release is not None and document.release.version == version:
        raise UserError(
            "version.under_release",
            f"version {version} is being released.",
            remedy=f"End its release first: weir rollback {name}.",
            where=f"endpoint {name}",
        )
    document.endpoint.without_version(version)
