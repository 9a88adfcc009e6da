"""The double's Log Analytics: the query that was sent, run by DuckDB over rows that arrive late."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from tests.azure.double import Refuse, Reply, Request, route
from tests.azure.ingestion import Envelope
from weir.errors import PermanentError
from weir.logs.kql import translated
from weir.telemetry import query

WORKSPACE = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
_TABLE = """
CREATE TABLE AppRequests (
    TimeGenerated TIMESTAMP, AppRoleName VARCHAR, AppVersion VARCHAR, ResultCode VARCHAR,
    DurationMs DOUBLE, ItemCount BIGINT, Properties JSON, IngestionTime TIMESTAMP
)
"""
# Repeated texts come as an enumeration, which would become JSON as a text in quotes.
_FILL = "INSERT INTO AppRequests SELECT * REPLACE (c6::VARCHAR::JSON AS c6) FROM written"
COLUMNS = (*query.COLUMNS, "IngestionTime")


@dataclass
class LogAnalytics:
    """One workspace. ``may_read`` False: the identity has no role."""

    cache: Path
    may_read: bool = True
    partial: str = ""
    """The code of an error that comes with half of the tables."""
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    answered_bytes: list[int] = field(default_factory=list)

    def add(
        self,
        version: str,
        completed: datetime,
        *,
        late_seconds: float = 60.0,
        duration_ms: float = 10.0,
        code: str = "200",
        count: int = 1,
        endpoint: str = "fraud",
        by_resource: bool = True,
        **properties: str,
    ) -> None:
        """A row as the exporter writes it: the version stands in Properties."""
        details = {"details": "via_upstream", "flags": "-", "forced": "-", **properties}
        if by_resource:
            details["service.version"] = version
        began = completed - timedelta(milliseconds=duration_ms)
        self.rows.append(
            (
                _naive(began),
                endpoint,
                "" if by_resource else version,
                code,
                duration_ms,
                count,
                json.dumps(details),
                _naive(completed + timedelta(seconds=late_seconds)),
            )
        )

    def take(self, envelopes: Iterable[Envelope]) -> None:
        """The rows that Application Insights is documented to make of what was posted to it."""
        for one in envelopes:
            self.rows.append(
                (
                    _naive(one.began),
                    one.tags["ai.cloud.role"],
                    one.tags.get("ai.application.ver", ""),
                    one.code,
                    one.duration_ms,
                    1,
                    json.dumps(one.properties),
                    _naive(one.arrived),
                )
            )

    @route("POST", r"/v1/workspaces/([^/]+)/query", audience="logs")
    def by_workspace(self, request: Request, workspace: str) -> Reply:
        if workspace != WORKSPACE:
            raise Refuse(404, "WorkspaceNotFoundError", "The workspace could not be found.")
        return self._answer(request)

    @route("POST", r"/v1(/subscriptions/.+)/query", audience="logs")
    def by_resource(self, request: Request, _: str) -> Reply:
        return self._answer(request)

    def _answer(self, request: Request) -> Reply:
        if not self.may_read:
            raise Refuse(
                403,
                "InsufficientAccessError",
                "The provided credentials have insufficient access to perform the requested"
                " operation",
            )
        columns, rows = self._run(request.json()["query"])
        body: dict[str, Any] = {
            "tables": [
                {
                    "name": "PrimaryResult",
                    "columns": [{"name": name, "type": "string"} for name in columns],
                    "rows": [[_value(one) for one in row] for row in rows],
                }
            ]
        }
        if self.partial:
            body["tables"][0]["rows"] = body["tables"][0]["rows"][:1]
            body["error"] = {"code": "PartialError", "message": self.partial}
        self.answered_bytes.append(len(json.dumps(body)))
        return Reply(json=body)

    def _run(self, text: str) -> tuple[list[str], list[Any]]:
        """``let`` values become parameters, and ingestion_time() the column that holds it here."""
        values: dict[str, Any] = {}

        def take(found: re.Match[str]) -> str:
            name, value = found[1], found[2]
            instant = re.fullmatch(r"datetime\((.+)\)", value)
            values[name] = (
                datetime.fromisoformat(instant[1]).astimezone(UTC).replace(tzinfo=None)
                if instant
                else json.loads(value)
            )
            return ""

        body = re.sub(r"^let (\w+) = (.+);\n", take, text, flags=re.MULTILINE)
        body = body.replace("ingestion_time()", "IngestionTime")
        used = {name: kind for name, kind in query.PARAMETERS.items() if re.search(name, body)}
        declared = ", ".join(f"{name}:{kind}" for name, kind in used.items())
        body = f"declare query_parameters({declared});\n{body}" if used else body
        try:
            translation = translated(body, {query.TABLE: COLUMNS}, self.cache)
        except PermanentError as error:
            raise Refuse(400, "BadArgumentError", "The request was not understood.") from error
        with duckdb.connect() as database:
            database.execute("SET TimeZone = 'UTC'")
            database.execute(_TABLE)
            if self.rows:
                held = zip(*self.rows, strict=True)
                columns = {f"c{place}": np.array(column) for place, column in enumerate(held)}
                database.register("written", columns)
                database.execute(_FILL)
            bound = {translation.slots[name]: values[name] for name in used}
            answer = database.execute(translation.sql, bound)
            return [one[0] for one in answer.description or ()], answer.fetchall()


def _naive(instant: datetime) -> np.datetime64:
    return np.datetime64(instant.astimezone(UTC).replace(tzinfo=None), "us")


def _value(value: Any) -> Any:
    """A dynamic value stands in an answer as text."""
    return json.dumps(value, separators=(",", ":")) if isinstance(value, list | dict) else value
