"""Access log lines of Envoy as table AppRequests, asked in KQL on DuckDB."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from weir.logs.kql import Translation, translated
from weir.logs.scratch import Scratch
from weir.logs.slices import Piece
from weir.telemetry import query
from weir.telemetry.query import Row
from weir.telemetry.reports import Report

PIECE_BYTES = 12 * 2**20
"""Per worker in memory at a time. Longer pieces take a rollout with Prefect in it past 200 MB."""

_WORKERS = 2
_MEMORY_LIMIT = "256MB"
"""Half of it would do, but for answers that all carry the longest reports: those take 180 MB."""

_WHY = ("flags", "details", "forced")
_REPORTED = ("metrics", "labels")
_FIELDS = ("start", "duration_us", "total_ms", "code", "version", *_WHY, *_REPORTED)
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
    to_json(struct_pack({properties})) AS Properties
FROM read_json('{path}', format = 'newline_delimited', compression = 'uncompressed',
    columns = {columns}, ignore_errors = true, maximum_object_size = 65536)
"""


class Answer(NamedTuple):
    """What the queries gave for one piece."""

    rows: list[Row]
    reports: list[Report]


class Engine:
    """DuckDB in memory, with one scratch file and one connection for each query a worker asks."""

    def __init__(self, cache: Path) -> None:
        self._database = duckdb.connect(
            config={
                "threads": 1,  # Each worker's own thread does its work.
                "memory_limit": _MEMORY_LIMIT,
                "temp_directory": "",
                "preserve_insertion_order": False,
                "autoinstall_known_extensions": False,
            }
        )
        self._cache = cache
        self._workers: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        one_at_a_time = threading.Lock()
        for _ in range(_WORKERS):
            self._workers.put(_Worker(self._query, one_at_a_time))

    def answers(self, found: list[Piece], values: Mapping[str, str | datetime]) -> Iterator[Answer]:
        def run(piece: Piece) -> Answer:
            worker = self._workers.get()
            try:
                return worker.run(piece, values)
            finally:
                self._workers.put(worker)

        if len(found) == 1:
            yield run(found[0])
            return
        with ThreadPoolExecutor(_WORKERS) as pool:
            yield from pool.map(run, found)

    def _query(self, name: str, properties: Sequence[str], path: str) -> _Query:
        translation = translated(query.declared(name), {query.TABLE: query.COLUMNS}, self._cache)
        return _Query(self._database.cursor(), translation, properties, path)


class _Worker:
    def __init__(
        self, query_of: Callable[[str, Sequence[str], str], _Query], one_at_a_time: threading.Lock
    ) -> None:
        self._query_of = query_of
        self._scratch = Scratch()
        self._one_at_a_time = one_at_a_time
        self._requests = query_of(query.REQUESTS, _WHY, self._scratch.path)
        self._reports: _Query | None = None

    def run(self, piece: Piece, values: Mapping[str, str | datetime]) -> Answer:
        has_reports = self._scratch.fill(piece)
        requests = self._requests.rows(values)
        rows = [Row(version, outcome, bucket, int(n)) for version, outcome, bucket, n in requests]
        if not has_reports:
            return Answer(rows, [])
        # Two would take twice the memory.
        with self._one_at_a_time:
            # Translated only where a version does report.
            self._reports = self._reports or self._query_of(
                query.REPORTS, (*_WHY, *_REPORTED), self._scratch.path
            )
            return Answer(rows, [Report(*row) for row in self._reports.rows(values)])


class _Query:
    """One query over the log file at ``path``, with ``properties`` in the table's bag.

    It has a connection, and thus a view, of its own: time and memory go with the bag's length.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        translation: Translation,
        properties: Sequence[str],
        path: str,
    ) -> None:
        self._connection = connection
        self._translation = translation
        self._properties = ", ".join(f'"{name}" := "{name}"' for name in properties)
        self._path = path
        self._endpoint: str | None = None
        # KQL's instants are UTC, whatever this machine's zone is.
        connection.execute("SET TimeZone = 'UTC'")

    def rows(self, values: Mapping[str, str | datetime]) -> list[Any]:
        self._show(str(values["endpoint"]))
        bound = {self._translation.slots[name]: _bound(value) for name, value in values.items()}
        return self._connection.execute(self._translation.sql, bound).fetchall()

    def _show(self, endpoint: str) -> None:
        if endpoint != self._endpoint:
            self._connection.execute(
                _APP_REQUESTS.format(
                    endpoint=_quoted(endpoint),
                    properties=self._properties,
                    path=_quoted(self._path),
                    columns=_LINE,
                )
            )
            self._endpoint = endpoint


def _bound(value: str | datetime) -> str | datetime:
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value


def _quoted(text: str) -> str:
    return text.replace("'", "''")
