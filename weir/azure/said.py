"""Azure's own words, as they may stand in an error. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from weir.spec.text import printable

LONGEST_WORDS = 600
_SIGNATURE = re.compile(r"(?i)\b(sig|sv|se|code|client_secret|client_assertion)=[^&\s\"']+")
_BEARER = re.compile(r"(?i)bearer\s+[\w.~+/=-]+|eyJ[\w-]{10,}\.[\w-]+\.[\w-]*")


@dataclass(frozen=True)
class Said:
    """An error as ARM and its like write it: ``code``, ``message``, and what lies beneath."""

    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.code else self.message


def quoted(text: str) -> str:
    """Azure's words on one line, cut, and without what may be a secret."""
    line = printable(" ".join(text.split()))
    line = _BEARER.sub("***", _SIGNATURE.sub(lambda found: f"{found[1]}=***", line))
    return line if len(line) <= LONGEST_WORDS else f"{line[: LONGEST_WORDS - 3]}..."
