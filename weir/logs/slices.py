"""Finding the part of an access log that a window needs, without reading the rest.

Lines stand in the log nearly in the order in which requests completed: Envoy writes a line when
the request ends, and only threads that end at the same moment change places. So the part is
found by bisection over byte offsets, in the live file and in the rotated ones.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from weir.errors import TelemetryUnavailable

LIVE = "access.log"
ROTATED = "access-*.log"
MARGIN_SECONDS = 1.0
"""How far lines may be out of order; what is read too much, the query leaves out again."""

_BLOCK_BYTES = 65_536


@dataclass(frozen=True)
class Piece:
    """Bytes [start, stop) of an open log file; both ends are line ends, or the file's."""

    descriptor: int
    start: int
    stop: int


@contextlib.contextmanager
def pieces(folder: Path, start: float, end: float, piece_bytes: int) -> Iterator[list[Piece]]:
    """The parts of the logs in ``folder`` that hold every request completed in [start, end).

    Instants are in seconds since the epoch. No piece is much longer than ``piece_bytes``. An
    empty list when there is no log yet. The files stay open, and thus readable whatever is
    rotated or removed, until the context ends. Raises TelemetryUnavailable ``telemetry.*``.
    """
    with contextlib.ExitStack() as opened:
        found: list[Piece] = []
        try:
            for descriptor, path in _newest_first(folder, opened):
                size = os.fstat(descriptor).st_size
                first = _first_completion(descriptor, size, path)
                if first is None or first >= end + MARGIN_SECONDS:
                    continue
                lower = _offset_of(descriptor, size, start - MARGIN_SECONDS)
                upper = _offset_of(descriptor, size, end + MARGIN_SECONDS)
                found.extend(cut(descriptor, lower, upper, piece_bytes))
                if first < start - MARGIN_SECONDS:
                    break
        except OSError as error:
            raise TelemetryUnavailable(
                "telemetry.unreadable",
                f"the access log cannot be read: {error.strerror or error}.",
                remedy="Give your user the right to read it.",
                where=str(error.filename or folder),
            ) from error
        yield found


def completion(line: bytes) -> float | None:
    """When the request of this line completed; None if the line is not one of Envoy's.

    A response that broke off has no last byte and so no ``duration_us``.
    """
    try:
        fields = json.loads(line)
        duration_us = fields.get("duration_us")
        if not isinstance(duration_us, (int, float)):
            total_ms = fields.get("total_ms")
            duration_us = total_ms * 1000 if isinstance(total_ms, (int, float)) else 0
        return float(fields["start"]) + duration_us / 1_000_000
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _newest_first(folder: Path, opened: contextlib.ExitStack) -> Iterator[tuple[int, Path]]:
    # The live file first: if it is rotated from now on, its new name leads to the same inode and
    # is skipped, and what the next live file holds has completed after the window.
    seen: set[tuple[int, int]] = set()
    live = folder / LIVE
    descriptor = _open(live, opened)
    if descriptor is not None:
        seen.add(_identity(descriptor))
        yield descriptor, live
    for path in sorted(folder.glob(ROTATED), reverse=True):
        descriptor = _open(path, opened)
        if descriptor is None:
            # Removed as too old since it was listed, and with it all that are older.
            return
        if _identity(descriptor) not in seen:
            seen.add(_identity(descriptor))
            yield descriptor, path


def _open(path: Path, opened: contextlib.ExitStack) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    opened.callback(os.close, descriptor)
    return descriptor


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _first_completion(descriptor: int, size: int, path: Path) -> float | None:
    """None when the file holds no whole line yet."""
    found = _line_from(descriptor, 0, size)
    if found is not None:
        return found[1]
    if (
        _line_start(descriptor, 1, size) < size
        or os.pread(descriptor, 1, max(0, size - 1)) == b"\n"
    ):
        raise TelemetryUnavailable(
            "telemetry.malformed",
            "no line of this access log can be understood.",
            remedy="Was it written by another program? Move it away; weir goes on with a new one.",
            where=str(path),
        )
    return None


def _offset_of(descriptor: int, size: int, instant: float) -> int:
    """Where the first line begins that completed at ``instant`` or later; ``size`` if none did."""
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        found = _line_from(descriptor, middle, size)
        if found is None or found[1] >= instant:
            high = middle
        else:
            low = found[0]
    return _line_start(descriptor, low, size)


def _line_from(descriptor: int, offset: int, size: int) -> tuple[int, float] | None:
    """End and completion of the first readable line that begins at or after ``offset``.

    None when there is none up to the end.
    """
    begin = _line_start(descriptor, offset, size)
    while begin < size:
        block = os.pread(descriptor, min(_BLOCK_BYTES, size - begin), begin)
        cut = 0
        while (newline := block.find(b"\n", cut)) >= 0:
            completed = completion(block[cut:newline])
            if completed is not None:
                return begin + newline + 1, completed
            cut = newline + 1
        # Without any line end it is longer than a line of Envoy's: on to the next.
        begin = begin + cut if cut else _line_start(descriptor, begin + len(block), size)
    return None


def _line_start(descriptor: int, offset: int, size: int) -> int:
    """The beginning of the first line at or after ``offset``."""
    if offset == 0:
        return 0
    begin = offset - 1
    while begin < size:
        block = os.pread(descriptor, min(_BLOCK_BYTES, size - begin), begin)
        if not block:
            break
        newline = block.find(b"\n")
        if newline >= 0:
            return begin + newline + 1
        begin += len(block)
    return size


def cut(descriptor: int, start: int, stop: int, piece_bytes: int) -> Iterator[Piece]:
    """Pieces that together are [start, stop), cut at line ends."""
    while start < stop:
        end = min(stop, _line_start(descriptor, min(stop, start + piece_bytes), stop))
        yield Piece(descriptor, start, end)
        start = end
