"""Time limits of tasks end a hang, and nothing that has a patience of its own."""

from __future__ import annotations

import pytest
from prefect import Task

from blocks.cluster import KubernetesCluster
from tasks.deploy import start_replicas
from tasks.provision import ensure_platform
from tasks.traffic import shift_traffic
from weir.kubernetes.asking import PATIENCE_SECONDS


@pytest.mark.parametrize("step", [shift_traffic, start_replicas], ids=lambda step: step.name)
def test_a_step_outlasts_all_the_patience_of_its_calls(step: Task[..., object]) -> None:
    assert step.timeout_seconds is not None
    assert step.timeout_seconds >= 10 * PATIENCE_SECONDS


def test_provisioning_outlasts_the_longest_time_that_a_gateway_may_take() -> None:
    field = KubernetesCluster.model_fields["gateway_timeout_seconds"]
    (longest,) = [one.le for one in field.metadata if hasattr(one, "le")]
    assert ensure_platform.timeout_seconds is not None
    assert ensure_platform.timeout_seconds >= longest + 10 * PATIENCE_SECONDS
