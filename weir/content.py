"""Digests of files and folders: the same content has the same digest, wherever it lies."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

IGNORED_FOLDERS = frozenset(
    {
        "__pycache__",
        ".git",
        ".hg",
        ".svn",
        ".venv",
        ".tox",
        ".nox",
        "node_modules",
        ".weir",
        ".ipynb_checkpoints",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
    }
)
IGNORED_SUFFIXES = (".pyc", ".pyo")
IGNORED_NAMES = frozenset({".DS_Store"})


def is_ignored(path: Path) -> bool:
    """Whether ``path`` is a by-product that is never shipped.

    Compiled Python, caches, version control, weir's own home, and virtual environments under any
    name.
    """
    if path.is_dir():
        return path.name in IGNORED_FOLDERS or (path / "pyvenv.cfg").is_file()
    return path.name in IGNORED_NAMES or path.name.endswith(IGNORED_SUFFIXES)


def iter_files(path: Path, without: Path | None = None) -> Iterator[tuple[str, Path]]:
    """Every file that ``path`` ships, as (relative POSIX path, where it lies), in a fixed order.

    A file gives itself under its own name. Links are followed, a folder inside itself once;
    sockets, devices, ``without``, and what ``is_ignored`` names are left out. Raises OSError.
    """
    if path.is_file():
        yield path.name, path
        return
    left_out = frozenset() if without is None else frozenset({without.resolve()})
    found = list(_walk(path, "", left_out))
    yield from sorted(found, key=lambda pair: os.fsencode(pair[0]))


def _walk(folder: Path, prefix: str, passed_over: frozenset[Path]) -> Iterator[tuple[str, Path]]:
    real = folder.resolve()
    if real in passed_over:
        return
    for entry in folder.iterdir():
        if is_ignored(entry) or (entry.is_file() and entry.resolve() in passed_over):
            continue
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/", passed_over | {real})
        elif entry.is_file():
            yield prefix + entry.name, entry


def file_digest(path: Path) -> str:
    """SHA-256 of the bytes of one file, in hexadecimal. Raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def tree_digest(path: Path, without: Path | None = None) -> str:
    """SHA-256, in hexadecimal, over names, executable bits and bytes of what ``path`` ships.

    Neither the place of ``path`` nor times or owners matter. A file has the digest of a folder
    that holds it alone. Raises OSError.
    """
    whole = hashlib.sha256()
    for relative, file in iter_files(path, without):
        executable = b"x" if file.stat().st_mode & 0o100 else b"-"
        # A name cannot hold NUL, so no two trees write the same bytes.
        whole.update(os.fsencode(relative) + b"\0" + executable)
        whole.update(bytes.fromhex(file_digest(file)))
    return whole.hexdigest()
