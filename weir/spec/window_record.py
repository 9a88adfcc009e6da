"""Reads recorded windows from a file of one JSON object a line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from weir.spec.problems import Problem, SpecError
from weir.spec.text import read_text
from weir.window import Window


def read_windows(path: str | os.PathLike[str]) -> tuple[Window, ...]:
    """The windows in the file ``path``, one JSON object a line; blank lines are passed over.

    Raises SpecError for the first line that is no window, or whose histograms are of another scale
    than those before.
    """
    shown_path = os.fspath(path)
    text = read_text(Path(path).expanduser(), shown_path, "window record")
    windows = tuple(_windows(text, shown_path))
    if not windows:
        raise SpecError([Problem(shown_path, "has no windows; each line has to be one")])
    return windows


def _windows(text: str, shown_path: str) -> Iterator[Window]:
    scale: int | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            window = Window.model_validate_json(line)
            for name, counts in window.versions.items():
                if not counts.latency_ms.total():
                    continue
                scale = counts.latency_ms.scale if scale is None else scale
                if counts.latency_ms.scale != scale:
                    message = f"{counts.latency_ms.scale} is not {scale}, the scale before; use one"
                    field = f"versions.{name}.latency_ms.scale"
                    raise SpecError([Problem(shown_path, message, field, number)])
            yield window
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(str(part) for part in first["loc"])
            words = first["msg"].removeprefix("Value error, ")
            message = f"{words[0].lower()}{words[1:]}; the line is no window"
            raise SpecError([Problem(shown_path, message, field, number)]) from error
