"""Copies of what a file or folder ships."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path


def copy_files(files: Iterable[tuple[str, Path]], target: Path) -> None:
    """Copy ``files``, as ``weir.content.iter_files`` gives them, into the folder ``target``.

    The copies stand alone and are the owner's only. Raises OSError.
    """
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, path in files:
        destination = target / name
        destination.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(path, destination)
        destination.chmod(0o700 if os.access(path, os.X_OK) else 0o600)
