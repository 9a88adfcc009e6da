"""The text of a file that a person wrote or recorded."""

from __future__ import annotations

import re
from pathlib import Path

from weir.spec.problems import Problem, SpecError

_STEERING = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line separators, and what turns the direction of text."""


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def printable(text: str) -> str:
    """``text`` on one line; a file may come from anywhere, and nothing in it steers a terminal."""
    return _STEERING.sub("?", text)


def printable_line(text: str) -> str:
    """A line that a program wrote, such as one of a log: without its colours, tabs as spaces."""
    return printable(_COLOUR.sub("", text).expandtabs(4))


def printable_lines(text: str) -> str:
    """``printable_line`` of each line."""
    return "\n".join(map(printable_line, text.split("\n")))


def whole_characters(text: str) -> str:
    """``text`` with the two halves of a character, as JSON escapes it, put together.

    Raises ValueError for a half alone.
    """
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise ValueError("half a character") from None


def read_text(path: Path, shown_path: str, kind: str) -> str:
    """The UTF-8 text of ``path``, without a byte order mark. Raises SpecError.

    ``kind`` says in messages what is expected there, such as "release file".
    """
    try:
        if path.is_dir():
            raise SpecError([Problem(shown_path, f"is a folder; give the {kind} in it")])
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SpecError(
            [Problem(shown_path, "is not UTF-8 text; save it as UTF-8", line=line)]
        ) from error
    except FileNotFoundError:
        message = f"does not exist; looked for {path.absolute()}"
        raise SpecError([Problem(shown_path, message)]) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SpecError([Problem(shown_path, f"cannot be read: {reason}")]) from error
