"""The window record of the local platform: endpoints/<endpoint>/windows-<release id>.ndjson."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from weir.errors import PermanentError
from weir.local.disk import storage_error
from weir.local.home import Home
from weir.window import Window

KEPT_RECORDS = 50

_BLOCK_BYTES = 65_536


class LocalWindows:
    """ports.Windows in ``home``: one JSON object a line, in the order of the ids."""

    def __init__(self, home: Path) -> None:
        self._home = Home(home)

    def append(self, endpoint: str, release_id: str, window: Window) -> None:
        """Add the window unless one of its id, or a later one, is there. Idempotent.

        A last line that a crash tore is removed first. Beside a new record the endpoint keeps the
        newest ones, ``KEPT_RECORDS`` in all. Time does not depend on the record's
        length. Raises PermanentError ``windows.unwritable``.
        """
        try:
            path = self._path(endpoint, release_id, self._home.endpoint(endpoint))
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unwritable(storage_error(error, self._home.root)) from error
        except PermanentError as error:
            raise _unwritable(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_size == 0:
                _keep_newest(path)
            last, end = _last_whole_line(descriptor)
            if last is not None and last.id >= window.id:
                return
            os.ftruncate(descriptor, end)
            line = window.model_dump_json().encode() + b"\n"
            written = 0
            try:
                while written < len(line):
                    written += os.pwrite(descriptor, line[written:], end + written)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, end)
                raise
        except OSError as error:
            raise _unwritable(storage_error(error, path)) from error
        finally:
            os.close(descriptor)

    def read(self, endpoint: str, release_id: str) -> tuple[Window, ...]:
        """Every whole line; nothing without a record. Raises PermanentError ``windows.corrupt``."""
        path = self._path(endpoint, release_id, self._home.root / "endpoints" / endpoint)
        try:
            whole, _, _torn = path.read_bytes().rpartition(b"\n")
        except FileNotFoundError:
            return ()
        return tuple(_parsed(whole.splitlines(), path))

    def _path(self, endpoint: str, release_id: str, folder: Path) -> Path:
        if not release_id.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"{release_id!r} of endpoint {endpoint} is no id of a release")
        return folder / f"windows-{release_id}.ndjson"


def _keep_newest(record: Path) -> None:
    """Remove the endpoint's oldest records; never ``record``."""

    def written_at(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except FileNotFoundError:
            return 0.0

    others = [path for path in record.parent.glob("windows-*.ndjson") if path != record]
    for old in sorted(others, key=written_at)[: max(0, len(others) + 1 - KEPT_RECORDS)]:
        with contextlib.suppress(OSError):
            old.unlink()


def _parsed(lines: list[bytes], path: Path) -> Iterator[Window]:
    for number, line in enumerate(lines, 1):
        try:
            yield Window.model_validate_json(line)
        except ValidationError as error:
            raise PermanentError(
                "windows.corrupt",
                f"line {number} is no window.",
                remedy="Remove the line; it is a record only, decisions do not depend on it.",
                where=str(path),
            ) from error


def _last_whole_line(descriptor: int) -> tuple[Window | None, int]:
    """The newest readable window, and where it ends; what follows is torn."""
    end = os.fstat(descriptor).st_size
    tail = b""
    start = end
    while start > 0:
        block = min(_BLOCK_BYTES, start)
        start -= block
        tail = os.pread(descriptor, block, start) + tail
        while (newline := tail.rfind(b"\n")) >= 0:
            begin = tail.rfind(b"\n", 0, newline) + 1
            if begin == 0 and start > 0:
                break
            try:
                return Window.model_validate_json(tail[begin:newline]), start + newline + 1
            except ValidationError:
                tail = tail[:begin]
    return None, 0


def _unwritable(error: PermanentError) -> PermanentError:
    return PermanentError(
        "windows.unwritable", error.message, remedy=error.remedy, where=error.where
    )
