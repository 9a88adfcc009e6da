"""Dockerfile lines of the user's own, which stand in the middle of weir's. Reads only."""

from __future__ import annotations

import re
from pathlib import Path

from weir.errors import UserError

_FROM = re.compile(r"^\s*FROM\s", re.IGNORECASE | re.MULTILINE)


def read_steps(path: Path) -> str:
    """The lines, each ended.

    Raises UserError ``image.extra_dockerfile_steps_missing``, or
    ``image.extra_dockerfile_steps_invalid`` for a FROM: it would begin another image.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            "image.extra_dockerfile_steps_missing",
            f"the extra Dockerfile steps cannot be read: {error}.",
            remedy="Correct inference.extra_dockerfile_steps, or put the file there.",
            where=str(path),
        ) from error
    if text.rstrip().endswith("\\"):
        raise UserError(
            "image.extra_dockerfile_steps_invalid",
            "the last of the extra Dockerfile steps goes on behind its end.",
            remedy="Remove the \\ at the end of the file.",
            where=str(path),
        )
    if _FROM.search(text):
        raise UserError(
            "image.extra_dockerfile_steps_invalid",
            "the extra Dockerfile steps have a FROM, which would begin another image.",
            remedy="Name the image in inference.base_image, and leave only the steps.",
            where=str(path),
        )
    return text.rstrip() + "\n" if text.strip() else ""
