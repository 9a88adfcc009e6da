"""Release: one model version, one endpoint, promoted or rolled back by evidence."""

from __future__ import annotations

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from flows import ending
from flows.beginning import begin_release
from flows.build import build
from flows.check import check
from flows.deploy import deploy
from flows.parts import carrying_out
from flows.provision import provision
from flows.retire import retire
from flows.rollout import rollout
from tasks.holding import opened
from weir.errors import PermanentError, UserError, WeirError
from weir.release.heartbeat import beating


@flow(name="release", on_cancellation=[ending.return_to_control])
def release(
    release_file: str | None = None,
    model: str | None = None,
    model_version: str = "latest",
    platform: str = "local",
    again: bool = False,
    deploy_only: bool = False,
    patience_seconds: Annotated[float, Field(ge=0, le=7 * 24 * 3600)] = 0,
) -> State[Any]:
    """Bring one model version to its endpoint, as far as the evidence allows.

    Args:
        release_file: Path of the release file, as the worker sees it. May be left out when the
            model was registered together with one, or has been released before.
        model: Name of a model in the registry, to be released instead of the file's own model.
        model_version: Version of that model, or `latest`.
        platform: `local`, `kubernetes` (the kubeconfig's current context),
            `kubernetes:CONTEXT`, or a saved platform block such as `weir-local-platform/lab`.
        again: Release content that has been rolled back or has failed before once more.
        deploy_only: Stop after the check, with the version at 0 % of the traffic.
        patience_seconds: Wait so long while another release works on the endpoint. A run that
            waits with a registered version ends when a version is registered after it.
    """
    try:
        begun = begin_release(
            release_file,
            model,
            model_version,
            platform,
            again=again,
            deploy_only=deploy_only,
            patience_seconds=patience_seconds,
        )
        if begun.superseded_by is not None:
            return ending.superseded(begun.endpoint, begun.superseded_by)
        if begun.past is not None:
            return ending.nothing_to_do(begun.endpoint, begun.past)
        return carry_out(begun.endpoint, platform)
    except WeirError as error:
        return ending.foreseen(error)


def carry_out(endpoint: str, platform: str) -> State[Any]:
    """The release under way on ``endpoint``, from wherever it stands to its end."""
    with (
        beating(*opened(endpoint, platform)),
        ending.letting_go(endpoint, platform),
        carrying_out() as carry,
    ):
        if ending.has_no_outcome(endpoint, platform):
            try:
                carry(provision, endpoint, platform)
                carry(build, endpoint, platform)
                carry(deploy, endpoint, platform)
                carry(check, endpoint, platform)
            except (PermanentError, UserError) as error:
                ending.give_up(endpoint, platform, error)
            except TimeoutError as error:
                ending.give_up(endpoint, platform, ending.timed_out(error))
        if not ending.is_deployed_only(endpoint, platform):
            carry(rollout, endpoint, platform)
        if ending.is_held(endpoint, platform):
            return ending.hold(endpoint, platform)
        carry(retire, endpoint, platform)
        return ending.conclude(endpoint, platform)
