"""How a release is opened on an endpoint: new, taken over, or in place of one that gave way."""

from __future__ import annotations

from datetime import datetime

from weir.document import EndpointDocument, Holder, Release
from weir.endpoint import MAXIMUM_VERSIONS, Endpoint, full
from weir.errors import PermanentError, UserError
from weir.release.transitions import held_by, unpaused
from weir.spec.load import Loaded
from weir.spec.release import EndpointSpec


def opened(
    document: EndpointDocument | None,
    loaded: Loaded,
    holder: Holder,
    release_id: str,
    now: datetime,
    *,
    deploy_only: bool = False,
) -> EndpointDocument:
    """The document with a new release under way, or with the same release taken over.

    Whether a living process holds the endpoint is for the caller to ask before. A paused rollout
    stays paused, whoever takes it over. Raises UserError ``release.version_is_live``,
    ``release.rollout_has_begun``, ``endpoint.full`` or ``endpoint.port_differs``, PermanentError
    ``release.unfinished`` or ``endpoint.removal_unfinished``.
    """
    spec = loaded.spec
    document = document or EndpointDocument(endpoint=Endpoint(name=spec.endpoint.name))
    document = _without_removal(document)
    document = _with_endpoint_settings(document, spec.endpoint)
    running = document.release
    if running is not None and running.digest == loaded.digest:
        if deploy_only and running.rollout is not None:
            raise UserError(
                "release.rollout_has_begun",
                f"the rollout of {running.version} has begun; it cannot be only deployed any more.",
                remedy=f"Go on with weir resume {spec.endpoint.name}, or end it with weir rollback"
                f" {spec.endpoint.name}.",
                where=f"endpoint {spec.endpoint.name}",
            )
        running = running.changed(deploy_only=deploy_only)
        taken = held_by(_changed(document, release=running), holder)
        was_let_go = running.holder is None and not _is_paused(running)
        return unpaused(taken, now) if was_let_go else taken
    if running is not None:
        document = _given_way(document, running, spec.version_name)
    _refuse_a_live_name(document, spec.version_name)
    _refuse_a_seventh(document, spec.version_name)
    return _changed(
        document,
        retiring=tuple(name for name in document.retiring if name != spec.version_name),
        release=Release(
            id=release_id,
            spec=spec,
            directory=str(loaded.directory),
            digest=loaded.digest,
            started_at=now,
            holder=holder,
            run=holder.run,
            deploy_only=deploy_only,
        ),
    )


def _with_endpoint_settings(document: EndpointDocument, spec: EndpointSpec) -> EndpointDocument:
    """What the release file says of the endpoint itself, as far as nobody is served by it yet.

    Of an endpoint in service the rest takes effect with the promotion: see
    ``transitions.promoted``.
    """
    endpoint = document.endpoint
    if endpoint.control is None:
        # Perhaps the port is why its first release failed.
        auth_enabled = endpoint.auth_enabled if spec.auth_enabled is None else spec.auth_enabled
        settings = {"port": spec.port, "auth_enabled": auth_enabled}
        return _changed(document, endpoint=endpoint.model_copy(update=settings))
    if spec.port is not None and endpoint.port is not None and spec.port != endpoint.port:
        raise UserError(
            "endpoint.port_differs",
            f"endpoint {endpoint.name} listens on port {endpoint.port}, not on {spec.port}.",
            remedy=f"Leave endpoint.port out, or weir delete {endpoint.name} first.",
            where="endpoint.port",
        )
    return document


def _without_removal(document: EndpointDocument) -> EndpointDocument:
    """The document of an endpoint of which a removal was interrupted.

    Raises PermanentError ``endpoint.removal_unfinished`` when it was of the whole endpoint. A
    version is removed with the next release.
    """
    removal = document.removal
    if removal is None:
        return document
    if removal.version is None:
        name = document.endpoint.name
        raise PermanentError(
            "endpoint.removal_unfinished",
            f"the removal of endpoint {name} was interrupted.",
            remedy=f"Run it again: weir delete {name}; then release.",
            where=f"endpoint {name}",
        )
    return _changed(document, removal=None)


def _given_way(document: EndpointDocument, running: Release, version_name: str) -> EndpointDocument:
    """The document without ``running``, which has seen no traffic; its version is to go.

    Raises PermanentError ``release.unfinished`` when it is further than that.
    """
    if not running.gives_way():
        name = document.endpoint.name
        raise PermanentError(
            "release.unfinished",
            f"the release of {running.version} is unfinished ({running.phase}), and the release"
            f" now asked for brings {version_name} with other content.",
            remedy=f"End it first: weir rollback {name}; or go on with it: weir resume {name}.",
            where=f"endpoint {name}",
        )
    there = document.endpoint.version(running.version)
    brought = there is not None and there.release == running.digest
    leaving = (running.version,) if brought and running.version != version_name else ()
    return _changed(document, release=None, retiring=(*document.retiring, *leaving))


def _refuse_a_live_name(document: EndpointDocument, name: str) -> None:
    if document.endpoint.control == name:
        raise UserError(
            "release.version_is_live",
            f"version {name} is the control of endpoint {document.endpoint.name}, and the release"
            " file brings other content under its name.",
            remedy="Give the new content a new version_name.",
            where="version_name",
        )


def _refuse_a_seventh(document: EndpointDocument, name: str) -> None:
    staying = [
        version.name
        for version in document.endpoint.versions
        if version.name not in (name, *document.retiring)
    ]
    if len(staying) >= MAXIMUM_VERSIONS:
        raise full(document.endpoint.name, staying, name)


def _is_paused(release: Release) -> bool:
    return release.rollout is not None and release.rollout.paused is not None


def _changed(document: EndpointDocument, **changes: object) -> EndpointDocument:
    changed: EndpointDocument = document.changed(**changes)
    return changed
