"""YAML text as plain data that remembers its lines.

The dialect is what people mean: only ``true`` and ``false`` are booleans, only decimal numerals
are numbers, and everything else (``on``, ``no``, ``007``, ``12:30``, ``2026-01-01``) is text.
Keys are always text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from weir.spec.problems import Problem
from weir.spec.text import whole_characters

Path = tuple[str | int, ...]
"""Where a value stands: field names and list indices from the top of the file."""

LARGEST_CHARACTERS = 1_000_000
DEEPEST = 50
_CORE_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null")}


@dataclass
class Source:
    """A release file read: ``data`` as plain values, ``problems`` found while reading."""

    file: str
    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)
    """Scalars as they are written, so that a message can say how to quote them."""
    problems: list[Problem] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """The line of ``path``, or of the nearest parent that stands in the file."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 0)


class _Loader(yaml.SafeLoader):
    """Only its reader, scanner, parser and composer are used; it constructs nothing."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # PyYAML's own interface


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile(r"^(~|null|Null|NULL|)$"), ["~", "n", "N", ""]
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^-?(0|[1-9][0-9]*)$"), list("-0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^-?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?$"),
    list("-.0123456789"),
)


def read_source(text: str, file: str) -> Source:
    """Parse ``text``. Never raises for what the text says: mistakes go to ``problems``."""
    source = Source(file)
    if len(text) > LARGEST_CHARACTERS:
        source.problems.append(
            Problem(file, f"has more than {LARGEST_CHARACTERS:,} characters; is it a release file?")
        )
        return source
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.reader.ReaderError as error:
        source.problems.append(_unreadable_character(text, file, error))
    except yaml.MarkedYAMLError as error:
        source.problems.append(_syntax_problem(file, error))
    except RecursionError:
        source.problems.append(Problem(file, "is nested too deeply"))
    else:
        if root is None or root.tag == "tag:yaml.org,2002:null":
            source.problems.append(
                Problem(
                    file,
                    "is empty; a release file has to name endpoint, version_name, model and"
                    " inference, and a policy of nothing but defaults is written {}",
                )
            )
        elif not isinstance(root, yaml.MappingNode):
            source.problems.append(
                Problem(
                    file,
                    "is not a mapping; a release file consists of lines like endpoint: fraud",
                    line=root.start_mark.line + 1,
                )
            )
        else:
            source.data = _Reading(source).value(root, ())
    return source


class _Reading:
    """Turns composed nodes into values and records where each stands."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.seen: set[int] = set()

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.source.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, path)
        if id(node) in self.seen:
            return self.problem(node, path, "refers to another value by *; write the value out")
        self.seen.add(id(node))
        if len(path) > DEEPEST:
            return self.problem(node, path, "is nested too deeply")
        if isinstance(node, yaml.SequenceNode) and node.tag.endswith(":seq"):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode) and node.tag.endswith(":map"):
            return dict(self.fields(node, path))
        return self.problem(node, path, f"has the tag {node.tag}; tags are not allowed here")

    def fields(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, Any]]:
        first: dict[str, int] = {}
        for key, item in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                self.problem(key, path, "has a field whose name is not text")
                continue
            name = self.whole(key, path)
            here = (*path, name)
            if name == "<<":
                self.problem(key, path, "merges another mapping by <<; write its fields out")
            elif name in first:
                self.problem(key, here, f"is given twice; the first is in line {first[name]}")
            else:
                first[name] = self.source.lines[here] = line
                yield name, self.value(item, here)

    def scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        if node.tag not in _CORE_TAGS:
            return self.problem(node, path, f"has the tag {node.tag}; tags are not allowed here")
        text = self.whole(node, path)
        self.source.texts[path] = text
        kind = node.tag.rsplit(":", 1)[1]
        try:
            if kind == "null":
                return None
            if kind == "bool":
                return {"true": True, "false": False}[text.lower()]
            if kind == "int":
                return int(text)
            if kind == "float" and math.isfinite(float(text)):
                return float(text)
        except (ValueError, KeyError):
            # A tag written by hand (!!int two), or more digits than Python converts.
            return self.problem(node, path, f"is not of the kind that its tag {kind} says")
        return text

    def whole(self, node: yaml.ScalarNode, path: Path) -> str:
        """The scalar's text. JSON writes a character beyond U+FFFF as two escapes."""
        try:
            return whole_characters(str(node.value))
        except ValueError:
            self.problem(
                node,
                path,
                "has an escape between \\ud800 and \\udfff, which is half a character; write the"
                " character itself",
            )
            return ""

    def problem(self, node: yaml.Node, path: Path, message: str) -> None:
        line = node.start_mark.line + 1
        self.source.problems.append(Problem(self.source.file, message, as_written(path), line))


def as_written(path: Path) -> str:
    """The path as a user writes it: ``rollout.guardrails[1].margin``."""
    words = ""
    for step in path:
        if isinstance(step, int):
            words += f"[{step}]"
        else:
            words += f".{step}" if words else step
    return words


def _syntax_problem(file: str, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    what = error.problem or error.context or "cannot be read"
    line = mark.line + 1 if mark else 0
    if "'\\t'" in what:
        what = "a tab cannot indent YAML, use spaces"
    elif what == "mapping values are not allowed here":
        what = "a colon is not expected here; quote the text if the colon belongs to it"
    elif "but found another document" in what:
        what = "holds a second document after ---; a release file is one document"
    elif "undefined alias" in what:
        what = f"{what}; text that begins with * has to be quoted"
    elif error.context and error.context.startswith("while parsing a flow"):
        what = "a bracket or brace is not closed, or a comma is missing"
    elif "found unexpected end of stream" in what and error.context_mark:
        line = error.context_mark.line + 1
        return Problem(
            file, "not valid YAML: a quote is not closed", "", line, error.context_mark.column + 1
        )
    return Problem(file, f"not valid YAML: {what}", "", line, mark.column + 1 if mark else 0)


def _unreadable_character(text: str, file: str, error: yaml.reader.ReaderError) -> Problem:
    at = error.position if isinstance(error.position, int) else 0
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    code = error.character if isinstance(error.character, int) else ord(error.character)
    return Problem(file, f"the character U+{code:04X} is not allowed in YAML", "", line, column)
