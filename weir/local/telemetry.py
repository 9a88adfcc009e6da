"""Telemetry of the local platform: Envoy's access log as table AppRequests, asked in KQL."""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from weir.errors import TelemetryUnavailable
from weir.local.home import Home
from weir.local.kql import Translation, translated
from weir.local.log_slices import Piece, pieces
from weir.telemetry import query
from weir.telemetry.query import Row
from weir.window import VersionCounts

LAG_SECONDS = 0.5
"""Five of Envoy's flush intervals of 100 ms: lines are in the file by then even under load."""

_WORKERS = 2
_PIECE_BYTES = 12 * 2**20
"""Per worker in memory at a time. Longer pieces take a rollout with Prefect in it past 200 MB."""

_MEMORY_LIMIT = "160MB"

_FIELDS = ("start", "duration_us", "total_ms", "code", "flags", "details", "version", "forced")
_LINE = dict.fromkeys(_FIELDS, "VARCHAR")

# A broken response has no last byte and so no duration_us, but Envoy knows when it ended.
_APP_REQUESTS = """
CREATE OR REPLACE TEMP VIEW AppRequests AS SELECT
    make_timestamp(TRY_CAST(round(TRY_CAST("start" AS DOUBLE) * 1000000) AS BIGINT))
        AS TimeGenerated,
    '{endpoint}' AS AppRoleName,
    coalesce("version", '') AS AppVersion,
    coalesce("code", '') AS ResultCode,
    coalesce(TRY_CAST("duration_us" AS BIGINT) / 1000, TRY_CAST("total_ms" AS DOUBLE), 0)
        AS DurationMs,
    1 AS ItemCount,
    to_json(struct_pack(flags := "flags", details := "details", forced := "forced"))
        AS Properties
FROM read_json('{path}', format = 'newline_delimited', compression = 'uncompressed',
    columns = {columns}, ignore_errors = true, maximum_object_size = 65536)
"""


class LocalTelemetry:
    """ports.Telemetry over the access logs in ``home``.

    Time and memory depend on the window alone, not on what was logged before it. An endpoint
    without any log has served nothing: no counts.
    """

    def __init__(self, home: Path, lag_seconds: float = LAG_SECONDS) -> None:
        self._home = Home(home)
        self.lag_seconds = lag_seconds
        self._engine: _Engine | None = None
        self._lock = threading.Lock()
        # DuckDB's binding complains on stderr about connections that outlive the interpreter.
        atexit.register(_forget, weakref.ref(self))

    def close(self) -> None:
        """Let go of the database; the next read opens it again."""
        with self._lock:
            self._engine = None

    def read(
        self, endpoint: str, start: datetime, end: datetime, begun_after: datetime
    ) -> Mapping[str, VersionCounts]:
        values = query.values_of(endpoint, start, end, begun_after)
        folder = self._home.root / "endpoints" / endpoint / "gateway"
        with (
            self._lock,
            pieces(folder, start.timestamp(), end.timestamp(), _PIECE_BYTES) as found,
        ):
            if not found:
                return {}
            try:
                self._engine = self._engine or _Engine(self._home.root / "cache" / "kql")
                return query.counts(self._engine.rows(found, values))
            except (duckdb.Error, OSError, ValueError, MemoryError) as error:
                raise TelemetryUnavailable(
                    "telemetry.unreadable",
                    f"the access log of endpoint {endpoint} cannot be evaluated: {error}.",
                    remedy="weir tries again at the next window.",
                    where=str(folder),
                ) from error


def _forget(reader: weakref.ref[LocalTelemetry]) -> None:
    found = reader()
    if found is not None:
        found.close()


class _Engine:
    """DuckDB in memory, with one connection and one scratch file for each worker."""

    def __init__(self, cache: Path) -> None:
        self._translation = translated(query.declared(), {query.TABLE: query.COLUMNS}, cache)
        self._database = duckdb.connect(
            config={
                "threads": 1,  # Each worker's own thread does its work.
                "memory_limit": _MEMORY_LIMIT,
                "temp_directory": "",
                "preserve_insertion_order": False,
                "autoinstall_known_extensions": False,
            }
        )
        self._workers: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for _ in range(_WORKERS):
            self._workers.put(_Worker(self._database.cursor(), self._translation))

    def rows(self, found: list[Piece], values: Mapping[str, str | datetime]) -> Iterator[Row]:
        def run(piece: Piece) -> list[Row]:
            worker = self._workers.get()
            try:
                return worker.run(piece, values)
            finally:
                self._workers.put(worker)

        if len(found) == 1:
            yield from run(found[0])
            return
        with ThreadPoolExecutor(_WORKERS) as pool:
            for rows in pool.map(run, found):
                yield from rows


class _Worker:
    def __init__(self, connection: duckdb.DuckDBPyConnection, translation: Translation) -> None:
        self._connection = connection
        self._translation = translation
        self._scratch = _Scratch()
        self._endpoint: str | None = None
        # KQL's instants are UTC, whatever this machine's zone is.
        connection.execute("SET TimeZone = 'UTC'")

    def run(self, piece: Piece, values: Mapping[str, str | datetime]) -> list[Row]:
        self._show(str(values["endpoint"]))
        self._scratch.fill(piece)
        bound = {self._translation.slots[name]: _bound(value) for name, value in values.items()}
        rows = self._connection.execute(self._translation.sql, bound).fetchall()
        return [Row(version, outcome, bucket, int(n)) for version, outcome, bucket, n in rows]

    def _show(self, endpoint: str) -> None:
        if endpoint != self._endpoint:
            self._connection.execute(
                _APP_REQUESTS.format(
                    endpoint=_quoted(endpoint), path=_quoted(self._scratch.path), columns=_LINE
                )
            )
            self._endpoint = endpoint


class _Scratch:
    """A file that holds one piece at a time; in memory where the operating system can do that."""

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            self._descriptor = os.memfd_create("weir-window")
            self.path = f"/dev/fd/{self._descriptor}"
        else:
            self._descriptor, self.path = tempfile.mkstemp(prefix="weir-window-")

    def fill(self, piece: Piece) -> None:
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        offset = piece.start
        while offset < piece.stop:
            block = os.pread(piece.descriptor, min(2**20, piece.stop - offset), offset)
            if not block:
                break
            offset += os.write(self._descriptor, block)

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._descriptor)
            if not self.path.startswith("/dev/fd/"):
                Path(self.path).unlink()


def _bound(value: str | datetime) -> str | datetime:
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value


def _quoted(text: str) -> str:
    return text.replace("'", "''")
