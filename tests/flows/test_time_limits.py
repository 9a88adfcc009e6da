"""Time limits of tasks end a hang, and nothing that has a patience of its own."""

from __future__ import annotations

import pytest
from prefect import Task

from blocks.cluster import KubernetesCluster
from tasks.build import build_image
from tasks.deploy import start_replicas
from tasks.provision import ensure_platform
from tasks.traffic import shift_traffic
from weir.azure.acr_run import QUEUE_SECONDS
from weir.images.settings import ToolSettings
from weir.kubernetes.asking import PATIENCE_SECONDS


@pytest.mark.parametrize("step", [shift_traffic, start_replicas], ids=lambda step: step.name)
def test_a_step_outlasts_all_the_patience_of_its_calls(step: Task[..., object]) -> None:
    assert step.timeout_seconds is not None
    assert step.timeout_seconds >= 10 * PATIENCE_SECONDS


def test_building_outlasts_the_longest_build_and_the_push_or_the_queue_before_it() -> None:
    longest = _most("image_build_timeout_seconds")
    assert build_image.timeout_seconds is not None
    assert build_image.timeout_seconds > longest + ToolSettings().push_timeout_seconds
    assert build_image.timeout_seconds > longest + QUEUE_SECONDS


def test_provisioning_outlasts_the_longest_time_that_a_gateway_may_take() -> None:
    longest = _most("gateway_timeout_seconds")
    assert ensure_platform.timeout_seconds is not None
    assert ensure_platform.timeout_seconds >= longest + 10 * PATIENCE_SECONDS


def _most(name: str) -> float:
    """The largest value that a field of the block may have."""
    (most,) = [
        one.le for one in KubernetesCluster.model_fields[name].metadata if hasattr(one, "le")
    ]
    return float(most)
