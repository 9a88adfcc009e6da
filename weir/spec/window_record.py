"""Reads recorded windows from a file of one JSON object a line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from weir.spec.problems import Problem, SpecError
from weir.spec.text import read_text
from weir.window import VersionCounts, Window


def read_windows(path: str | os.PathLike[str]) -> tuple[Window, ...]:
    """The windows in the file ``path``, one JSON object a line; blank lines are passed over.

    Raises SpecError for the first line that is no window, that leaves out a version's requests or
    failures, or whose histograms are of another scale than those before.
    """
    shown_path = os.fspath(path)
    text = read_text(Path(path).expanduser(), shown_path, "window record")
    windows = tuple(_windows(text, shown_path))
    if not windows:
        raise SpecError([Problem(shown_path, "has no windows; each line has to be one")])
    return windows


def _windows(text: str, shown_path: str) -> Iterator[Window]:
    scale: int | None = None
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            window = Window.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(str(part) for part in first["loc"])
            words = first["msg"].removeprefix("Value error, ")
            message = f"{words[0].lower()}{words[1:]}; the line is no window"
            raise SpecError([Problem(shown_path, message, field, number)]) from error
        for name, counts in window.versions.items():
            wrong = _wrong_scale(counts, scale) or _missing(counts)
            if wrong:
                field, message = wrong
                raise SpecError([Problem(shown_path, message, f"versions.{name}.{field}", number)])
            if counts.latency_ms.total():
                scale = counts.latency_ms.scale
        yield window


def _wrong_scale(counts: VersionCounts, scale: int | None) -> tuple[str, str] | None:
    found = counts.latency_ms.scale
    if scale is None or found == scale or not counts.latency_ms.total():
        return None
    return "latency_ms.scale", f"{found} is not {scale}, the scale before; use one"


def _missing(counts: VersionCounts) -> tuple[str, str] | None:
    """A count that is left out, or misspelt, is not taken for none."""
    if "requests" not in counts.model_fields_set:
        return "requests", "is missing; give the number, 0 if there were none"
    if not {"failures", "failures_by_class"} & counts.model_fields_set:
        return "failures", "is missing; give the number, 0 if there were none"
    return None
