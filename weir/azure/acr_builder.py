"""Images built by the registry itself, with ACR Tasks: nothing is built where weir runs."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from weir.azure.acr_run import BuildRun, work_of
from weir.azure.acr_tasks import AcrTasks, BuildRequest
from weir.azure.blobs import upload
from weir.azure.container_registry import ContainerRegistry
from weir.azure.operations import asked_for
from weir.images.context import DOCKERFILE, check_unchanged, write_archive
from weir.images.failures import unwritable
from weir.images.planning import PlannedImage, planned
from weir.images.settings import ImageSettings
from weir.ports import BuildContext, Image, Say, unsaid

_REPLICA_LOOKS = 13
_REPLICA_SECONDS = 5.0


@dataclass(frozen=True)
class TaskSettings:
    """Of a run. ``agent_pool`` is one of the registry's own, for one that only its network reaches;
    Azure's when empty."""

    agent_pool: str = ""
    timeout_seconds: int = 3600


class AcrBuilder:
    """Implements ``Images``: REGISTRY/REPOSITORY/MODEL:TAG, where the tag is the content.

    ``folder`` keeps which run builds what, so that whoever comes after a killed builder waits for
    that run; where it is lost, another run builds the same again.
    """

    retains = False

    def __init__(
        self,
        registry: ContainerRegistry,
        images: ImageSettings,
        runs: TaskSettings,
        folder: Path,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._registry, self._images, self._runs, self._folder = registry, images, runs, folder
        self._tasks = AcrTasks(registry)
        self._sleep = sleep

    def digest(self, context: BuildContext) -> str:
        """Asks ARM for the registry's address, once. Raises UserError ``image.*``, AzureRefused."""
        return str(self._planned(context).reference)

    def build(self, context: BuildContext, say: Say = unsaid) -> Image:
        """See Images; ``say`` is told the run's log as it is written.

        Raises UserError, PermanentError and TemporaryError ``image.*``, ``azure.*`` or
        ``disk.full``.
        """
        plan = self._planned(context)
        image = str(plan.reference)
        if self._is_there(plan):
            return Image(image, built=False)
        note = self._folder / self._key(image)
        run_id = self._noted(note)
        if run_id:
            say(f"run {run_id} of registry {self._registry.target.name} builds {image} already")
        elif note.exists() and self._is_there(plan):
            # It came to its end between the two questions.
            return Image(image, built=False)
        run_id = run_id or self._begun(note, plan, context, say)
        run = BuildRun(self._registry, run_id, image, say)
        run.follow(self._runs.timeout_seconds, self._sleep)
        with suppress(OSError):
            note.unlink(missing_ok=True)
        # Whoever built it: a tag is there when all of the image is. Where the registry has
        # replicas, the one that is asked may not have it yet.
        looks = _REPLICA_LOOKS if run.has_succeeded else 1
        for look in range(looks):
            if self._is_there(plan):
                return Image(image, built=True)
            if look < looks - 1:
                self._sleep(_REPLICA_SECONDS)
        raise run.failure()

    def retain(self, digests: Sequence[str]) -> None:
        """Nothing: a registry has rules of its own for what it keeps."""

    def _key(self, image: str) -> str:
        """Of the note about ``image``: no two images and no two registries share one."""
        whole = f"{self._registry.target}|{image}".lower()
        return hashlib.sha256(whole.encode()).hexdigest()[:24]

    def _planned(self, context: BuildContext) -> PlannedImage:
        return planned(context, replace(self._images, registry=self._registry.login_server))

    def _is_there(self, plan: PlannedImage) -> bool:
        return self._registry.find(plan.reference.repository, plan.reference.tag) is not None

    def _noted(self, note: Path) -> str:
        """The run that an earlier builder began, while it is not over; else empty."""
        run_id = ""
        with suppress(OSError, UnicodeDecodeError):
            run_id = note.read_text()
        found = self._tasks.find(run_id) if run_id.isalnum() else None
        return run_id if found is not None and not found.is_over else ""

    def _begun(self, note: Path, plan: PlannedImage, context: BuildContext, say: Say) -> str:
        for line in plan.prepared.loose:
            say(f"not exact, so chosen now and kept in this image: {line}")
        reference = plan.reference
        request = BuildRequest(
            name=f"{reference.repository}:{reference.tag}",
            source=self._uploaded(plan, context, say),
            dockerfile=DOCKERFILE,
            platform=self._images.platform or ImageSettings.platform,
            timeout_seconds=self._runs.timeout_seconds,
            agent_pool=self._runs.agent_pool,
            by_caller=self._registry.has_repository_permissions,
        )
        with asked_for(work_of(self._registry, str(reference)), say):
            run_id = self._tasks.schedule(request).run_id
        # Without a note the same is built twice at worst, which fails nobody's release.
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            note.write_text(run_id)
        say(f"run {run_id} of registry {self._registry.target.name} builds {reference}")
        return run_id

    def _uploaded(self, plan: PlannedImage, context: BuildContext, say: Say) -> str:
        """Where the registry has the context now."""
        try:
            with tempfile.TemporaryFile() as archive:
                written = write_archive(plan.prepared, archive)
                check_unchanged(written, plan.content, context)
                size = archive.tell()
                archive.seek(0)
                source = self._tasks.source()
                registry = self._registry
                upload(registry.asking, source.address, archive, size, say, registry.where)
                return source.path
        except OSError as error:
            raise unwritable(error, Path(tempfile.gettempdir())) from error
