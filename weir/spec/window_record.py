"""Reads recorded windows from a file of one JSON object a line."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from weir.spec.explain import shown
from weir.spec.problems import Problem, SpecError
from weir.spec.text import printable, read_text
from weir.window import VersionCounts, Window

_MISSING = "is missing; give the number, 0 if there were none"
_CAPITALS = ("Input", "Field", "Unable")
"""How the sentences of pydantic begin."""

_WANTED = re.compile(r"Input should (be|have) ([^,]*(?:, '.*)?)(?:, .*)?", re.DOTALL)
_PLAINLY = {
    "a valid integer": "a whole number",
    "a valid datetime": "a time such as 2026-11-23T10:00:00Z",
    "timezone info": "a time zone, Z or +00:00",
}

_PLACE_IN_LINE = re.compile(r" at line 1 column (\d+)$")


def read_windows(path: str | os.PathLike[str]) -> tuple[Window, ...]:
    """The windows in the file ``path``, one JSON object a line; blank lines are passed over.

    Fields that a window does not have are passed over too. Raises SpecError for the first line that
    is no window, has a key twice, or leaves out a version's requests or failures. The order of the
    windows is not looked at.
    """
    shown_path = os.fspath(path)
    text = read_text(Path(path).expanduser(), shown_path, "window record")
    windows = tuple(_windows(text, shown_path))
    if not windows:
        raise SpecError([Problem(shown_path, "has no windows; each line has to be one")])
    return windows


def _windows(text: str, shown_path: str) -> Iterator[Window]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            # Strict: true is no count, and "17" no id.
            window = Window.model_validate_json(line, strict=True)
            raw = json.loads(line, object_pairs_hook=_object, parse_constant=_no_number)
        except ValidationError as error:
            raise SpecError([_problem(error, shown_path, number)]) from error
        except ValueError as error:
            raise SpecError([_no_window(str(error), shown_path, number)]) from error
        for name, counts in window.versions.items():
            wrong = _missing(counts) or _bucket_twice(counts, raw["versions"][name])
            if wrong:
                field, message = wrong
                place = printable(f"versions.{name}.{field}")
                raise SpecError([Problem(shown_path, message, place, number)])
        yield window


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Which one of two values of a key is meant, nobody knows."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {json.dumps(twice)} stands there twice")
    return found


def _no_number(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def _problem(error: ValidationError, shown_path: str, number: int) -> Problem:
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"] if part != "[key]")
    given, of_version = first["input"], first["loc"][:-1] == ("versions",)
    if of_version and isinstance(given, dict) and "requests" not in given:
        return Problem(shown_path, _MISSING, printable(f"{field}.requests"), number)
    words = first["msg"].removeprefix("Value error, ")
    wanted = _WANTED.fullmatch(words)
    if wanted:
        verb, what = wanted.groups()
        words = f"it has to {verb} {_PLAINLY.get(what, what)}, not {shown(given)}"
    return _no_window(words, shown_path, number, field)


def _no_window(words: str, shown_path: str, number: int, field: str = "") -> Problem:
    place = _PLACE_IN_LINE.search(words)
    column = int(place.group(1)) if place else 0
    message = printable(_PLACE_IN_LINE.sub("", words))
    message = f"{message[0].lower()}{message[1:]}" if message.startswith(_CAPITALS) else message
    return Problem(
        shown_path, f"{message}; the line is no window", printable(field), number, column
    )


def _missing(counts: VersionCounts) -> tuple[str, str] | None:
    """A count that is left out, or misspelt, is not taken for none."""
    if "requests" not in counts.model_fields_set:
        return "requests", _MISSING
    if not {"failures", "failures_by_class"} & counts.model_fields_set:
        return "failures", _MISSING
    return None


def _bucket_twice(counts: VersionCounts, raw: dict[str, Any]) -> tuple[str, str] | None:
    """``"52"`` and ``"052"`` are one bucket."""
    written = raw.get("latency_ms", {}).get("counts", {})
    if len(written) == len(counts.latency_ms.counts):
        return None
    return "latency_ms.counts", "has a bucket twice"
