"""Whether what a release ships is there, before anything is built of it."""

from __future__ import annotations

from pathlib import Path

from weir.errors import UserError
from weir.ports import BuildContext


def check_files(context: BuildContext) -> None:
    """Raises UserError ``image.*_missing`` for the first thing that is not there."""
    if not context.source_directory.is_dir():
        raise _missing("source_directory", "folder", context.source_directory)
    if context.inference.entry_script is not None:
        script = context.source_directory / context.inference.entry_script
        if not script.is_file():
            raise _missing("entry_script", "entry script", script)
    if context.requirements is not None and not context.requirements.is_file():
        raise _missing("requirements", "requirements file", context.requirements)
    if context.conda_file is not None and not context.conda_file.is_file():
        raise _missing("conda_file", "conda file", context.conda_file)
    if context.model_path is not None and not context.model_path.exists():
        raise UserError(
            "image.model_missing",
            "the model is not there (field model.path).",
            remedy="Correct model.path, or put the model there.",
            where=str(context.model_path),
        )


def _missing(field: str, what: str, path: Path) -> UserError:
    return UserError(
        f"image.{field}_missing",
        f"the {what} is not there (field inference.{field}).",
        remedy=f"Correct inference.{field}, or put it there.",
        where=str(path),
    )
