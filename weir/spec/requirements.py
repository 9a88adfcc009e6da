"""What decides the environment that a requirements file makes.

Two files that give the same words here make the same environment, as far as the package index lets
them. Reads files, changes none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from weir.content import tree_digest
from weir.errors import UserError

_INCLUDE = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[\s=]+(\S+)")
_EDITABLE = re.compile(r"^\s*(?:-e|--editable)[\s=]")
_FOLDER_OF_PACKAGES = re.compile(r"^\s*(?:-f|--find-links)[\s=]+(\S+)")
_COMMENT = re.compile(r"(^|\s)#.*$")
_ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2")


@dataclass(frozen=True)
class Line:
    """One line that counts, without its comment. ``included`` is the file that it includes, as
    ``-r`` and ``-c`` do; ``local`` the file or folder of packages on this machine that it names,
    ``named`` how it names either."""

    text: str
    included: Path | None = None
    local: Path | None = None
    named: str = ""


def words_of(requirements: Path) -> Iterator[str]:
    """The lines that count, those of included files too, and a digest of each local package.

    Raises UserError ``image.requirements_missing`` for a file that cannot be read, and
    ``image.requirements_editable`` for what would stay a link to somebody's working copy.
    """
    yield from words_in(lines_of(requirements), requirements)


def words_in(lines: Iterable[str], file: Path) -> Iterator[str]:
    """As ``words_of``, for ``lines`` that stand in ``file``, such as a conda file's pip section."""
    yield from _words(lines, file, file.parent, set())


def lines_of(requirements: Path) -> list[str]:
    """Raises UserError ``image.requirements_missing``."""
    return _read(requirements).splitlines()


def counting(lines: Iterable[str], file: Path, base: Path) -> Iterator[Line]:
    """Those of the ``lines`` of ``file`` that count; paths of packages start from ``base``.

    Raises UserError ``image.requirements_editable``.
    """
    for line in lines:
        kept = _COMMENT.sub("", line).strip()
        if _EDITABLE.match(kept):
            raise UserError(
                "image.requirements_editable",
                f"{kept!r} would make an environment that changes with the files it points to.",
                remedy="Write the path alone, without -e.",
                where=str(file),
            )
        if included := _INCLUDE.match(kept):
            yield Line(kept, included=file.parent / included[1], named=included[1])
        elif kept:
            named, local = _local_path(kept, base)
            yield Line(kept, local=local, named=named)


def _words(lines: Iterable[str], file: Path, base: Path, seen: set[Path]) -> Iterator[str]:
    if file.resolve() in seen:
        return
    seen.add(file.resolve())
    for line in counting(lines, file, base):
        if line.included is not None:
            yield line.text.split()[0].split("=")[0]
            if line.included.resolve() not in seen:
                yield from _words(lines_of(line.included), line.included, base, seen)
        else:
            yield line.text
            if line.local is not None:
                yield _digest(line.local, file)


def _local_path(line: str, base: Path) -> tuple[str, Path | None]:
    """How the line names a file or folder on this machine, and which, if it is there."""
    found = _FOLDER_OF_PACKAGES.match(line)
    written = found[1] if found else line.split(";")[0].split(" @ ")[-1].strip()
    written = re.sub(r"\[[^\]]*\]$", "", written)
    named = written
    if named.startswith("file:"):
        named = unquote(urlsplit(named).path)
    looks_like_a_path = "/" in named or named in (".", "..") or named.endswith(_ARCHIVES)
    if "://" in named or not (found or looks_like_a_path):
        return "", None
    path = base / named
    return (written, path) if path.exists() else ("", None)


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
