"""A piece of an access log as a file of its own, for a database that reads whole files."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from weir.logs.slices import Piece

_REPORT_MARKS = (b'"metrics":"', b'"labels":"')
"""In every line whose answer carried a report; where it did not, Envoy writes null."""

_LONGEST_MARK = max(map(len, _REPORT_MARKS))


class Scratch:
    """A file that holds one piece at a time; in memory where the operating system can do that."""

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            self._descriptor = os.memfd_create("weir-window")
            self.path = f"/dev/fd/{self._descriptor}"
        else:
            self._descriptor, self.path = tempfile.mkstemp(prefix="weir-window-")

    def fill(self, piece: Piece) -> bool:
        """Take ``piece`` in; whether any line of it may hold what a version reported."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        offset, has_reports, seam = piece.start, False, b""
        while offset < piece.stop:
            block = os.pread(piece.descriptor, min(2**20, piece.stop - offset), offset)
            if not block:
                break
            has_reports = has_reports or any(
                mark in block or mark in seam + block[:_LONGEST_MARK] for mark in _REPORT_MARKS
            )
            seam = block[-_LONGEST_MARK:]
            offset += os.write(self._descriptor, block)
        return has_reports

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._descriptor)
            if not self.path.startswith("/dev/fd/"):
                Path(self.path).unlink()
