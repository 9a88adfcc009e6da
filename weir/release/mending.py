"""What somebody removed by hand is put back, as the endpoint's document has it."""

from __future__ import annotations

from weir.document import EndpointDocument
from weir.ports import Platform
from weir.readiness import wait_until_ready


def mend(platform: Platform, document: EndpointDocument) -> tuple[str, ...]:
    """Make versions and gateway anew where they are gone. Returns what was put back, in words.

    For an endpoint without a release under way. Waits for the versions that take traffic; raises
    VersionUnhealthy when they do not come back.
    """
    endpoint = document.endpoint
    name, split = endpoint.name, endpoint.split
    missing = [
        version
        for version in endpoint.versions
        if platform.workloads.status(name, version.name) is None
    ]
    has_gateway = platform.traffic.split(name) == split
    if not missing and has_gateway:
        return ()
    platform.clusters.ensure()
    if not has_gateway:
        platform.traffic.ensure(endpoint)
    for version in missing:
        platform.workloads.apply(name, version)
    for version in missing:
        if split is not None and split.percentile(version.name):
            wait_until_ready(
                platform.workloads,
                name,
                version.name,
                timeout_seconds=version.deployment.ready_timeout_seconds,
                clock=platform.clock,
            )
    if split is not None:
        platform.traffic.apply(endpoint, document.revision)
    gateway = () if has_gateway else ("its gateway",)
    return (*(f"version {version.name}" for version in missing), *gateway)
