"""What is wrong with a version, for the person who has to put it right."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """``reason`` is a stable code, ``words`` one sentence without its full stop.

    ``remedy`` says what to do now, ``final`` that it will not become ready without a change.
    """

    reason: str
    words: str
    remedy: str
    final: bool


def because(message: str) -> str:
    return f": {message}" if message else ""
