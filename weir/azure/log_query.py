"""What Log Analytics is asked, and what its answers mean. Pure.

The queries are those of ``weir.telemetry``, which every platform asks. Two things differ here, and
both are in this module: which window a request belongs to, and how the answer is packed.

A row reaches the table 20 s to some minutes after its request has ended, out of order. So a request
belongs to the window in which its row **arrived** (``ingestion_time()``): windows follow each other
without a gap, so every row is in exactly one, however late it is, and a window that is read again
says the same. The queries leave out what began before the last split change, as everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from weir.telemetry import query
from weir.telemetry.query import Row
from weir.telemetry.reports import Report
from weir.window import Metric

COMPLETED = "| extend Completed = TimeGenerated + DurationMs * 1ms"
ARRIVED = "| extend Completed = ingestion_time()"

BEGUN_BEFORE_THE_END = " and TimeGenerated < windowEnd"
"""True of whatever has completed by then, but not of what has arrived: the clock of a node may be
ahead of Azure's, and its row would be in no window."""

MOST_REPORTS = 700
"""Rows of reports that are asked for: longer ones would take an answer beyond 200 KB."""

CUSTOM_COLUMNS = ("version", "n", "sum", "sum_sq")

# One row for each version and outcome, whatever the traffic is. Number and bucket stand in one
# value: nobody promises that two lists have the same order.
# A duration of 0 has no bucket, and nothing stands before the colon.
_PACKED = """
| summarize Cells = make_list(strcat(tolong(Bucket), ":", Requests)) by Version, Outcome
"""

Rows = Sequence[Sequence[Any]]


class NotAsExpected(ValueError):
    """An answer whose columns or values are not those of the query; its words say which."""


def requests_text(endpoint: str, start: datetime, end: datetime, begun_after: datetime) -> str:
    """Gives Version, Outcome, Cells; see ``rows_in``."""
    return query.lets(endpoint, start, end, begun_after) + _arriving(query.REQUESTS) + _PACKED


def reports_text(endpoint: str, start: datetime, end: datetime, begun_after: datetime) -> str:
    """Gives the columns of ``reports.kql``, the most frequent first."""
    lets = query.lets(endpoint, start, end, begun_after)
    return f"{lets}{_arriving(query.REPORTS)}\n| top {MOST_REPORTS} by N\n"


def custom_text(
    kql: str, endpoint: str, start: datetime, end: datetime, begun_after: datetime
) -> str:
    """A user's own query, which may name endpoint, windowStart, windowEnd and begunAfter."""
    return query.lets(endpoint, start, end, begun_after) + kql


def rows_in(columns: Sequence[str], rows: Rows) -> Iterator[Row]:
    """The rows of ``requests.kql`` in an answer to ``requests_text``. Raises NotAsExpected."""
    for version, outcome, cells in _chosen(("Version", "Outcome", "Cells"), columns, rows):
        for cell in _listed(cells):
            bucket, _, number = str(cell).partition(":")
            try:
                index = int(bucket) if bucket else None
                yield Row(str(version), str(outcome), index, int(number))
            except ValueError:
                raise NotAsExpected(f"the cell {cell!r} is no bucket and number") from None


def reports_in(columns: Sequence[str], rows: Rows) -> Iterator[Report]:
    """The rows of ``reports.kql`` in an answer to ``reports_text``. Raises NotAsExpected."""
    names = ("Kind", "Version", "Name", "Value", "N", "Sum", "SumSq")
    for kind, version, name, value, n, total, squares in _chosen(names, columns, rows):
        yield Report(
            str(kind),
            str(version),
            str(name),
            str(value or ""),
            int(n),
            float(total or 0),
            float(squares or 0),
        )


def metrics_in(columns: Sequence[str], rows: Rows) -> Mapping[str, Metric]:
    """By version, what a user's own query gave. Raises NotAsExpected."""
    found: dict[str, Metric] = {}
    for version, n, total, squares in _chosen(CUSTOM_COLUMNS, columns, rows):
        try:
            metric = Metric(n=int(n), sum=float(total), sum_sq=float(squares))
        except (TypeError, ValueError):
            raise NotAsExpected(
                f"n, sum and sum_sq of version {version} are {n}, {total} and {squares}, which no"
                " numbers have"
            ) from None
        found[str(version)] = found.get(str(version), Metric()).plus(metric)
    return found


def _arriving(name: str) -> str:
    text = query.text(name)
    if text.count(COMPLETED) != 1 or text.count(BEGUN_BEFORE_THE_END) != 1:
        raise AssertionError(f"{name} says otherwise when a request has completed")
    return text.replace(COMPLETED, ARRIVED).replace(BEGUN_BEFORE_THE_END, "")


def _chosen(wanted: Sequence[str], columns: Sequence[str], rows: Rows) -> Iterable[tuple[Any, ...]]:
    """The wanted columns of every row, in that order; their names may be of any case."""
    places = {name.lower(): place for place, name in enumerate(columns)}
    missing = [name for name in wanted if name.lower() not in places]
    if missing:
        raise NotAsExpected(
            f"the answer lacks {' and '.join(missing)}; it has {', '.join(columns) or 'no columns'}"
        )
    return [tuple(row[places[name.lower()]] for name in wanted) for row in rows]


def _listed(cells: Any) -> list[Any]:
    """A dynamic value, which an answer holds as text."""
    try:
        found = json.loads(cells) if isinstance(cells, str) else cells
    except ValueError:
        found = None
    if not isinstance(found, list):
        raise NotAsExpected(f"{str(cells)[:80]!r} is no list")
    return found
