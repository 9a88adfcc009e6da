"""weir promote, rollback, pause, resume, keys, delete: what a person does to an endpoint."""

from __future__ import annotations

import getpass
import sys
from enum import StrEnum
from typing import Annotated

import typer

from weir.cli.output import escape, out
from weir.cli.runs import run_resume
from weir.document import OperatorAction, PastRelease
from weir.local.platform import local_platform
from weir.ports import Platform
from weir.release import operator, removing

Endpoint = Annotated[str, typer.Argument(help="Name of the endpoint.")]
ANSWER_TIMEOUT_SECONDS = 20.0


class WhichKey(StrEnum):
    PRIMARY = "primary"
    SECONDARY = "secondary"


def promote(endpoint: Endpoint) -> None:
    """Promote the version under release on your word.

    Whatever the evidence says.
    """
    platform = local_platform()
    release = operator.read(platform, endpoint).release
    if release is not None and _leave_to_the_run(platform, endpoint, OperatorAction.PROMOTE):
        _tell_how_it_stands(platform, endpoint, release.id)
        return
    _tell(operator.promote_now(platform, endpoint, _me()))


def rollback(
    endpoint: Endpoint,
    to_previous: Annotated[
        bool, typer.Option("--to-previous", help="Also right after another rollback.")
    ] = False,
) -> None:
    """Put all traffic back on the control.

    Without a release under way, on the version that was the control before.
    """
    platform = local_platform()
    release = operator.read(platform, endpoint).release
    if release is None:
        _tell(
            operator.return_to_previous(platform, endpoint, _me(), also_after_rollback=to_previous)
        )
        return
    if _leave_to_the_run(platform, endpoint, OperatorAction.ROLL_BACK):
        _tell_how_it_stands(platform, endpoint, release.id)
        return
    _tell(operator.roll_back_now(platform, endpoint, _me(), release.id))


def pause(endpoint: Endpoint) -> None:
    """Keep the split as it is until weir resume."""
    platform = local_platform()
    if not operator.ask(platform, endpoint, OperatorAction.PAUSE, _me()):
        operator.pause_now(platform, endpoint, _me())
    elif not operator.await_answer(platform, endpoint, ANSWER_TIMEOUT_SECONDS):
        out.print(f"{endpoint}: asked to pause; the run has not answered yet")
        return
    document = operator.read(platform, endpoint)
    release, split = document.release, document.endpoint.split
    if release is None or release.rollout is None or release.rollout.paused is None:
        out.print(f"{endpoint}: not paused, the release is over; {split}")
        return
    out.print(f"{endpoint}: paused at {split}; go on with weir resume {endpoint}")


def resume(endpoint: Endpoint) -> None:
    """Go on with a paused or interrupted release."""
    platform = local_platform()
    document = operator.read(platform, endpoint)
    if operator.ask(platform, endpoint, OperatorAction.RESUME, _me()):
        operator.await_answer(platform, endpoint, ANSWER_TIMEOUT_SECONDS)
        out.print(f"{endpoint}: the running release goes on")
        return
    release = document.release
    if release is None:
        raise operator.no_release(endpoint)
    outcome = run_resume(endpoint)
    sys.exit(0 if outcome in ("Promoted", "Deployed") else 1)


def keys(
    endpoint: Endpoint,
    regenerate: Annotated[
        WhichKey | None, typer.Option(help="Replace this key; the old one is refused at once.")
    ] = None,
) -> None:
    """Print the endpoint's scoring keys."""
    platform = local_platform()
    operator.read(platform, endpoint)
    if regenerate is not None:
        platform.traffic.rotate_key(endpoint, regenerate.value)
    found = platform.traffic.keys(endpoint)
    out.print(f"primary    {escape(found.primary)}")
    out.print(f"secondary  {escape(found.secondary)}")


def delete(
    endpoint: Endpoint,
    version: Annotated[
        str | None, typer.Option(help="Only this version, which must take no traffic.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove an endpoint with all that is behind it, or one version."""
    platform = local_platform()
    operator.read(platform, endpoint)
    what = f"version {version} of {endpoint}" if version else f"endpoint {endpoint}"
    if not yes:
        typer.confirm(f"Remove {what}?", abort=True)
    if version is None:
        removing.remove_endpoint(platform, endpoint)
    else:
        removing.remove_version(platform, endpoint, version)
    out.print(f"removed {what}")


def _leave_to_the_run(platform: Platform, endpoint: str, action: OperatorAction) -> bool:
    """Whether a living run has taken the request up within the time that a person waits."""
    return operator.ask(platform, endpoint, action, _me()) and operator.await_answer(
        platform, endpoint, ANSWER_TIMEOUT_SECONDS
    )


def _tell_how_it_stands(platform: Platform, endpoint: str, release_id: str) -> None:
    """What the run made of the request: it may have ended otherwise in the same moment."""
    document = operator.read(platform, endpoint)
    past = next((one for one in document.history if one.id == release_id), None)
    if past is not None:
        _tell(past)
        return
    ending = document.release.ending if document.release else None
    outcome = ending.outcome.value.replace("_", " ") if ending else "being decided"
    out.print(f"{endpoint}: {outcome}, by the running release; weir status {endpoint}")


def _tell(past: PastRelease) -> None:
    out.print(escape(f"{past.version} {past.outcome.value.replace('_', ' ')}: {past.words}"))


def _me() -> str:
    return getpass.getuser()
