"""Images that a registry of Azure builds by itself, against the double's ACR Tasks."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from blocks import AzureCluster
from tests.azure.acr import ID, SIGNATURE, Acr
from tests.azure.conftest import identity_at
from tests.azure.double import Double
from tests.azure.fields import block_fields
from weir.azure import blobs
from weir.azure.acr_builder import AcrBuilder, TaskSettings
from weir.azure.asking import Asking
from weir.azure.container_registry import ContainerRegistry
from weir.azure.identity import credential
from weir.azure.refusals import AzureRefused
from weir.azure.resource_ids import REGISTRY, parse
from weir.errors import PermanentError, TemporaryError, WeirError
from weir.images.settings import ImageSettings
from weir.ports import BuildContext
from weir.spec.inference import Inference


@dataclass
class Works:
    """A registry of the double, and a model to build. ``said`` is what whoever waits was told."""

    azure: Double
    acr: Acr
    folder: Path
    slept: list[float]
    said: list[str] = field(default_factory=list)

    def builder(
        self,
        registry_id: str = ID,
        images: ImageSettings | None = None,
        runs: TaskSettings | None = None,
    ) -> AcrBuilder:
        asking = Asking(
            credential(identity_at(self.azure), self.azure.cloud),
            self.azure.cloud,
            sleep=self.slept.append,
        )
        registry = ContainerRegistry(asking, parse(registry_id, REGISTRY))
        return AcrBuilder(
            registry,
            images or ImageSettings(),
            runs or TaskSettings(),
            self.folder / "runs",
            sleep=self.slept.append,
        )

    def context(self, text: str = "print(1)", weights: bytes = b"weights") -> BuildContext:
        source = self.folder / "source"
        source.mkdir(exist_ok=True)
        (source / "serve.py").write_text(text)
        model = self.folder / "model.bin"
        model.write_bytes(weights)
        settings = Inference.model_validate({"command": ("python", "serve.py")})
        return BuildContext(model, source, None, settings, name="fraud")

    def build(self, images: ImageSettings | None = None, runs: TaskSettings | None = None) -> str:
        builder = self.builder(images=images, runs=runs)
        return builder.build(self.context(), self.said.append).digest

    def scheduled(self) -> int:
        return len(self.azure.asked("POST", "/scheduleRun"))


@pytest.fixture
def works(azure: Double, slept: list[float], tmp_path: Path) -> Works:
    acr = Acr(azure.directory)
    azure.serve(acr)
    return Works(azure, acr, tmp_path, slept)


def test_the_registry_builds_what_is_sent_and_the_log_is_heard(works: Works) -> None:
    name = works.build()
    host = works.azure.base.removeprefix("https://")
    assert name.startswith(f"{host}/weir/fraud:")
    assert list(works.acr.images) == [name.removeprefix(f"{host}/")]
    (files,) = works.acr.contexts
    assert files["source/serve.py"] == b"print(1)"
    assert files["model/model.bin"] == b"weights"
    assert [line for line in works.said if line in works.acr.lines] == list(works.acr.lines)
    assert any("Queued" in line or "Started" in line for line in works.said)


def test_a_run_that_waits_its_turn_does_not_fill_the_log(works: Works) -> None:
    looks = 0

    class Patient(list[float]):
        """Time of the double passes by looks: after fifty of them the run may end."""

        def append(self, _: float) -> None:
            nonlocal looks
            looks += 1
            if looks == 50:
                works.acr.let_go()

    works.slept = Patient()
    works.acr.hold()
    works.build()
    waiting = [line for line in works.said if "waiting for Azure" in line]
    assert looks >= 50
    assert len(waiting) <= 3
    assert "sent 100 % of the build context, 1 kB" in works.said


def test_a_block_foretells_the_image_that_its_registry_builds(works: Works) -> None:
    fields = block_fields(works.azure, registry="models", home=str(works.folder))
    block = AzureCluster(cluster_name="prod", **fields)
    assert block.images().digest(works.context()) == works.build()


def test_an_image_that_is_there_is_not_built_again_by_anybody(works: Works) -> None:
    works.build()
    assert not works.builder().build(works.context()).built
    assert works.scheduled() == 1


def test_a_large_context_goes_in_blocks_and_comes_together_again(works: Works) -> None:
    # Bytes that do not shrink when they are packed.
    noise = random.Random(7).randbytes(2 * blobs.BLOCK_BYTES)
    works.builder().build(works.context(weights=noise), works.said.append)
    assert works.acr.contexts[0]["model/model.bin"] == noise
    assert len(works.azure.asked("PUT", "/blobs/source")) > 3
    assert any(line.startswith("sent 100 % of the build context, 16.8 MB") for line in works.said)


def test_what_is_asked_for_says_platform_time_and_pool(works: Works) -> None:
    works.build(ImageSettings(platform="linux/arm64/v8"), TaskSettings("inside", 900))
    (asked,) = works.azure.asked("POST", "/scheduleRun")
    body = asked.json()
    assert body["platform"] == {"os": "linux", "architecture": "arm64", "variant": "v8"}
    assert (body["timeout"], body["agentPoolName"]) == (900, "inside")
    assert body["isPushEnabled"] is True


class Killed(BaseException):
    """What ends a builder in the middle of anything."""


def dying_at(words: str) -> Callable[[str], None]:
    def say(line: str) -> None:
        if words in line:
            raise Killed

    return say


def test_whoever_comes_after_a_killed_builder_waits_for_its_run(works: Works) -> None:
    works.acr.hold()
    with pytest.raises(Killed):
        works.builder().build(works.context(), dying_at("Step 1/2"))

    def let_go(line: str) -> None:
        if "already" in line:
            works.acr.let_go()

    assert works.builder().build(works.context(), let_go).built
    assert works.scheduled() == 1
    assert list((works.folder / "runs").iterdir()) == []


def test_a_run_that_ended_while_nobody_waited_is_taken_at_its_word(works: Works) -> None:
    with pytest.raises(Killed):
        works.builder().build(works.context(), dying_at("Step 1/2"))
    assert not works.builder().build(works.context()).built
    assert works.scheduled() == 1


def test_a_run_that_failed_or_is_forgotten_is_not_waited_for(works: Works) -> None:
    works.acr.end = "Failed"
    with pytest.raises(Killed):
        works.builder().build(works.context(), dying_at("Step 1/2"))
    (note,) = (works.folder / "runs").iterdir()
    works.acr.end = "Succeeded"
    works.build()
    works.acr.images.clear()
    note.write_text("ca999")
    works.build()
    assert works.scheduled() == 3


def test_whoever_stops_waiting_is_told_what_goes_on_and_how_to_stop_it(works: Works) -> None:
    def stop(line: str) -> None:
        works.said.append(line)
        if "Step 1/2" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        works.builder().build(works.context(), stop)
    assert "az acr task cancel-run --registry models --subscription" in works.said[-1]
    assert "--run-id ca1" in works.said[-1]


@pytest.mark.parametrize(
    ("line", "reason", "kind"),
    [
        ("COPY failed: file not found", "image.build_failed", PermanentError),
        (
            "ERROR: No matching distribution found for x==9",
            "image.requirements_unresolvable",
            PermanentError,
        ),
        ("toomanyrequests: You have reached your pull rate limit", "image.base_unreachable", None),
    ],
)
def test_a_build_that_fails_says_why_with_its_last_lines(
    works: Works, line: str, reason: str, kind: type[WeirError] | None
) -> None:
    works.acr.lines = ("Step 1/2 : FROM base", line)
    works.acr.end = "Failed"
    with pytest.raises(kind or TemporaryError) as failed:
        works.build()
    assert failed.value.reason == reason
    assert line in failed.value.message


def test_the_last_lines_of_a_log_that_is_written_late_are_waited_for(works: Works) -> None:
    works.acr.lines = ("Step 1/2 : FROM base", "COPY failed: file not found")
    works.acr.end, works.acr.log_is_late = "Failed", 3
    with pytest.raises(PermanentError, match="COPY failed: file not found"):
        works.build()


def test_a_push_that_is_refused_is_not_laid_on_the_base(works: Works) -> None:
    works.acr.lines = ("Pushing image: models/weir/fraud:1, attempt 1", "denied: unauthorized")
    works.acr.end = "Failed"
    with pytest.raises(PermanentError) as failed:
        works.build()
    assert failed.value.reason == "image.registry_sign_in"


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("Timeout", "image.builder_timeout"),
        ("Canceled", "image.build_canceled"),
        ("Error", "image.builder_failed"),
    ],
)
def test_a_run_that_was_ended_says_so(works: Works, end: str, reason: str) -> None:
    works.acr.end = end
    with pytest.raises(WeirError) as failed:
        works.build()
    assert failed.value.reason == reason


def test_a_run_that_ends_well_without_an_image_is_a_failure(works: Works) -> None:
    works.acr.pushes = False
    with pytest.raises(TemporaryError) as failed:
        works.build()
    assert failed.value.reason == "image.push_failed"
    assert sum(works.slept) >= 60


def test_a_replica_that_has_the_image_a_little_later_is_waited_for(works: Works) -> None:
    works.acr.replica_looks = 4
    assert works.builder().build(works.context()).built


def test_a_run_that_is_not_found_for_a_moment_goes_on(works: Works) -> None:
    works.acr.forgets = 3
    assert works.build()
    works.acr.images.clear()
    works.acr.forgets = 1000
    with pytest.raises(TemporaryError) as lost:
        works.build()
    assert lost.value.reason == "image.builder_failed"


def test_two_models_of_the_same_content_are_two_images_with_a_run_each(works: Works) -> None:
    with pytest.raises(Killed):
        works.builder().build(works.context(), dying_at("Step 1/2"))
    works.acr.images.clear()
    other = replace(works.context(), name="churn")
    assert "/weir/churn:" in works.builder().build(other).digest
    assert works.scheduled() == 2


def test_a_registry_with_permissions_by_repository_builds_in_the_callers_name(
    works: Works,
) -> None:
    works.acr.by_repository = True
    assert works.build()
    works.acr.may_pull = False
    with pytest.raises(PermanentError) as refused:
        works.build()
    assert '"Container Registry Repository Writer"' in refused.value.remedy


def test_an_answer_that_tells_a_place_and_no_run_is_followed(works: Works) -> None:
    works.acr.tells_by_location = True
    assert works.build()


def test_a_folder_for_notes_that_is_none_fails_no_build(works: Works) -> None:
    (works.folder / "runs").write_text("a file")
    assert works.build()


def test_an_image_that_another_builder_pushed_meanwhile_counts(works: Works) -> None:
    works.acr.end = "Failed"
    name = works.builder().digest(works.context()).partition("/")[2]

    def push() -> None:
        works.acr.images[name] = "sha256:other"

    works.acr.before_the_end = push
    assert works.build().endswith(name)


def test_a_log_that_cannot_be_read_fails_no_build(works: Works) -> None:
    works.azure.fail("/blobs/logs", 400, "Whatever", times=100)
    assert works.build()


def test_a_link_to_the_log_that_has_run_out_is_asked_for_anew(works: Works) -> None:
    works.acr.links_hold = 2
    works.build()
    heard = [line for line in works.said if line in works.acr.lines]
    assert heard == list(works.acr.lines)
    assert len(works.azure.asked("POST", "listLogSasUrl")) > 1


def test_busy_services_and_broken_connections_are_asked_again(works: Works) -> None:
    works.azure.fail("/listBuildSourceUploadUrl", 429, "TooManyRequests", retry_after="4")
    works.azure.hang_up("/blobs/source", times=1)
    works.azure.fail("/scheduleRun", 503, "ServerBusy", retry_after="6")
    works.azure.fail(r"/runs/ca1$", 500, "InternalError", times=1)
    assert works.build()
    assert works.scheduled() == 2
    assert {4.0, 6.0} <= set(works.slept)


def test_a_subscription_without_tasks_is_told_how_else_to_build(works: Works) -> None:
    works.azure.fail("/scheduleRun", 400, "TasksOperationsNotAllowed")
    with pytest.raises(AzureRefused) as refused:
        works.build()
    assert refused.value.reason == "azure.tasks_not_allowed"
    assert "image_registry" in refused.value.remedy


def test_a_registry_that_is_not_there_is_named(works: Works) -> None:
    with pytest.raises(AzureRefused) as refused:
        works.builder(ID.replace("models", "modles")).build(works.context())
    assert refused.value.reason == "azure.resource_missing"
    assert "modles" in str(refused.value)


def test_an_identity_that_may_not_pull_is_told_the_role(works: Works) -> None:
    works.acr.may_pull = False
    with pytest.raises(PermanentError) as refused:
        works.build()
    assert refused.value.reason == "image.registry_sign_in"
    assert f'"AcrPull" --scope {ID}' in refused.value.remedy
    assert works.scheduled() == 0


def test_no_permission_of_a_link_reaches_words_or_files(works: Works) -> None:
    works.azure.fail("/blobs/source", 403, "AuthenticationFailed")
    with pytest.raises(WeirError) as refused:
        works.build()
    assert refused.value.reason == "azure.upload_refused"
    works.build()
    written = [path.read_text() for path in (works.folder / "runs").rglob("*")]
    told = "\n".join([str(refused.value), repr(refused.value), *works.said, *written])
    assert "planted" not in told
    assert SIGNATURE not in told


def test_a_login_in_a_line_of_the_log_is_not_passed_on(works: Works) -> None:
    works.acr.lines = ("Looking in indexes: https://user:planted@index.example/simple",)
    works.build()
    assert "Looking in indexes: https://…@index.example/simple" in works.said
