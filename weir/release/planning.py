"""What a release would change, without touching anything."""

from __future__ import annotations

import contextlib
from pathlib import Path

from weir.backtest.recorded_traffic import traffic_in
from weir.backtest.simulation import USUAL_TRAFFIC, Traffic
from weir.backtest.words import short_form
from weir.document import EndpointDocument, Outcome, PastRelease, Release
from weir.endpoint import short_image
from weir.errors import PermanentError, PlatformMissing
from weir.holding import this_process
from weir.ports import Platform
from weir.release.beginning import ended_before
from weir.release.ledger import living_holder
from weir.release.opening import opened
from weir.release.reading import read_release
from weir.release.steps import build_context
from weir.release.transitions import version_of
from weir.spec.load import Loaded
from weir.spec.policy_words import policy_lines
from weir.spec.rollout import RolloutPolicy


def plan_release(
    platform: Platform, release_file: Path | None, model: str | None, model_version: str
) -> tuple[str, ...]:
    """The plan, a sentence a line. Raises UserError like the release itself would."""
    loaded = read_release(platform, release_file, model, model_version)
    try:
        document = platform.state.read(loaded.spec.endpoint.name)
    except PlatformMissing:
        return (
            *platform.clusters.check(),
            *_endpoint_lines(None, loaded),
            *_version_lines(platform, None, loaded),
            *_rollout_lines(platform, None, loaded),
        )
    now = platform.clock.now()
    past = ended_before(document, loaded) if document is not None else None
    if past is None:
        with contextlib.suppress(PermanentError):
            opened(document, loaded, this_process("", now), "plan", now)
    return (
        *_endpoint_lines(document, loaded),
        *_version_lines(platform, document, loaded),
        *_object_lines(platform, loaded),
        *(_rollout_lines(platform, document, loaded) if past is None else _past_lines(past)),
    )


def _endpoint_lines(document: EndpointDocument | None, loaded: Loaded) -> list[str]:
    spec = loaded.spec.endpoint
    if document is None:
        port = f"port {spec.port}, " if spec.port else ""
        return [f"+ endpoint {spec.name}: created, {port}{_keys(spec.auth_enabled is not False)}"]
    split = document.endpoint.split or "no traffic yet"
    lines = [f"  endpoint {spec.name}: exists, {split}"]
    if spec.auth_enabled not in (None, document.endpoint.auth_enabled):
        lines.append(f"~ endpoint {spec.name}: {_keys(spec.auth_enabled)} from the promotion on")
    return lines


def _keys(auth_enabled: bool | None) -> str:
    return "key authentication" if auth_enabled else "no authentication"


def _version_lines(
    platform: Platform, document: EndpointDocument | None, loaded: Loaded
) -> list[str]:
    spec = loaded.spec
    image = platform.images.digest(build_context(platform.models, spec, loaded.directory))
    present = document.endpoint.version(spec.version_name) if document else None
    number = spec.deployment.initial_replicas()
    replicas = f"{number} replica{'s' if number != 1 else ''}"
    if present is None:
        return [
            f"+ version {spec.version_name}: model {spec.model.name} {spec.model.version},"
            f" image {short_image(image)}, {replicas}, at 0 %"
        ]
    if present.release == loaded.digest:
        return [f"  version {spec.version_name}: unchanged, image {short_image(image)}"]
    built = "image unchanged" if present.image == image else f"new image {short_image(image)}"
    return [f"~ version {spec.version_name}: {built}, {replicas}"]


def _object_lines(platform: Platform, loaded: Loaded) -> list[str]:
    """What the platform itself says that the version's objects would become."""
    spec = loaded.spec
    image = platform.images.digest(build_context(platform.models, spec, loaded.directory))
    version = version_of(spec, image, loaded.digest)
    name = spec.endpoint.name
    found = (
        *platform.clusters.check(),
        *platform.traffic.difference(name),
        *platform.workloads.difference(name, version),
    )
    return [f"  {line}" for line in found]


def _rollout_lines(
    platform: Platform, document: EndpointDocument | None, loaded: Loaded
) -> list[str]:
    spec = loaded.spec
    if document is not None and document.release is not None:
        return [_unfinished(platform, document, document.release, loaded)]
    if document is None or document.endpoint.control is None:
        return [f"+ {spec.version_name} becomes the control and takes 100 % once it is healthy"]
    control = document.endpoint.control
    return [
        f"~ traffic from {control} to {spec.version_name}: "
        + " -> ".join(f"{step:g} %" for step in spec.rollout.steps),
        *policy_lines(spec.rollout),
        *(
            f"  {line}"
            for line in short_form(spec.rollout, _traffic(platform, document, spec.rollout))
        ),
    ]


def _traffic(platform: Platform, document: EndpointDocument, policy: RolloutPolicy) -> Traffic:
    """What the newest recorded rollout of the endpoint saw; the usual without a record."""
    # What cannot be read is no reason to plan nothing.
    with contextlib.suppress(PermanentError):
        for past in reversed(document.history):
            windows = platform.windows.read(document.endpoint.name, past.id)
            if windows:
                return traffic_in(windows, policy.failure_classes) or USUAL_TRAFFIC
    return USUAL_TRAFFIC


def _past_lines(past: PastRelease) -> list[str]:
    if past.outcome is Outcome.PROMOTED:
        return [f"  nothing to do: {past.version} was promoted and is the control"]
    return [f"! this content was rolled back: {past.words}", "  --again releases it anyway"]


def _unfinished(
    platform: Platform, document: EndpointDocument, release: Release, loaded: Loaded
) -> str:
    held = living_holder(platform, document)
    if held is not None:
        return (
            f"! the release of {release.version} is under way ({release.phase}), held by"
            f" {held}: this one would be refused"
        )
    if release.digest == loaded.digest:
        return f"~ goes on with this release, which is unfinished ({release.phase})"
    if release.gives_way():
        return f"~ the unfinished release of {release.version} ({release.phase}) gives way"
    name = document.endpoint.name
    return (
        f"! the release of {release.version} is unfinished ({release.phase}); first"
        f" weir resume {name} or weir rollback {name}"
    )
