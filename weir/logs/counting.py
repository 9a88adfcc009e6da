"""Counts of a window, from whatever parts of access logs an adapter has found for it."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import duckdb

from weir.errors import TelemetryUnavailable
from weir.logs.engine import Engine
from weir.logs.slices import Piece
from weir.telemetry import query
from weir.window import VersionCounts


class LogCounting:
    """The engine, opened when it is first needed; threads take turns.

    ``cache`` is a folder for translated queries.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._engine: Engine | None = None
        self._lock = threading.Lock()
        # DuckDB's binding complains on stderr about connections that outlive the interpreter.
        atexit.register(_forget, weakref.ref(self))

    def close(self) -> None:
        """Let go of the database; the next count opens it again."""
        with self._lock:
            self._engine = None

    def counts(
        self, found: list[Piece], values: Mapping[str, str | datetime], where: str
    ) -> Mapping[str, VersionCounts]:
        """Counts per version of what the queries with ``values`` find in these pieces.

        Raises TelemetryUnavailable ``telemetry.unreadable``; ``where`` is for its words.
        """
        if not found:
            return {}
        endpoint = values["endpoint"]
        with self._lock:
            try:
                self._engine = self._engine or Engine(self._cache)
                answers = list(self._engine.answers(found, values))
                return query.counts(
                    (row for answer in answers for row in answer.rows),
                    (report for answer in answers for report in answer.reports),
                )
            except (duckdb.Error, OSError, ValueError, MemoryError) as error:
                raise TelemetryUnavailable(
                    "telemetry.unreadable",
                    f"the access log of endpoint {endpoint} cannot be evaluated: {error}.",
                    remedy="weir tries again at the next window.",
                    where=where,
                ) from error


def _forget(counting: weakref.ref[LogCounting]) -> None:
    found = counting()
    if found is not None:
        found.close()
