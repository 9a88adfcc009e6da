"""Images on this machine: a folder with code and model, and the environment they run in."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from weir.content import iter_files, tree_digest
from weir.errors import PermanentError, TemporaryError, UserError
from weir.images.checking import check_files
from weir.local.copying import copy_files
from weir.local.disk import PRIVATE_FILE, storage_error, write_atomically
from weir.local.environments import Environments, Recipe, hold_lock, is_young
from weir.local.home import Home
from weir.ports import BuildContext, Image, Say, unsaid
from weir.serving import SERVER
from weir.spec.conda import read_conda_file

_DESCRIPTION = "image.json"
_LAYOUT = "1"
_MODEL = Path("model", "1")
"""The Azure ML server takes the last part of AZUREML_MODEL_DIR for the model's version, and logs a
stack trace at every start when it is no number."""

_NOT_OF_THIS_MACHINE = {
    *("requirements", "conda_file"),
    *("image", "base_image", "enable_gpu", "extra_dockerfile_steps"),
}
"""Settings of container images, and files of which only what they say counts."""


@dataclass(frozen=True)
class ImageFolder:
    """Where an image's parts are. ``environment`` is None when its server brings its own."""

    source: Path
    model: Path
    """AZUREML_MODEL_DIR: holds the model's file or folder under its own name."""
    environment: Path | None


class LocalImages:
    """Implements ``Images`` below ``<home>/images`` and ``<home>/environments``."""

    retains = True

    def __init__(self, home: Path, environments: Environments | None = None) -> None:
        self._home = Home(home)
        self._environments = environments or Environments(self._home)

    def digest(self, context: BuildContext) -> str:
        """Raises UserError ``image.*`` for what is missing."""
        self._check(context)
        recipe = _recipe(context)
        settings = context.inference.model_dump(
            mode="json", exclude={"source_directory", *_NOT_OF_THIS_MACHINE}
        )
        parts = [
            _LAYOUT,
            tree_digest(context.source_directory, self._home.root),
            tree_digest(context.model_path) if context.model_path else "",
            context.model_path.name if context.model_path else "",
            recipe.digest() if recipe else "",
            json.dumps(settings, sort_keys=True),
        ]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]

    def build(self, context: BuildContext, say: Say = unsaid) -> Image:
        """Raises UserError ``image.*_missing``, PermanentError ``image.*`` or ``disk.full``."""
        digest = self.digest(context)
        folder = self._home.image(digest)
        recipe = _recipe(context)
        if self._is_there(folder):
            if recipe is not None:
                self._environments.ensure(recipe)
            return Image(digest, built=False)
        self._remove_abandoned()
        if recipe is not None:
            say("building the image: its environment")
        environment = self._environments.ensure(recipe) if recipe else None
        temporary = self._temporary()
        try:
            self._fill(temporary, context, environment)
            if self.digest(context) != digest:
                raise TemporaryError(
                    "image.source_changed",
                    "a file changed while the image was being built.",
                    remedy="Run again when nothing writes there.",
                    where=str(context.source_directory),
                )
            _move_into_place(temporary, folder)
        except OSError as error:
            raise storage_error(error, folder) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return Image(digest, built=True)

    def retain(self, digests: Sequence[str]) -> None:
        """See Images. What was asked for within ``environments.YOUNG_SECONDS`` stays too, so this
        is safe while other releases build."""
        used, gone = set(), []
        with hold_lock(self._lock):
            for folder in self._home.images.glob("[!.]*"):
                if folder.name in digests or is_young(folder / _DESCRIPTION):
                    used.add(_description(folder).get("environment") or "")
                else:
                    # Renamed at once, removed below: no image is ever half there.
                    gone.append(folder.rename(self._temporary()))
        for folder in gone:
            shutil.rmtree(folder, ignore_errors=True)
        self._remove_abandoned()
        self._environments.retain(used)

    def folder(self, digest: str) -> ImageFolder:
        """Where the parts of a built image are. Raises PermanentError ``image.unknown``."""
        folder = self._home.image(digest)
        environment = _description(folder).get("environment")
        there = (folder / _DESCRIPTION).exists()
        if not there or (environment and not self._environments.exists(environment)):
            raise PermanentError(
                "image.unknown",
                f"there is no complete image {digest}.",
                remedy="Release the version again; that builds it.",
                where=str(folder),
            )
        return ImageFolder(
            source=folder / "source",
            model=folder / _MODEL,
            environment=self._home.environment(environment) if environment else None,
        )

    @property
    def _lock(self) -> Path:
        return self._home.images / ".lock"

    def _temporary(self) -> Path:
        return self._home.images / f".{os.getpid()}-{secrets.token_hex(4)}.tmp"

    def _is_there(self, folder: Path) -> bool:
        """Whether the image is built; if so, it counts as young from now on."""
        with hold_lock(self._lock):
            there = (folder / _DESCRIPTION).exists()
            if there:
                (folder / _DESCRIPTION).touch()
            return there

    def _fill(self, folder: Path, context: BuildContext, environment: str | None) -> None:
        copy_files(iter_files(context.source_directory, self._home.root), folder / "source")
        (folder / _MODEL).mkdir(parents=True)
        model = context.model_path
        if model is not None:
            copy_files(iter_files(model), folder / _MODEL / (model.name if model.is_dir() else ""))
        write_atomically(
            folder / _DESCRIPTION, json.dumps({"environment": environment}), PRIVATE_FILE
        )

    def _check(self, context: BuildContext) -> None:
        inference = context.inference
        if inference.is_image_alone():
            raise UserError(
                "image.no_server",
                "the release names a container image alone, and this machine runs no images"
                " (field inference.image).",
                remedy="Give inference.entry_script or inference.command as well, or release it to"
                " a cluster: --platform kubernetes, or weir-kubernetes-cluster/NAME.",
                where=str(inference.image),
            )
        check_files(context)

    def _remove_abandoned(self) -> None:
        for folder in self._home.images.glob(".*.tmp"):
            pid = folder.name[1:].split("-")[0]
            if not pid.isdigit() or not psutil.pid_exists(int(pid)):
                shutil.rmtree(folder, ignore_errors=True)


def _recipe(context: BuildContext) -> Recipe | None:
    """An entry script needs the model server; another server needs what it asks for, if at all.

    Raises UserError ``image.conda_packages`` for what only conda could install.
    """
    pins = () if context.inference.entry_script is None else (SERVER,)
    if context.requirements is not None or context.conda_file is None:
        wanted = Recipe(context.requirements, pins)
        return wanted if pins or context.requirements else None
    conda = read_conda_file(context.conda_file)
    if conda.needs_conda():
        raise UserError(
            "image.conda_packages",
            f"the conda file wants {', '.join(conda.needs_conda())}, and this machine has no conda"
            " (field inference.conda_file).",
            remedy="Give inference.requirements beside it, which this machine then installs"
            " instead, or release it to a cluster.",
            where=str(context.conda_file),
        )
    return Recipe(context.conda_file, pins, conda.pip) if pins or conda.pip else None


def _move_into_place(built: Path, folder: Path) -> None:
    """Make ``built`` the image, unless another builder was faster: its content is the same."""
    if not (folder / _DESCRIPTION).exists():
        # What is left of an image whose removal was interrupted.
        shutil.rmtree(folder, ignore_errors=True)
    try:
        built.rename(folder)
    except OSError:
        if not (folder / _DESCRIPTION).exists():
            raise


def _description(folder: Path) -> dict[str, str | None]:
    try:
        found = json.loads((folder / _DESCRIPTION).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
