"""Reconcile: releases whose process died are gone on with."""

from __future__ import annotations

from prefect import flow

from blocks import open_platform
from flows.beginning import abandoned_releases, finish_interrupted_commands
from flows.resume import resume
from tasks.narration import tell_waiting


@flow(name="reconcile")
def reconcile(platform: str = "local") -> list[str]:
    """See that the platform runs, and take over every unfinished release whose process has died.

    Safe to run at any time and any number of times: a living release is left alone, and so is
    one that was let go on purpose; a paused one stays paused. Endpoints are gone on with one after
    the other; the next scheduled run takes those that wait. Returns the endpoints.

    Args:
        platform: `local`, `kubernetes` (the kubeconfig's current context),
            `kubernetes:CONTEXT`, or a saved platform block.
    """
    open_platform(platform).clusters.ensure(tell_waiting)
    finish_interrupted_commands(platform)
    abandoned = abandoned_releases(platform)
    for endpoint in abandoned:
        resume(endpoint, platform, unpause=False, return_state=True)
    return abandoned
