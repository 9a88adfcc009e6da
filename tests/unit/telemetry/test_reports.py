from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir.logs.kql import translated
from weir.telemetry import query
from weir.telemetry.query import Row
from weir.telemetry.reports import (
    LONGEST_HEADER_BYTES,
    MOST_NAMES,
    Report,
    reported,
)
from weir.window import MOST_VALUES, OTHER, Metric

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
WINDOW = (NOON, NOON + timedelta(seconds=5), NOON - timedelta(seconds=60))


def label(version: str, name: str, value: str, n: int) -> list[Report]:
    """The two rows that the query gives for a value on its own."""
    return [Report("labels", version, name, each, n, 0, 0) for each in (value, "")]


def test_rows_of_several_runs_are_added_up():
    rows = [Report("metrics", "v1", "score", "", 2, 3.0, 5.0) for _ in range(3)]
    found = reported([*rows, *label("v1", "p", "a", 2), *label("v1", "p", "a", 5)])
    assert found["v1"].metrics == {"score": Metric(n=6, sum=9, sum_sq=15)}
    assert found["v1"].labels == {"p": {"a": 7}}


def test_values_that_the_query_left_out_are_other():
    rows = [*label("v1", "p", "a", 2), Report("labels", "v1", "p", "", 40, 0, 0)]
    assert reported(rows)["v1"].labels == {"p": {"a": 2, OTHER: 40}}


def test_a_value_that_is_called_other_is_one_of_the_others():
    rows = [*label("v1", "p", OTHER, 2), Report("labels", "v1", "p", "", 3, 0, 0)]
    assert reported(rows)["v1"].labels == {"p": {OTHER: 5}}


def test_only_the_most_frequent_names_are_kept_and_the_same_of_every_version():
    metrics = [Report("metrics", "v1", f"m{n:02}", "", n + 1, 0, 0) for n in range(MOST_NAMES + 5)]
    labels = [row for n in range(MOST_NAMES + 5) for row in label("v1", f"p{n:02}", "a", n + 1)]
    new = [Report("metrics", "v2", "m00", "", 1, 0, 0), *label("v2", "p24", "a", 1)]
    found = reported([*metrics, *labels, *new])
    kept = {f"{n:02}" for n in range(5, MOST_NAMES + 5)}
    assert {name[1:] for name in found["v1"].metrics} == kept
    assert {name[1:] for name in found["v1"].labels} == kept
    assert (found["v2"].metrics, found["v2"].labels) == ({}, {"p24": {"a": 1}})


@given(
    st.lists(st.tuples(st.sampled_from(["v1", "v2"]), st.integers(0, 60), st.integers(1, 9))),
)
def test_no_answer_is_lost_however_many_values_a_label_has(said: list[tuple[str, int, int]]):
    found = reported(
        row for version, value, n in said for row in label(version, "p", f"{value}", n)
    )
    for version in ("v1", "v2"):
        total = sum(n for name, _, n in said if name == version)
        counts = found[version].labels["p"] if version in found else {}
        assert sum(counts.values()) == total
        assert len(counts) <= MOST_VALUES + 1


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="mystery"):
        reported([Report("mystery", "v1", "a", "", 1, 0, 0)])


def test_reports_of_a_version_without_requests_are_left_out():
    counts = query.counts([Row("v1", "ok", 1.0, 1)], label("v2", "p", "a", 1))
    assert set(counts) == {"v1"}


def test_the_query_takes_as_much_of_a_header_as_the_gateway_logs():
    assert f"{{1,{LONGEST_HEADER_BYTES}}}$" in query.text(query.REPORTS)


def test_let_statements_come_before_the_text_that_every_platform_runs():
    filled = query.filled("fraud", *WINDOW, query.REPORTS)
    assert filled.startswith('let endpoint = "fraud";\nlet windowStart')
    assert filled.endswith(query.text(query.REPORTS))


def test_sampled_rows_count_for_as_many_answers_as_they_stand_for(tmp_path: Path):
    """The table as Azure fills it: no version of its own, a dash where there is nothing."""
    database = duckdb.connect()
    database.execute(
        "CREATE TABLE AppRequests (TimeGenerated TIMESTAMP, AppRoleName VARCHAR,"
        " AppVersion VARCHAR, ResultCode VARCHAR, DurationMs DOUBLE, ItemCount INTEGER,"
        " Properties JSON)"
    )
    bags = [
        '{"service.version":"v1","details":"via_upstream","metrics":"a=2","labels":"p=x"}',
        '{"service.version":"v1","details":"via_upstream","metrics":"-","labels":"-"}',
        '{"service.version":"v1","details":"via_upstream"}',
    ]
    for bag in bags:
        row = [NOON.replace(tzinfo=None), "fraud", "", "200", 5.0, 4, bag]
        database.execute("INSERT INTO AppRequests VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    kql = query.filled("fraud", *WINDOW, query.REPORTS)
    sql = translated(kql, {query.TABLE: query.COLUMNS}, tmp_path).sql
    found = reported(Report(*row) for row in database.execute(sql).fetchall())["v1"]
    assert found.metrics == {"a": Metric(n=4, sum=8, sum_sq=16)}
    assert found.labels == {"p": {"x": 4}}
