"""What every task has in common: retries for what may pass, none for what will not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import exponential_backoff

from weir.errors import TemporaryError

HANG_SECONDS = 1800
"""Limit of a step of a few calls. It guards against a hang alone: every call has its own patience,
on a cluster two minutes, which a shorter limit of several calls would cut off in the midst."""


def may_pass(_task: Any, _run: TaskRun, state: State[Any]) -> bool:
    """Whether another try makes sense: the step failed with a TemporaryError."""
    return isinstance(state.result(raise_on_failure=False), TemporaryError)


def outward(timeout_seconds: float | None, retries: int = 4) -> Callable[..., Any]:
    """A task around one outward step: back-off 1, 2, 4, 8 s; its results are never cached.

    ``timeout_seconds`` is None for a step that has a deadline of its own.
    """
    return partial(
        task,
        retries=retries,
        retry_delay_seconds=exponential_backoff(backoff_factor=1),
        retry_jitter_factor=0.2,
        retry_condition_fn=may_pass,
        timeout_seconds=timeout_seconds,
        cache_policy=NO_CACHE,
        persist_result=False,
    )
