"""What every adapter of ``Workloads`` has to do, on the fake and on this machine's processes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.fakes import backend
from tests.fakes.workloads import FakeWorkloads
from tests.kubernetes import at_hand
from weir.clock import SystemClock
from weir.endpoint import Version
from weir.kubernetes.workloads import KubernetesWorkloads
from weir.local.images import LocalImages
from weir.local.supervisor import stop_everything
from weir.local.workloads import LocalWorkloads
from weir.ports import BuildContext, Workloads, WorkloadStatus
from weir.spec.deployment import Deployment
from weir.spec.inference import Inference

COMMAND = (sys.executable, "{source_dir}/backend.py", "v", "{port}")


class Subject:
    """An adapter, and a way to make versions that it can run."""

    def __init__(self, workloads: Workloads, image: Callable[[Inference], str]) -> None:
        self.workloads = workloads
        self._image = image

    def version(self, name: str, replicas: int = 1) -> Version:
        inference = Inference(command=COMMAND)
        return Version(
            name=name,
            image=self._image(inference),
            release="r",
            inference=inference,
            deployment=Deployment(num_replicas=replicas, scoring_timeout_ms=2000),
        )

    def ready(self, version: str) -> WorkloadStatus:
        def look() -> WorkloadStatus | None:
            status = self.workloads.status("fraud", version)
            return status if status and status.is_ready() else None

        return eventually(look)


@pytest.fixture(params=["fake", "local", "kubernetes"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    if request.param == "fake":
        yield Subject(FakeWorkloads(ready_after=2), lambda _: "image")
        return
    if request.param == "kubernetes":
        with at_hand.place() as place:
            workloads = KubernetesWorkloads(place.api(), place.settings)
            yield Subject(workloads, lambda _: at_hand.image())
        return
    source = tmp_path / "source"
    source.mkdir()
    (source / "backend.py").write_text(Path(backend.__file__).read_text())
    home = tmp_path / "home"
    images = LocalImages(home)

    def image(inference: Inference) -> str:
        return images.build(BuildContext(None, source, None, inference)).digest

    try:
        yield Subject(LocalWorkloads(home), image)
    finally:
        stop_everything(home)


def test_what_was_never_applied_has_no_status(subject: Subject) -> None:
    assert subject.workloads.status("fraud", "v1") is None
    assert subject.workloads.versions("fraud") == ()


def test_an_applied_version_becomes_ready_with_its_number_of_replicas(subject: Subject) -> None:
    subject.workloads.apply("fraud", subject.version("v1", replicas=2))
    status = subject.ready("v1")
    assert (status.version, status.desired, status.ready()) == ("v1", 2, 2)
    assert len({replica.address for replica in status.replicas}) == 2
    assert subject.workloads.versions("fraud") == ("v1",)


def test_applying_the_same_version_again_changes_nothing(subject: Subject) -> None:
    version = subject.version("v1")
    subject.workloads.apply("fraud", version)
    before = subject.ready("v1")
    subject.workloads.apply("fraud", version)
    assert subject.workloads.status("fraud", "v1") == before


def test_fewer_replicas_leave_one_of_those_that_ran(subject: Subject) -> None:
    subject.workloads.apply("fraud", subject.version("v1", replicas=2))
    before = {replica.name for replica in subject.ready("v1").replicas}
    subject.workloads.apply("fraud", subject.version("v1", replicas=1))

    def remaining() -> list[str]:
        status = subject.workloads.status("fraud", "v1")
        return [replica.name for replica in status.replicas] if status else []

    eventually(lambda: len(remaining()) == 1)
    assert set(remaining()) < before


def test_two_versions_run_side_by_side_and_one_goes_without_the_other(subject: Subject) -> None:
    subject.workloads.apply("fraud", subject.version("v1"))
    subject.workloads.apply("fraud", subject.version("v10"))
    subject.ready("v10")
    kept = subject.ready("v1").replicas
    subject.workloads.remove("fraud", "v10")
    assert subject.workloads.versions("fraud") == ("v1",)
    assert subject.ready("v1").replicas == kept


def test_a_removed_version_is_gone(subject: Subject) -> None:
    subject.workloads.apply("fraud", subject.version("v1"))
    subject.ready("v1")
    subject.workloads.remove("fraud", "v1")
    assert subject.workloads.status("fraud", "v1") is None
    assert subject.workloads.versions("fraud") == ()


def test_every_replica_has_a_log(subject: Subject) -> None:
    subject.workloads.apply("fraud", subject.version("v1", replicas=2))
    names = {replica.name for replica in subject.ready("v1").replicas}
    assert set(subject.workloads.logs("fraud", "v1", 10)) == names


def test_a_watch_sees_a_version_become_ready(subject: Subject) -> None:
    subject.workloads.apply("fraud", subject.version("v1"))
    with subject.workloads.watch("fraud", "v1") as watch:

        def look() -> bool:
            watch.wait(1, SystemClock())
            status = watch.status()
            return status is not None and status.is_ready()

        eventually(look)


def test_a_watch_of_what_was_never_applied_has_no_status(subject: Subject) -> None:
    with subject.workloads.watch("fraud", "v1") as watch:
        assert watch.status() is None


def test_asking_for_the_difference_changes_nothing(subject: Subject) -> None:
    subject.workloads.difference("fraud", subject.version("v1"))
    assert subject.workloads.status("fraud", "v1") is None


def test_the_same_version_differs_in_nothing(subject: Subject) -> None:
    version = subject.version("v1")
    subject.workloads.apply("fraud", version)
    subject.ready("v1")
    assert subject.workloads.difference("fraud", version) == ()


def test_removing_twice_is_the_same_as_once(subject: Subject) -> None:
    subject.workloads.apply("fraud", subject.version("v1"))
    subject.workloads.remove("fraud", "v1")
    subject.workloads.remove("fraud", "v1")
    assert subject.workloads.versions("fraud") == ()
