"""The output of processes: bounded in size, readable after the process is gone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from pathlib import Path

MAXIMUM_BYTES = 5_000_000
"""Of a log file that grew beyond this the last so many bytes are set aside, once."""

_BLOCK_BYTES = 65_536


def older(log: Path) -> Path:
    """Where the part goes that was set aside."""
    return log.with_name(f"{log.name}.1")


def rotate(log: Path, maximum_bytes: int = MAXIMUM_BYTES) -> bool:
    """Set the end of ``log`` aside when it is too large; True when that was done.

    The process keeps writing to the same open file (in append mode), so the content is copied
    and the file emptied; lines written between the two are lost. However fast it writes, no more
    than ``maximum_bytes`` are copied.
    """
    try:
        size = log.stat().st_size
        if size <= maximum_bytes:
            return False
        temporary = log.with_name(f".{log.name}.tmp")
        with log.open("rb") as file:
            file.seek(size - maximum_bytes)
            temporary.write_bytes(file.read(maximum_bytes))
        os.truncate(log, 0)
        temporary.replace(older(log))
    except OSError:
        # With a full disk the copy fails; room is worth more than old output then.
        with contextlib.suppress(OSError):
            os.truncate(log, 0)
        return False
    return True


def redact(log: Path, secrets: Collection[str]) -> None:
    """Write stars over ``secrets`` where they stand in ``log``.

    In place, so that the process goes on writing behind them.
    """
    with contextlib.suppress(OSError), log.open("r+b") as file:
        text = file.read()
        for secret in map(str.encode, secrets):
            at = text.find(secret)
            while at >= 0:
                os.pwrite(file.fileno(), b"*" * len(secret), at)
                at = text.find(secret, at + 1)


def remove_old(folder: Path, keep: Collection[str], before: float) -> None:
    """Remove logs last written ``before`` (seconds since the epoch), save those of ``keep``."""
    for path in (*folder.glob("*.log"), *folder.glob("*.log.1")):
        name = path.name.removesuffix(".1").removesuffix(".log")
        with contextlib.suppress(OSError):
            if name not in keep and path.stat().st_mtime < before:
                path.unlink()


def last_lines(log: Path, lines: int) -> tuple[str, ...]:
    """The last ``lines`` lines, from the file set aside too when the current one has fewer."""
    found = _tail(log, lines)
    if len(found) < lines:
        found = _tail(older(log), lines - len(found)) + found
    return tuple(found)


def _tail(path: Path, lines: int) -> list[str]:
    if lines <= 0:
        return []
    try:
        with path.open("rb") as file:
            position = file.seek(0, os.SEEK_END)
            data = b""
            while position > 0 and data.count(b"\n") <= lines:
                step = min(_BLOCK_BYTES, position)
                position -= step
                file.seek(position)
                data = file.read(step) + data
    except OSError:
        return []
    return data.decode(errors="replace").splitlines()[-lines:]
