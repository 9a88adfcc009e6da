"""Removing an endpoint, or one version of it."""

from __future__ import annotations

from weir.document import EndpointDocument
from weir.errors import UserError
from weir.holding import this_process
from weir.ports import Platform
from weir.readiness import await_idle
from weir.release import transitions
from weir.release.beginning import refuse_if_held
from weir.release.housekeeping import forget_unused_images
from weir.release.operator import read, write


def remove_endpoint(platform: Platform, endpoint: str) -> None:
    """Gateway, replicas, keys and state are gone; idempotent.

    Raises EndpointBusy while a living process releases to it.
    """
    document = read(platform, endpoint)
    refuse_if_held(platform, document, this_process("", platform.clock.now()))
    platform.traffic.remove(endpoint)
    for version in platform.workloads.versions(endpoint):
        platform.workloads.remove(endpoint, version)
    platform.state.remove(endpoint)
    forget_unused_images(platform)


def remove_version(platform: Platform, endpoint: str, version: str) -> None:
    """The version's replicas are drained and gone.

    Raises UserError ``version.unknown``, PermanentError ``endpoint.version_takes_traffic``, and
    EndpointBusy while a living process releases it.
    """
    document = read(platform, endpoint)
    refuse_if_held(platform, document, this_process("", platform.clock.now()))
    if document.endpoint.version(version) is None:
        known = ", ".join(present.name for present in document.endpoint.versions) or "none"
        raise UserError(
            "version.unknown",
            f"there is no version {version}; there is {known}.",
            remedy=f"weir status {endpoint} shows the versions.",
            where=f"endpoint {endpoint}",
        )
    if document.release is not None and document.release.version == version:
        raise UserError(
            "version.under_release",
            f"version {version} is being released.",
            remedy=f"End its release first: weir rollback {endpoint}.",
            where=f"endpoint {endpoint}",
        )
    trimmed = document.endpoint.without_version(version)
    await_idle(platform, document.endpoint, version)
    platform.workloads.remove(endpoint, version)
    if trimmed.split is not None:
        platform.traffic.apply(trimmed)

    def removed(document: EndpointDocument) -> EndpointDocument:
        return transitions.without_version(document, version)

    write(platform, endpoint, removed)
