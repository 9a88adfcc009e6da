"""What decides the environment that a requirements file makes.

Two files that give the same words here make the same environment, as far as the package index lets
them. Reads files, changes none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from weir.content import tree_digest
from weir.errors import UserError

_INCLUDE = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[\s=]+(\S+)")
_EDITABLE = re.compile(r"^\s*(?:-e|--editable)[\s=]")
_FOLDER_OF_PACKAGES = re.compile(r"^\s*(?:-f|--find-links)[\s=]+(\S+)")
_COMMENT = re.compile(r"(^|\s)#.*$")
_ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2")


def words_of(requirements: Path) -> Iterator[str]:
    """The lines that count, those of included files too, and a digest of each local package.

    Raises UserError ``image.requirements_missing`` for a file that cannot be read, and
    ``image.requirements_editable`` for what would stay a link to somebody's working copy.
    """
    yield from _words(requirements, requirements.parent, set())


def _words(requirements: Path, base: Path, seen: set[Path]) -> Iterator[str]:
    if requirements.resolve() in seen:
        return
    seen.add(requirements.resolve())
    for line in _read(requirements).splitlines():
        kept = _COMMENT.sub("", line).strip()
        if _EDITABLE.match(kept):
            raise UserError(
                "image.requirements_editable",
                f"{kept!r} would make an environment that changes with the files it points to.",
                remedy="Write the path alone, without -e.",
                where=str(requirements),
            )
        if included := _INCLUDE.match(kept):
            yield kept.split()[0].split("=")[0]
            yield from _words(requirements.parent / included[1], base, seen)
        elif kept:
            yield kept
            local = _local_path(kept, base)
            if local is not None:
                yield _digest(local, requirements)


def _local_path(line: str, base: Path) -> Path | None:
    """The file or folder on this machine that the line names, if it is there."""
    found = _FOLDER_OF_PACKAGES.match(line)
    named = found[1] if found else line.split(";")[0].split(" @ ")[-1].strip()
    named = re.sub(r"\[[^\]]*\]$", "", named)
    if named.startswith("file:"):
        named = unquote(urlsplit(named).path)
    looks_like_a_path = "/" in named or named in (".", "..") or named.endswith(_ARCHIVES)
    if "://" in named or not (found or looks_like_a_path):
        return None
    path = base / named
    return path if path.exists() else None


def _read(requirements: Path) -> str:
    try:
        return requirements.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(error, requirements) from error


def _digest(local: Path, requirements: Path) -> str:
    try:
        return tree_digest(local)
    except OSError as error:
        raise _unreadable(error, requirements) from error


def _unreadable(error: Exception, requirements: Path) -> UserError:
    return UserError(
        "image.requirements_missing",
        f"the requirements cannot be read: {error}.",
        remedy="Correct inference.requirements, or the file that includes this one.",
        where=str(requirements),
    )
