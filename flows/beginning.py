"""How a run begins: what is to be released, and whether the endpoint is free."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from prefect.runtime import flow_run

from blocks import open_platform
from tasks.narration import tell, tell_waiting
from weir.document import Holder, PastRelease
from weir.errors import EndpointBusy
from weir.holding import this_process
from weir.ports import ModelVersion, Platform
from weir.release import beginning
from weir.release.documents import readable
from weir.release.ledger import living_holder
from weir.release.reading import read_release, registered_later

BUSY_POLL_SECONDS = 5.0


@dataclass(frozen=True)
class Beginning:
    """``past`` when the same content has ended on the endpoint before.

    ``superseded_by`` when this run waited for the endpoint, and that version was registered later
    than its own.
    """

    endpoint: str
    past: PastRelease | None = None
    superseded_by: ModelVersion | None = None


def begin_release(
    release_file: str | None,
    model: str | None,
    model_version: str,
    platform: str,
    *,
    again: bool,
    deploy_only: bool,
    patience_seconds: float = 0,
) -> Beginning:
    """Read what is to be released and take its endpoint.

    An endpoint that is busy is asked again for ``patience_seconds``; what is to be released is
    read anew each time, so that `latest` is the newest then. Raises UserError for input that is
    wrong, and EndpointBusy when somebody else still works there in the end.
    """
    chosen = open_platform(platform)
    path = Path(release_file).expanduser() if release_file else None
    until = chosen.clock.now() + timedelta(seconds=patience_seconds)
    told = ""
    while True:
        loaded = read_release(chosen, path, model, model_version)
        endpoint = loaded.spec.endpoint.name
        try:
            begun = beginning.begin(
                chosen,
                loaded,
                _this_run(chosen),
                again=again,
                deploy_only=deploy_only,
                say=tell_waiting,
            )
        except EndpointBusy as busy:
            if chosen.clock.now() >= until:
                raise
            newer = registered_later(chosen, model, model_version)
            if newer is not None:
                return Beginning(endpoint, superseded_by=newer)
            if told != busy.message:
                told = busy.message
                tell(f"{loaded.spec.version_name} waits for endpoint {endpoint}: {told}")
            chosen.clock.sleep(BUSY_POLL_SECONDS)
            continue
        if begun.mended:
            tell(f"put back on {endpoint}: {', '.join(begun.mended)}")
        if begun.ledger is not None:
            verb = "going on with" if begun.taken_over else "releasing"
            tell(f"{verb} {loaded.spec.version_name} to endpoint {endpoint}")
        return Beginning(endpoint, begun.past)


def abandoned_releases(platform: str) -> list[str]:
    """Endpoints with an unfinished release that no living process holds, and nobody held back."""
    chosen = open_platform(platform)
    return [
        document.endpoint.name
        for document in readable(chosen, tell)
        if document.release is not None
        and (document.release.holder is not None or document.release.ending is not None)
        and living_holder(chosen, document) is None
    ]


def finish_interrupted_commands(platform: str) -> None:
    """The gateway follows each document also where a person's command was killed before that."""
    chosen = open_platform(platform)
    for document in readable(chosen, tell):
        if document.release is None and living_holder(chosen, document) is None:
            beginning.catch_up(chosen, document)


def take_over(endpoint: str, platform: str, *, unpause: bool) -> None:
    """Hold the unfinished release of ``endpoint``. Raises EndpointBusy when somebody else does."""
    chosen = open_platform(platform)
    beginning.take_over(chosen, endpoint, _this_run(chosen), unpause=unpause)
    tell(f"going on with the unfinished release on endpoint {endpoint}")


def _this_run(platform: Platform) -> Holder:
    return this_process(str(flow_run.get_id() or ""), platform.clock.now())
