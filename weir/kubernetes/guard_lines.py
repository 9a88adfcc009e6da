"""The access log lines in a guard's log, kept apart from whatever else stands there."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import IO

from weir.errors import TelemetryUnavailable
from weir.logs.slices import completion

MARGIN_SECONDS = 1.0
"""How far lines may be out of order."""

_LONGEST_LINE = 65_536
_LOOKED_AT = 8
# The kubelet writes what goes wrong under way into the log that it sends.
_BROKEN_OFF = re.compile(rb"(unable to retrieve container logs|failed to) ")


@dataclass(frozen=True)
class Line:
    """A line, and when its request completed, in seconds since the epoch."""

    text: bytes
    completed: float


@dataclass(frozen=True)
class Gap:
    """A time of which lines are lost; both ends exclusive."""

    start: float
    stop: float

    def holds(self, instant: float) -> bool:
        return self.start < instant < self.stop


@dataclass(frozen=True)
class Found:
    """What a log held: its first and its last access line, and whether the awaited one."""

    first: Line | None
    last: Line | None
    has_awaited: bool
    size: int

    def reaches_back_to(self, instant: float) -> bool:
        """Whether the log certainly holds every line from ``instant`` on."""
        return self.first is not None and self.first.completed < instant - MARGIN_SECONDS


def sift(
    chunks: Iterable[bytes], into: IO[bytes], awaited: bytes | None, gaps: Sequence[Gap], where: str
) -> Found:
    """Write the access log lines among ``chunks`` to ``into``, but those of ``gaps``.

    A last line without an end is left for the next time. Raises TelemetryUnavailable
    ``telemetry.malformed`` when there are such lines and none can be understood, and
    ``telemetry.log_broken_off`` when the kubelet says so.
    """
    size, rest, is_overlong = 0, b"", False
    first: Line | None = None
    has_awaited = False
    latest: deque[bytes] = deque(maxlen=_LOOKED_AT)
    for chunk in chunks:
        size += len(chunk)
        *lines, rest = (rest + chunk).split(b"\n")
        if lines and is_overlong:
            del lines[0]
            is_overlong = False
        if len(rest) > _LONGEST_LINE:
            rest, is_overlong = b"", True
        kept = [line for line in lines if line[:1] == b"{" and line[-1:] == b"}"]
        latest.extend(kept[-_LOOKED_AT:])
        first = first or next(filter(None, map(_understood, kept)), None)
        has_awaited = has_awaited or awaited in kept
        if gaps:
            kept = [line for line in kept if not _is_in(gaps, line)]
        if kept:
            into.write(b"\n".join(kept) + b"\n")
    if _BROKEN_OFF.match(rest):
        raise TelemetryUnavailable(
            "telemetry.log_broken_off",
            f"the node could not send the log: {rest[:200].decode(errors='replace')}.",
            remedy="weir tries again at the next window.",
            where=where,
        )
    if latest and first is None:
        raise TelemetryUnavailable(
            "telemetry.malformed",
            "no line of this guard's log can be understood.",
            remedy="Was the guard's image or configuration changed by hand? Release again.",
            where=where,
        )
    last = next(filter(None, map(_understood, reversed(latest))), None)
    return Found(first, last, has_awaited, size)


def _understood(text: bytes) -> Line | None:
    completed = completion(text)
    return None if completed is None else Line(text, completed)


def _is_in(gaps: Sequence[Gap], text: bytes) -> bool:
    completed = completion(text)
    return completed is not None and any(gap.holds(completed) for gap in gaps)
