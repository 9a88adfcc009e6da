"""Telemetry from Log Analytics, where Application Insights keeps its requests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from weir.azure import log_query
from weir.azure.asking import Asking
from weir.azure.log_query import NotAsExpected, Rows
from weir.azure.refusals import AzureRefused, said_in
from weir.azure.resource_ids import COMPONENT, WORKSPACE, parse
from weir.azure.said import quoted
from weir.errors import TelemetryUnavailable, UserError, WeirError
from weir.telemetry import query
from weir.window import NOTHING, Metric, VersionCounts

LAG_SECONDS = 30.0
"""Between a row's ingestion time and its being found by queries; windows go by the former."""

LONGEST_QUERY_SECONDS = 600
"""The longest that the service lets a query take."""

READER = "Log Analytics Reader"

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_NEXT = "weir tries again at the next window."


@dataclass(frozen=True)
class LogSettings:
    """Where the table is: ``workspace_id`` is the workspace's GUID, ``resource_id`` the ARM id of a
    workspace or of a workspace-based Application Insights; one of them.

    ``custom_metrics`` are queries of one's own by the name of the number that they give, with the
    columns version, n, sum and sum_sq.
    """

    workspace_id: str = ""
    resource_id: str = ""
    custom_metrics: Mapping[str, str] = field(default_factory=dict)
    lag_seconds: float = LAG_SECONDS

    def path(self) -> str:
        """What stands behind the API's version. Raises UserError ``telemetry.workspace``."""
        if bool(self.workspace_id) == bool(self.resource_id):
            raise _wrong("give workspace_id or log_resource_id, and not both", "workspace_id")
        for name in self.custom_metrics:
            if not _NAME.fullmatch(name):
                raise _wrong(
                    f"{name!r} can be no metric: up to 40 of a-z, 0-9 and _, with a letter first",
                    "custom_metrics",
                )
        if self.workspace_id:
            if not _GUID.fullmatch(self.workspace_id):
                raise _wrong(f"{self.workspace_id!r} is no workspace's GUID", "workspace_id")
            return f"/workspaces/{self.workspace_id}"
        kind = COMPONENT if f"/{COMPONENT}/".lower() in self.resource_id.lower() else WORKSPACE
        return str(parse(self.resource_id, kind, "log_resource_id"))


class LogAnalytics:
    """ports.Telemetry by the query API. A request belongs to the window in which its row arrived
    (see ``log_query``): none is lost, and none counted twice, however late it is."""

    def __init__(self, asking: Asking, settings: LogSettings) -> None:
        """Raises UserError ``telemetry.workspace``."""
        self._asking, self._settings = asking, settings
        self._address = f"{asking.cloud.log_analytics}/v1{settings.path()}/query"
        self._where = f"Log Analytics {settings.workspace_id or settings.resource_id}"
        self.lag_seconds = settings.lag_seconds

    def read(
        self, endpoint: str, start: datetime, end: datetime, begun_after: datetime
    ) -> Mapping[str, VersionCounts]:
        """See Telemetry. Raises TelemetryUnavailable ``telemetry.*`` or ``azure.*``."""
        window = (endpoint, start, end, begun_after)
        try:
            rows = [*log_query.rows_in(*self._ask(log_query.requests_text(*window)))]
            reports = (
                [*log_query.reports_in(*self._ask(log_query.reports_text(*window)))] if rows else []
            )
            counts = query.counts(rows, reports)
        except ValueError as error:
            raise TelemetryUnavailable(
                "telemetry.unreadable",
                f"the answer cannot be evaluated: {error}.",
                remedy=_NEXT,
                where=self._where,
            ) from None
        return self._with_custom_metrics(counts, window)

    def _with_custom_metrics(
        self, counts: Mapping[str, VersionCounts], window: tuple[str, datetime, datetime, datetime]
    ) -> Mapping[str, VersionCounts]:
        found = dict(counts)
        for name, kql in self._settings.custom_metrics.items():
            for version, metric in self._custom(name, kql, window).items():
                present = found.get(version, NOTHING)
                metrics = {**present.metrics, name: metric}
                found[version] = present.model_copy(update={"metrics": metrics})
        return found

    def _custom(
        self, name: str, kql: str, window: tuple[str, datetime, datetime, datetime]
    ) -> Mapping[str, Metric]:
        where = f"custom metric {name}"
        try:
            return log_query.metrics_in(*self._ask(log_query.custom_text(kql, *window), where))
        except NotAsExpected as error:
            raise TelemetryUnavailable(
                "telemetry.custom_metric",
                f"its query cannot be used: {error}.",
                remedy="Correct it in the platform block; it gives the columns version, n, sum and"
                " sum_sq.",
                where=where,
            ) from None

    def _ask(self, text: str, where: str = "") -> tuple[Sequence[str], Rows]:
        """Columns and rows of the answer's first table."""
        try:
            answer = self._asking.call(
                "POST",
                self._address,
                "query the telemetry",
                scope=self._asking.cloud.log_analytics_scope,
                where=where or self._where,
                json={"query": text},
                headers={"Prefer": f"wait={LONGEST_QUERY_SECONDS}"},
                timeout=(10, LONGEST_QUERY_SECONDS + 20),
            )
            return self._table(answer.json(), answer.correlation_id, where or self._where)
        except TelemetryUnavailable:
            raise
        except WeirError as error:
            raise self._unavailable(error) from None

    def _table(self, told: Any, correlation_id: str, where: str) -> tuple[Sequence[str], Rows]:
        if told.get("error"):
            # What is there may be half of it, and of one version more than of another.
            raise TelemetryUnavailable(
                "telemetry.partial",
                f"the answer is not whole, and is not counted: {said_in(told['error'])}"
                f" (correlation id {correlation_id}).",
                remedy=f"Shorten window_seconds if it stays like this. {_NEXT}",
                where=where,
            )
        try:
            table = told["tables"][0]
            return [str(one["name"]) for one in table["columns"]], table["rows"]
        except (LookupError, TypeError):
            raise NotAsExpected(f"there is no table in {quoted(str(told))[:200]}") from None

    def _unavailable(self, error: WeirError) -> TelemetryUnavailable:
        remedy = error.remedy
        if error.reason == "azure.unavailable":
            remedy = (
                f"A query may take {LONGEST_QUERY_SECONDS // 60} minutes: shorten window_seconds if"
                f" it stays like this. {_NEXT}"
            )
        if isinstance(error, AzureRefused) and error.reason == "azure.role_missing":
            scope = self._settings.resource_id or "WORKSPACE_RESOURCE_ID"
            remedy = (
                f"Give the identity the role: az role assignment create --assignee OBJECT_ID --role"
                f' "{READER}" --scope {scope}.'
            )
        return TelemetryUnavailable(error.reason, error.message, remedy=remedy, where=error.where)


def _wrong(why: str, where: str) -> UserError:
    return UserError(
        "telemetry.workspace",
        f"{why}.",
        remedy="Correct it in the platform block; az monitor log-analytics workspace show --query"
        " customerId gives the GUID.",
        where=where,
    )
