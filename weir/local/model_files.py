"""Copies of a model and of its release file's folder."""

from __future__ import annotations

from pathlib import Path

from weir.content import iter_files
from weir.errors import UserError
from weir.local.copying import copy_files
from weir.spec.load import load_release
from weir.spec.problems import SpecError

MAXIMUM_RELEASE_BYTES = 500 * 1000 * 1000


def require_release_of(model: str, release_file: Path) -> None:
    """The release file is right, and of ``model``. Raises SpecError, UserError otherwise."""
    wanted = load_release(release_file, with_its_model=False).spec.model.name
    if wanted != model:
        raise UserError(
            "release.other_model",
            f"the release is of model {wanted}, not of {model}.",
            remedy=f"Change model.name in it, or register the model as {wanted}.",
            where=str(release_file),
        )


def require_whole(release_file: Path, copy: Path) -> None:
    """The copy of ``release_file`` works where it is: what it names was copied with it.

    Raises UserError ``model.release_not_whole``.
    """
    try:
        load_release(copy, with_its_model=False)
    except SpecError as error:
        missing = ", ".join(problem.field for problem in error.problems)
        raise UserError(
            "model.release_not_whole",
            f"it names files outside its folder ({missing}), which are not registered with it.",
            remedy="Put them into the folder of the release file.",
            where=str(release_file),
        ) from error


def copy_model(source: Path, into: Path) -> None:
    """Copy the file or folder ``source`` into the new folder ``into``, keeping its name.

    Symbolic links are followed, so that the copy stands alone.
    """
    source = source.resolve()
    copy_files(iter_files(source), into / source.name if source.is_dir() else into)


def copy_release(release_file: Path, model: Path, into: Path) -> None:
    """Copy the folder of ``release_file`` to ``into``, so that its relative paths go on working.

    Left out are the model itself, caches, virtual environments and version control. Raises
    UserError ``model.release_too_big`` above 500 MB, before anything is copied.
    """
    folder = release_file.resolve().parent
    files = dict(iter_files(folder, without=model))
    size = sum(file.stat().st_size for file in files.values())
    if size > MAXIMUM_RELEASE_BYTES:
        largest = max(files, key=lambda name: files[name].stat().st_size)
        raise UserError(
            "model.release_too_big",
            f"the folder of the release file holds {size / 1e6:.0f} MB, the largest file being"
            f" {largest}; allowed are {MAXIMUM_RELEASE_BYTES / 1e6:.0f} MB.",
            remedy="Put the release file into a folder with nothing but what it ships.",
            where=str(release_file),
        )
    copy_files(files.items(), into)
