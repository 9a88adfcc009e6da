from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import duckdb
import pytest

from weir.logs.kql import translated
from weir.telemetry import query
from weir.telemetry.query import Row

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
WINDOW = (NOON, NOON + timedelta(seconds=5), NOON - timedelta(seconds=60))


def test_let_statements_come_before_the_text_that_every_platform_runs():
    filled = query.filled("fraud", *WINDOW)
    assert (
        filled
        == (
            'let endpoint = "fraud";\n'
            "let windowStart = datetime(2026-11-23T12:00:00.000000Z);\n"
            "let windowEnd = datetime(2026-11-23T12:00:05.000000Z);\n"
            "let begunAfter = datetime(2026-11-23T11:59:00.000000Z);\n"
        )
        + query.text()
    )
    assert query.declared().endswith(query.text())


def test_an_instant_of_another_zone_is_filled_in_as_utc():
    there = NOON.astimezone(timezone(timedelta(hours=5)))
    assert "windowStart = datetime(2026-11-23T12:00:00.000000Z)" in query.filled(
        "fraud", there, *WINDOW[1:]
    )


def test_an_instant_without_a_time_zone_is_refused():
    with pytest.raises(ValueError, match="no time zone"):
        query.filled("fraud", NOON.replace(tzinfo=None), *WINDOW[1:])


@pytest.mark.parametrize("name", ['x"; AppTraces | take 1; //', "x\\", "x\ny", "x'"])
def test_a_name_cannot_leave_its_string_literal(name: str):
    first, second, *_ = query.filled(name, *WINDOW).split("\n")
    assert first.startswith('let endpoint = "')
    assert first.endswith('";')
    assert '"' not in first[16:-2].replace("\\\\", "").replace('\\"', "")
    assert second.startswith("let windowStart")


def test_rows_of_several_runs_are_added_up():
    rows = [Row("v1", "ok", 3.0, 2), Row("v1", "ok", 3.0, 5), Row("v1", "timeout", None, 1)]
    counts = query.counts(rows)["v1"]
    assert (counts.requests, dict(counts.failures_by_class)) == (8, {"timeout": 1})
    assert (counts.latency_ms.zero, dict(counts.latency_ms.counts)) == (1, {3: 7})


def test_an_unknown_outcome_is_refused_rather_than_counted_as_good():
    with pytest.raises(ValueError, match="mystery"):
        query.counts([Row("v1", "mystery", 1.0, 1)])


ROWS = [
    # begun, role, AppVersion, code, ms, ItemCount, Properties
    (NOON, "fraud", "v1", "200", 5.0, 1, '{"flags":"-","details":"via_upstream"}'),
    (NOON, "fraud", "", "200", 5.0, 4, '{"service.version":"v2","details":"via_upstream"}'),
    (NOON, "churn", "v1", "200", 5.0, 1, '{"details":"via_upstream"}'),
    (NOON, "fraud", "", "500", 5.0, 1, '{"details":"via_upstream"}'),
]


@pytest.fixture(scope="module")
def azure_like(tmp_path_factory: pytest.TempPathFactory):
    """The table as Azure fills it; runs either form of the query."""
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'")
    database.execute(
        "CREATE TABLE AppRequests (TimeGenerated TIMESTAMP, AppRoleName VARCHAR,"
        " AppVersion VARCHAR, ResultCode VARCHAR, DurationMs DOUBLE, ItemCount INTEGER,"
        " Properties JSON)"
    )
    for begun, *rest in ROWS:
        values = [begun.replace(tzinfo=None), *rest]
        database.execute("INSERT INTO AppRequests VALUES (?, ?, ?, ?, ?, ?, ?)", values)
    folder = tmp_path_factory.mktemp("kql")

    def run(kql: str, values: dict[str, object]) -> dict[str, int]:
        translation = translated(kql, {query.TABLE: query.COLUMNS}, folder)
        bound = {translation.slots[name]: value for name, value in values.items()}
        rows = database.execute(translation.sql, bound).fetchall()
        return {v: c.requests for v, c in query.counts(Row(*row) for row in rows).items()}

    return run


def test_sampled_rows_count_for_as_many_requests_as_they_stand_for(azure_like):
    assert azure_like(query.filled("fraud", *WINDOW), {})["v2"] == 4


def test_the_version_among_the_resource_attributes_is_found_and_no_version_is_left_out(azure_like):
    assert azure_like(query.filled("fraud", *WINDOW), {}) == {"v1": 1, "v2": 4}


def test_let_statements_and_declared_parameters_give_the_same(azure_like):
    values = query.values_of("fraud", *WINDOW)
    bound = {k: v.replace(tzinfo=None) if k != "endpoint" else v for k, v in values.items()}
    assert azure_like(query.declared(), bound) == azure_like(query.filled("fraud", *WINDOW), {})
