"""How files get onto the disk whole, and what is written when it is full."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path

from weir.errors import PermanentError

PRIVATE_FILE = 0o600
RESERVE_BYTES = 4 * 2**20
"""Room that a full disk leaves for what has to be written to put traffic back."""

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def keep_reserve(reserve: Path) -> None:
    """Set room aside for the day when the disk is full, while there is plenty."""
    with contextlib.suppress(OSError, PermanentError):
        if not reserve.exists() and _free_bytes(reserve.parent) > 16 * RESERVE_BYTES:
            write_atomically(reserve, bytes(RESERVE_BYTES), PRIVATE_FILE)


def write_with_reserve(reserve: Path, path: Path, text: str) -> None:
    """``write_atomically``, in the room of ``reserve`` when there is no other."""
    try:
        write_atomically(path, text)
    except PermanentError as error:
        if error.reason != "disk.full" or not reserve.exists():
            raise
        reserve.unlink(missing_ok=True)
        write_atomically(path, text)


def write_atomically(
    path: Path, text: str | bytes, mode: int = PRIVATE_FILE, *, durable: bool = True
) -> None:
    """Replace ``path`` by ``text``: readers see the old file or the new one, also after a crash.

    ``durable`` has it survive a power cut as well. Raises PermanentError ``disk.full`` or
    ``disk.unwritable``; the old file then stays and no temporary file is left.
    """
    data = text.encode() if isinstance(text, str) else text
    temporary = path.with_name(f".{path.name[:100]}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            os.fchmod(descriptor, mode)
            _write_all(descriptor, data)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.rename(path)
        if durable:
            _sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise storage_error(error, path) from error
        raise


def storage_error(error: OSError, path: Path) -> PermanentError:
    """An operating-system error while writing ``path``, in weir's words."""
    if error.errno in _DISK_FULL:
        return PermanentError(
            "disk.full",
            "there is no space left to write this file; what was there before is unchanged.",
            remedy=f"Free space below {path.parent} (weir needs little), then run again.",
            where=str(path),
        )
    return PermanentError(
        "disk.unwritable",
        f"this cannot be written: {error.strerror or error}.",
        remedy="Give your user the right to write there, or choose another WEIR_HOME.",
        where=str(path),
    )


def _free_bytes(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
