"""A watch that is not needed any more leaves neither thread nor connection."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psutil
import pytest

from tests.eventually import eventually
from tests.kubernetes import at_hand
from tests.kubernetes.at_hand import Place
from weir.endpoint import Version
from weir.kubernetes.following import Following
from weir.kubernetes.kinds import CONFIG_MAP
from weir.kubernetes.workloads import KubernetesWorkloads
from weir.spec.deployment import Deployment
from weir.spec.inference import Inference

pytestmark = pytest.mark.kubernetes


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with at_hand.place() as found:
        yield found


def watches() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if "weir-watch" in thread.name}


def test_its_end_ends_thread_and_connection_at_once(place: Place) -> None:
    api = place.api()
    others = watches()
    sockets = psutil.Process().net_connections(kind="tcp")
    followed = Following(api, CONFIG_MAP)
    followed.objects()
    eventually(lambda: api.calls["watch"] == 1)
    followed.close()
    eventually(lambda: watches() <= others, 5)
    # One stays, for the next call.
    assert len(psutil.Process().net_connections(kind="tcp")) <= len(sockets) + 1
    assert not followed.is_live


def test_a_version_whose_new_content_does_not_come_up_is_not_ready(place: Place) -> None:
    workloads = KubernetesWorkloads(place.api(), place.settings)

    def version(image: str) -> Version:
        return Version(
            name="v1",
            image=image,
            release=image,
            inference=Inference(image=image),
            deployment=Deployment(num_replicas=1),
        )

    def is_ready() -> bool:
        status = workloads.status("fraud", "v1")
        return status is not None and status.is_ready()

    workloads.apply("fraud", version("registry.example/good:1"))
    eventually(is_ready)
    workloads.apply("fraud", version("registry.example/never-ready:2"))
    eventually(lambda: len(workloads.status("fraud", "v1").replicas) == 2)
    assert not is_ready()
    workloads.apply("fraud", version("registry.example/good:3"))
    eventually(is_ready)
