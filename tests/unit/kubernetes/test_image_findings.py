"""Images that cannot be pulled."""

from __future__ import annotations

import pytest

from tests.unit.kubernetes.finding import finding
from tests.unit.kubernetes.objects import (
    IMAGE,
    POD,
    event,
    pod,
    waiting,
)

BACK_OFF = f'Back-off pulling image "{IMAGE}"'


NOT_FOUND = f'failed to resolve reference "{IMAGE}": {IMAGE}: not found'


REFUSED = "failed to fetch anonymous token: unexpected status: 401 Unauthorized"


@pytest.mark.parametrize(
    ("reason", "message", "final", "remedy"),
    [
        ("ErrImagePull", NOT_FOUND, True, "inference.image"),
        ("ErrImagePull", REFUSED, True, "image_pull_secret"),
        ("ErrImagePull", "manifest unknown", True, "inference.image"),
        ("ErrImagePull", "pull access denied", True, "image_pull_secret"),
        ("ErrImagePull", "dial tcp 10.0.0.1:443: i/o timeout", False, "nodes can reach it"),
        ("ErrImagePull", "code = Unknown desc = context canceled", False, "reach it"),
        ("ErrImagePull", "no match for platform in manifest: not found", True, "architecture"),
        ("ImagePullBackOff", f"{BACK_OFF}: ErrImagePull: {NOT_FOUND}", True, "inference.image"),
        ("ImagePullBackOff", f"{BACK_OFF}: ErrImagePull: {REFUSED}", True, "image_pull_secret"),
        ("ImagePullBackOff", BACK_OFF, True, "reach it"),
        ("ImagePullBackOff", f"{BACK_OFF}: 503 Service Unavailable", False, "reach it"),
        ("RegistryUnavailable", "", False, "reach it"),
        ("ErrImageNeverPull", f'Container image "{IMAGE}" is not present', True, "inference.image"),
        ("InvalidImageName", "invalid reference format", True, "inference.image"),
    ],
)
def test_an_image_that_cannot_be_pulled_is_named_with_what_to_do(
    reason: str, message: str, final: bool, remedy: str
) -> None:
    it = finding(pod(waiting(reason, message)))
    assert it.reason == "workload.image_pull"
    assert IMAGE in it.words
    assert f"container model of pod {POD} on node aks-1" in it.words
    assert it.final is final
    assert remedy in it.remedy


def test_an_older_kubelet_tells_in_an_event_why_it_backs_off() -> None:
    told = event("Failed", f'Failed to pull image "{IMAGE}": 401 Unauthorized')
    it = finding(pod(waiting("ImagePullBackOff", BACK_OFF)), events=(told,))
    assert "401 Unauthorized" in it.words
    assert "image_pull_secret" in it.remedy


def test_an_image_called_denied_is_not_taken_for_a_refusal() -> None:
    image = "shop.azurecr.io/denied:1"
    it = finding(pod(waiting("ErrImagePull", f"{image}: i/o timeout", image=image)))
    assert not it.final


def test_the_image_of_the_guard_is_the_platform_blocks() -> None:
    it = finding(pod(inits=[waiting("ErrImagePull", NOT_FOUND, name="guard")]))
    assert "guard (weir's own Envoy)" in it.words
    assert "guard_image" in it.remedy
