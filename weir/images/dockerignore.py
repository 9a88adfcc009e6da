"""What a .dockerignore leaves out, as Docker reads one. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from weir.errors import UserError

NAME = ".dockerignore"


@dataclass(frozen=True)
class _Rule:
    pattern: re.Pattern[str]
    excludes: bool


@dataclass(frozen=True)
class Ignored:
    """The rules of one file. The last that matches a path or a folder above it decides."""

    rules: tuple[_Rule, ...] = ()

    def __contains__(self, path: str) -> bool:
        """Whether ``path``, relative to the file's folder and with /, is left out."""
        above = [str(one) for one in PurePosixPath(path).parents if str(one) != "."]
        left_out = False
        for rule in self.rules:
            if rule.excludes != left_out and any(map(rule.pattern.fullmatch, (path, *above))):
                left_out = rule.excludes
        return left_out


def parse(lines: Iterable[str], where: str = NAME) -> Ignored:
    """Raises UserError ``image.dockerignore_invalid`` for a line that Docker refuses."""
    rules = []
    for number, line in enumerate(lines, 1):
        text = "" if line.startswith("#") else line.strip()
        if not text:
            continue
        excludes = not text.startswith("!")
        pattern = text if excludes else text[1:].strip()
        try:
            if not pattern:
                raise ValueError("a ! stands alone")
            rules.append(_Rule(_compiled(pattern), excludes))
        except (ValueError, re.error) as error:
            raise UserError(
                "image.dockerignore_invalid",
                f"line {number} is no pattern: {error}.",
                remedy="Correct the line.",
                where=where,
            ) from error
    return Ignored(tuple(rules))


def _compiled(pattern: str) -> re.Pattern[str]:
    """Go's filepath.Match, with ** for any number of folders."""
    cleaned = posixpath.normpath(pattern).lstrip("/")
    found, at = [], 0
    while at < len(cleaned):
        character = cleaned[at]
        at += 1
        if cleaned.startswith("*", at) and character == "*":
            at += 1
            if cleaned.startswith("/", at):
                at += 1
            found.append(".*" if at >= len(cleaned) else "(?:.*/)?")
        elif character == "*":
            found.append("[^/]*")
        elif character == "?":
            found.append("[^/]")
        elif character == "\\":
            if at >= len(cleaned):
                raise ValueError("a \\ stands at the end")
            found.append(re.escape(cleaned[at]))
            at += 1
        elif character == "[":
            end = _class_end(cleaned, at)
            found.append(f"[{_class(cleaned[at:end])}]")
            at = end + 1
        else:
            found.append(re.escape(character))
    return re.compile("".join(found), re.DOTALL)


def _class_end(pattern: str, at: int) -> int:
    start = at + (1 if pattern.startswith("^", at) else 0)
    end = start
    while end < len(pattern) and (pattern[end] != "]" or end == start):
        end += 2 if pattern[end] == "\\" else 1
    if end >= len(pattern):
        raise ValueError("a [ is not closed")
    return end


def _class(inside: str) -> str:
    # What Python alone gives a meaning: a [ of its own, and doubled operators.
    return re.sub(r"(\[|&&|~~|\|\|)", lambda found: "\\" + found[0], inside)
