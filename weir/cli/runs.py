"""weir release, weir plan, weir register: what brings a version to an endpoint."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import httpx
import requests
import typer

from weir.cli import prefect_settings
from weir.cli.opening import LOCAL, OnPlatform, note_platform, open_platform
from weir.cli.output import ProgressHandler, err, escape, out, progress_on
from weir.errors import TemporaryError
from weir.local.home import default_home
from weir.local.registration import announce
from weir.local.server import running_server
from weir.release.planning import plan_release
from weir.spec.load import load_release

ANSWER_SECONDS = 10.0

UNREACHABLE = re.compile(r"Failed to reach API|attempting to connect to ephemeral")
"""What Prefect says in a bare RuntimeError when there is no API."""

OUTCOMES = ("RolledBack", "NotReleased", "Held")

ReleaseFile = Annotated[Path | None, typer.Argument(help="The release file.", show_default=False)]
Model = Annotated[str | None, typer.Option(help="Release this registered model instead.")]
ModelVersion = Annotated[str, typer.Option(help="Version of --model.")]


def release(
    file: ReleaseFile = None,
    model: Model = None,
    model_version: ModelVersion = "latest",
    again: Annotated[
        bool, typer.Option("--again", help="Release content once more that was rolled back.")
    ] = False,
    deploy_only: Annotated[
        bool, typer.Option("--deploy-only", help="Stop after the check, at 0 % of the traffic.")
    ] = False,
    patience_seconds: Annotated[
        float,
        typer.Option("--patience", min=0, max=604_800, help="Seconds to wait for a busy endpoint."),
    ] = 0,
    platform: OnPlatform = LOCAL,
) -> None:
    """Release a model version by evidence.

    Running it again goes on where it stopped. Exit status: 0 promoted, 1 not promoted, 2 the
    input is wrong and nothing was touched, 130 interrupted with all traffic on the control.
    """
    outcome = run_release(
        file,
        model=model,
        model_version=model_version,
        again=again,
        deploy_only=deploy_only,
        patience_seconds=patience_seconds,
        platform=platform,
    )
    sys.exit(0 if outcome in ("Promoted", "Deployed") else 1)


def run_release(file: Path | None, *, pictured: bool = False, **parameters: Any) -> str:
    """Run the release flow in this process; returns the name of its final state.

    ``pictured`` when the caller itself draws how the rollout stands. Raises the WeirError that
    ended it.
    """
    note_platform(parameters.get("platform", LOCAL))
    if file is not None:
        load_release(file)
    settle_api()
    from flows.release import release as release_flow

    path = str(file.absolute()) if file else None
    return _final(
        lambda: release_flow(release_file=path, **parameters, return_state=True), pictured=pictured
    )


def run_resume(endpoint: str, platform: str) -> str:
    """Go on with the endpoint's unfinished release in this process; like ``run_release``."""
    note_platform(platform)
    settle_api()
    from flows.resume import resume as resume_flow

    return _final(lambda: resume_flow(endpoint, platform, return_state=True))


def settle_api() -> None:
    # Prefect's log of a run goes to its API; when that is gone, it complains on stderr.
    logging.raiseExceptions = False
    api = prefect_settings.choose_api()
    if api is not None:
        _require_answer(api)
    else:
        err.print(
            "[dim]no Prefect server is up: this run uses Prefect's ephemeral API, which takes"
            " some 15 s to start (weir up avoids that)[/]"
        )


def _require_answer(api: str) -> None:
    """Any answer will do, also a refusal; silence would keep a release waiting for minutes."""
    try:
        requests.get(f"{api}/health", timeout=ANSWER_SECONDS)
    except requests.RequestException as error:
        raise _unreachable(type(error).__name__) from error


def _unreachable(why: object) -> TemporaryError:
    return TemporaryError(
        "prefect.unreachable",
        f"Prefect's API did not answer: {why}",
        remedy="Start the embedded one with weir up, or correct PREFECT_API_URL; then run"
        " the same command again.",
        where=os.environ.get("PREFECT_API_URL", "Prefect's ephemeral API"),
    )


def _final(run: Callable[[], Any], *, pictured: bool = False) -> str:
    told = ProgressHandler(out, pictured=pictured)
    try:
        with progress_on(told):
            state = run()
    except (RuntimeError, httpx.HTTPError) as error:
        if told.state:
            # The release is over, and only Prefect does not know of it.
            return told.state
        if isinstance(error, RuntimeError) and not UNREACHABLE.search(str(error)):
            raise
        raise _unreachable(error) from error
    if state.is_completed() or state.name in OUTCOMES:
        return str(state.name)
    result = state.result(raise_on_failure=False)
    raise result if isinstance(result, BaseException) else RuntimeError(str(state.message))


def plan(
    file: ReleaseFile = None,
    model: Model = None,
    model_version: ModelVersion = "latest",
    platform: OnPlatform = LOCAL,
) -> None:
    """Show what a release would change; touch nothing."""
    for line in plan_release(open_platform(platform), file, model, model_version):
        out.print(escape(line))


def register(
    path: Annotated[Path, typer.Argument(help="Model file or folder.")],
    name: Annotated[str, typer.Option(help="Name of the model.")],
    version: Annotated[
        str | None, typer.Option(help="Version; the next number when left out.")
    ] = None,
    release_file: Annotated[
        Path | None,
        typer.Option("--release", help="Release file to bring this version by."),
    ] = None,
    platform: OnPlatform = LOCAL,
) -> None:
    """Add a model version to the registry.

    Prefect deployments that wait for the model then run.
    """
    registered = open_platform(platform).models.register(
        name, path, version=version, release_file=release_file
    )
    out.print(f"registered {registered.name} {registered.version} ({registered.digest[:12]})")
    server = running_server(default_home())
    if server is None:
        out.print("no Prefect server is up, so nothing waits for it: weir up, or release it with")
        out.print(f"  weir release --model {registered.name}")
        return
    announce(server, registered)
    out.print(f"told Prefect: weir.model-version.registered ({server.ui}/events)")
