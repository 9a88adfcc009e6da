"""Removing an endpoint, or one version of it."""

from __future__ import annotations

from weir.document import EndpointDocument, Holder, Removal
from weir.errors import StateConflict, UserError
from weir.holding import same_process, this_process
from weir.ports import Platform
from weir.readiness import await_idle
from weir.release import transitions
from weir.release.beginning import refuse_if_held
from weir.release.housekeeping import forget_unused_images
from weir.release.ledger import ATTEMPTS, contended
from weir.release.operator import read, write


def is_lost(platform: Platform, endpoint: str) -> bool:
    """Whether something runs of an endpoint that has no document any more."""
    if platform.state.read(endpoint) is not None:
        return False
    has_gateway = platform.traffic.scoring_uri(endpoint) is not None
    return has_gateway or bool(platform.workloads.versions(endpoint))


def remove_endpoint(platform: Platform, endpoint: str) -> None:
    """Replicas, gateway, keys and state are gone; idempotent.

    Also what is left of an endpoint whose document is lost. Nobody can release to it meanwhile.
    Raises EndpointBusy while a living process releases to it or removes it.
    """
    document = None if is_lost(platform, endpoint) else _marked(platform, endpoint, None)
    # Replicas first, while the gateway can still answer what they are working on.
    for version in platform.workloads.versions(endpoint):
        platform.workloads.remove(endpoint, version)
    platform.traffic.remove(endpoint)
    if document is not None and document.removal is not None:
        _forget(platform, endpoint, document.removal.holder)
    forget_unused_images(platform)


def _forget(platform: Platform, endpoint: str, holder: Holder) -> None:
    """The document is gone, also when it was written meanwhile, as long as ``holder`` removes it.

    The heartbeat of a process that was taken for dead may come in between.
    """
    for _ in range(ATTEMPTS):
        document = platform.state.read(endpoint)
        if document is None:
            return
        if document.removal is None or not same_process(document.removal.holder, holder):
            raise contended(endpoint)
        try:
            platform.state.remove(document)
        except StateConflict:
            continue
        return
    raise contended(endpoint)


def remove_version(platform: Platform, endpoint: str, version: str) -> None:
    """The version's replicas are drained and gone.

    Raises UserError ``version.unknown`` or ``version.under_release``, PermanentError
    ``endpoint.version_takes_traffic``, and EndpointBusy while a living process works on the
    endpoint.
    """
    document = _marked(platform, endpoint, version)
    trimmed = document.endpoint.without_version(version)
    platform.traffic.withdraw(trimmed)
    await_idle(platform, document.endpoint, version)
    platform.workloads.remove(endpoint, version)
    platform.traffic.apply(trimmed)
    write(
        platform,
        endpoint,
        lambda document: transitions.without_version(document, version).changed(removal=None),
    )


def _marked(platform: Platform, endpoint: str, version: str | None) -> EndpointDocument:
    """The document, written, that says what is being removed, and by this process."""
    holder = this_process("", platform.clock.now())
    for _ in range(ATTEMPTS):
        document = read(platform, endpoint)
        refuse_if_held(platform, document, holder)
        if version is not None:
            _require_removable(document, version)
        try:
            return platform.state.write(_with_removal(document, holder, version))
        except StateConflict:
            continue
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
