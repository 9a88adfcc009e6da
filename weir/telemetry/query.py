"""The telemetry queries: their KQL texts, parameters, and what their rows mean. Pure."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from weir.spec.rollout import FailureClass
from weir.telemetry.reports import Report, Reported, reported
from weir.window import Histogram, VersionCounts

REQUESTS = "requests.kql"
"""Gives a ``Row`` for each version, outcome and latency bucket."""

REPORTS = "reports.kql"
"""Gives a ``Report`` for what versions said of their answers; empty where none of them did."""

TABLE = "AppRequests"
COLUMNS = (
    "TimeGenerated",
    "AppRoleName",
    "AppVersion",
    "ResultCode",
    "DurationMs",
    "ItemCount",
    "Properties",
)
"""The columns of Azure's table that the queries read."""

PARAMETERS = {
    "endpoint": "string",
    "windowStart": "datetime",
    "windowEnd": "datetime",
    "begunAfter": "datetime",
}
"""Names and KQL types of what ``text()`` leaves open."""

OK = "ok"

_CLASSES = frozenset(FailureClass)


class Row(NamedTuple):
    """One row of ``REQUESTS``. ``bucket`` is a whole number, or None for a duration of 0."""

    version: str
    outcome: str
    bucket: float | None
    requests: int


@cache
def text(name: str = REQUESTS) -> str:
    """The query itself, the same for every platform; its parameters are not set."""
    return files("weir.telemetry").joinpath(name).read_text(encoding="utf-8")


def declared(name: str = REQUESTS) -> str:
    """The query with its parameters declared, for engines that bind values beside the text."""
    types = ", ".join(f"{parameter}:{kind}" for parameter, kind in PARAMETERS.items())
    return f"declare query_parameters({types});\n{text(name)}"


def filled(
    endpoint: str, start: datetime, end: datetime, begun_after: datetime, name: str = REQUESTS
) -> str:
    """The query with its parameters as let statements, for Log Analytics, which binds none.

    Raises ValueError for an instant without a time zone.
    """
    return lets(endpoint, start, end, begun_after) + text(name)


def lets(endpoint: str, start: datetime, end: datetime, begun_after: datetime) -> str:
    """The parameters as let statements. Raises ValueError for an instant without a time zone."""
    values = values_of(endpoint, start, end, begun_after)
    return "".join(f"let {name} = {_literal(value)};\n" for name, value in values.items())


def values_of(
    endpoint: str, start: datetime, end: datetime, begun_after: datetime
) -> dict[str, str | datetime]:
    """The parameters' values by their names; instants in UTC."""
    instants = {"windowStart": start, "windowEnd": end, "begunAfter": begun_after}
    return {"endpoint": endpoint, **{name: _utc(instant) for name, instant in instants.items()}}


def counts(rows: Iterable[Row], reports: Iterable[Report] = ()) -> Mapping[str, VersionCounts]:
    """Rows of both queries, in any order and of any number of runs, added up per version.

    The latency of every counted request is in the histogram, also of those that failed: a
    timeout is slow. Raises ValueError for an outcome or a kind that the queries do not give.
    """
    requests: dict[str, int] = defaultdict(int)
    classes: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    zero: dict[str, int] = defaultdict(int)
    buckets: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for version, outcome, bucket, number in rows:
        requests[version] += number
        if outcome in _CLASSES:
            classes[version][outcome] += number
        elif outcome != OK:
            raise ValueError(f"the query gave the unknown outcome {outcome!r}")
        if bucket is None:
            zero[version] += number
        else:
            buckets[version][int(bucket)] += number
    said = reported(reports)
    return {
        version: VersionCounts(
            requests=requests[version],
            failures_by_class=dict(sorted(classes[version].items())),
            latency_ms=Histogram(zero=zero[version], counts=dict(sorted(buckets[version].items()))),
            metrics=said.get(version, Reported()).metrics,
            labels=said.get(version, Reported()).labels,
        )
        for version in sorted(requests)
    }


def _utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError(f"{instant} has no time zone")
    return instant.astimezone(UTC)


def _literal(value: str | datetime) -> str:
    if isinstance(value, datetime):
        return f"datetime({value:%Y-%m-%dT%H:%M:%S.%fZ})"
    # A KQL string literal escapes as JSON does, and no control character can be in it unescaped.
    return json.dumps(value)
