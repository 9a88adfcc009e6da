"""weir promote, rollback, pause, resume, keys, delete: what a person does to an endpoint."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from weir.cli.opening import LOCAL, OnPlatform, open_platform
from weir.cli.output import err, escape, out
from weir.cli.runs import run_resume
from weir.document import OperatorAction, Outcome, PastRelease
from weir.holding import user
from weir.ports import Platform
from weir.release import beginning, operator, removing, returning

Endpoint = Annotated[str, typer.Argument(help="Name of the endpoint.")]
ANSWER_TIMEOUT_SECONDS = 20.0


class WhichKey(StrEnum):
    PRIMARY = "primary"
    SECONDARY = "secondary"


def promote(endpoint: Endpoint, platform: OnPlatform = LOCAL) -> None:
    """Promote the version under release on your word.

    Whatever the evidence says.
    """
    chosen = open_platform(platform)
    release = operator.read(chosen, endpoint).release
    if release is not None and _leave_to_the_run(chosen, endpoint, OperatorAction.PROMOTE):
        _tell_how_it_stands(chosen, endpoint, release.id)
        return
    _tell(operator.promote_now(chosen, endpoint, user()))


def rollback(
    endpoint: Endpoint,
    to_previous: Annotated[
        bool,
        typer.Option("--to-previous", help="Also when the last release was not promoted."),
    ] = False,
    platform: OnPlatform = LOCAL,
) -> None:
    """Put all traffic back on the control.

    Without a release under way, on the version that was the control before.
    """
    chosen = open_platform(platform)
    release = operator.read(chosen, endpoint).release
    if release is None:
        past = returning.return_to_previous(
            chosen, endpoint, user(), whatever_came_last=to_previous
        )
        _tell(past)
        return
    if _leave_to_the_run(chosen, endpoint, OperatorAction.ROLL_BACK):
        outcome = _tell_how_it_stands(chosen, endpoint, release.id)
    else:
        past = operator.roll_back_now(chosen, endpoint, user(), release.id)
        outcome = past.outcome
        _tell(past)
    # The run may have been faster, and a promotion is final.
    sys.exit(1 if outcome in (Outcome.PROMOTED, Outcome.DEPLOYED) else 0)


def pause(endpoint: Endpoint, platform: OnPlatform = LOCAL) -> None:
    """Keep the split as it is until weir resume.

    Exit status 1 when it is not paused then.
    """
    chosen = open_platform(platform)
    request = operator.ask(chosen, endpoint, OperatorAction.PAUSE, user())
    if request is None:
        operator.pause_now(chosen, endpoint, user())
    elif not operator.await_answer(chosen, endpoint, request, ANSWER_TIMEOUT_SECONDS):
        err.print(f"{endpoint}: asked to pause; the run has not answered yet")
        sys.exit(1)
    document = operator.read(chosen, endpoint)
    release, split = document.release, document.endpoint.split
    if release is None or release.ending is not None:
        err.print(f"{endpoint}: not paused, the release is over; {split}")
        sys.exit(1)
    if release.rollout is None or release.rollout.paused is None:
        err.print(f"{endpoint}: not paused, somebody resumed it at once; {split}")
        sys.exit(1)
    out.print(f"{endpoint}: paused at {split}; go on with weir resume {endpoint}")


def resume(endpoint: Endpoint, platform: OnPlatform = LOCAL) -> None:
    """Go on with a paused or interrupted release."""
    chosen = open_platform(platform)
    document = operator.read(chosen, endpoint)
    if document.release is None and document.split_applied_at is None:
        beginning.catch_up(chosen, document)
        out.print(f"{endpoint}: the gateway follows again; {document.endpoint.split}")
        return
    request = operator.ask(chosen, endpoint, OperatorAction.RESUME, user())
    if request is not None:
        if not operator.await_answer(chosen, endpoint, request, ANSWER_TIMEOUT_SECONDS):
            err.print(f"{endpoint}: asked to go on; the run has not answered yet")
            sys.exit(1)
        out.print(f"{endpoint}: the running release goes on")
        return
    outcome = run_resume(endpoint, platform)
    sys.exit(0 if outcome in ("Promoted", "Deployed") else 1)


def keys(
    endpoint: Endpoint,
    regenerate: Annotated[
        WhichKey | None, typer.Option(help="Replace this key; the old one is refused at once.")
    ] = None,
    platform: OnPlatform = LOCAL,
) -> None:
    """Print the endpoint's scoring keys."""
    chosen = open_platform(platform)
    operator.read(chosen, endpoint)
    if regenerate is not None:
        chosen.traffic.rotate_key(endpoint, regenerate.value)
    found = chosen.traffic.keys(endpoint)
    out.print(f"primary    {escape(found.primary)}")
    out.print(f"secondary  {escape(found.secondary)}")


def delete(
    endpoint: Endpoint,
    version: Annotated[
        str | None, typer.Option(help="Only this version, which must take no traffic.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    platform: OnPlatform = LOCAL,
) -> None:
    """Remove an endpoint with all that is behind it, or one version."""
    chosen = open_platform(platform)
    if version is not None or not removing.is_lost(chosen, endpoint):
        operator.read(chosen, endpoint)
    what = f"version {version} of {endpoint}" if version else f"endpoint {endpoint}"
    if not yes:
        typer.confirm(f"Remove {what}?", abort=True)
    with out.status(f"removing {what}"):
        if version is None:
            removing.remove_endpoint(chosen, endpoint)
        else:
            removing.remove_version(chosen, endpoint, version)
    out.print(f"removed {what}")


def _leave_to_the_run(platform: Platform, endpoint: str, action: OperatorAction) -> bool:
    """Whether a living run has taken the request up within the time that a person waits."""
    request = operator.ask(platform, endpoint, action, user())
    return request is not None and operator.await_answer(
        platform, endpoint, request, ANSWER_TIMEOUT_SECONDS
    )


def _tell_how_it_stands(platform: Platform, endpoint: str, release_id: str) -> Outcome | None:
    """What the run made of the request: it may have ended otherwise in the same moment."""
    document = operator.read(platform, endpoint)
    past = next((one for one in document.history if one.id == release_id), None)
    if past is not None:
        _tell(past)
        return past.outcome
    ending = document.release.ending if document.release else None
    outcome = ending.outcome.value.replace("_", " ") if ending else "being decided"
    out.print(f"{endpoint}: {outcome}, by the running release; weir status {endpoint}")
    return ending.outcome if ending else None


def _tell(past: PastRelease) -> None:
    out.print(escape(f"{past.version} {past.outcome.value.replace('_', ' ')}: {past.words}"))
