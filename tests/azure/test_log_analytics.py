"""Telemetry from Log Analytics: what is counted, when, and what happens when it is not told."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from tests.azure.aks import SUBSCRIPTION
from tests.azure.conftest import identity_at
from tests.azure.double import Double
from tests.azure.log_analytics import WORKSPACE
from tests.azure.log_analytics import LogAnalytics as Workspace
from weir.azure.asking import Asking
from weir.azure.identity import credential
from weir.azure.log_analytics import LogAnalytics, LogSettings
from weir.errors import TelemetryUnavailable, UserError
from weir.window import VersionCounts

START = datetime(2026, 11, 26, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
COMPONENT = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ml/providers/Microsoft.Insights/components/app"
)


@pytest.fixture(scope="module")
def translations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kql")


@pytest.fixture
def workspace(azure: Double, translations: Path) -> Workspace:
    service = Workspace(translations)
    azure.serve(service)
    return service


@pytest.fixture
def telemetry(workspace: Workspace, asking: Asking) -> LogAnalytics:
    return LogAnalytics(asking, LogSettings(WORKSPACE))


def read(telemetry: LogAnalytics, minute: int = 0, minutes: int = 1) -> dict[str, VersionCounts]:
    start = START + minute * MINUTE
    found = telemetry.read("fraud", start, start + minutes * MINUTE, START - 60 * MINUTE)
    return dict(found)


def test_requests_are_counted_by_version_outcome_and_latency(
    telemetry: LogAnalytics, workspace: Workspace
) -> None:
    for _ in range(3):
        workspace.add("v1", START - MINUTE, late_seconds=90)
    workspace.add("v1", START - MINUTE, late_seconds=90, code="500", duration_ms=2000, count=5)
    workspace.add("v2", START - MINUTE, late_seconds=90, by_resource=False, duration_ms=0)
    workspace.add("v2", START - MINUTE, late_seconds=90, forced="1")
    workspace.add("v2", START - MINUTE, late_seconds=90, endpoint="other")
    found = read(telemetry)
    assert {name: one.requests for name, one in found.items()} == {"v1": 8, "v2": 1}
    assert found["v1"].failures_by_class == {"server_error": 5}
    assert found["v1"].latency_ms.slower_than(1000, sure=True) == 5
    assert found["v2"].latency_ms.zero == 1


def test_a_late_row_is_counted_once_in_the_window_in_which_it_arrived(
    telemetry: LogAnalytics, workspace: Workspace
) -> None:
    workspace.add("v1", START, late_seconds=30)
    workspace.add("v1", START, late_seconds=290)
    requests = [read(telemetry, minute).get("v1", VersionCounts()).requests for minute in range(6)]
    assert requests == [1, 0, 0, 0, 1, 0]


def test_a_node_whose_clock_is_ahead_loses_no_row(
    telemetry: LogAnalytics, workspace: Workspace
) -> None:
    """By its own clock the request began after the window in which its row arrived."""
    workspace.add("v1", START + 3 * MINUTE, late_seconds=-150)
    requests = [read(telemetry, minute).get("v1", VersionCounts()).requests for minute in range(5)]
    assert requests == [1, 0, 0, 0, 0]


@pytest.mark.parametrize("seed", range(3))
def test_every_row_is_in_exactly_one_window_however_late_it_is(
    telemetry: LogAnalytics, workspace: Workspace, seed: int
) -> None:
    chance = random.Random(seed)
    for _ in range(200):
        completed = START + chance.uniform(0, 600) * timedelta(seconds=1)
        late = chance.expovariate(1 / 90)
        workspace.add("v1", completed, late_seconds=late, duration_ms=chance.uniform(0, 3000))
    cuts = sorted(chance.uniform(0, 3000) for _ in range(5))
    edges = [START + second * timedelta(seconds=1) for second in (-10, *cuts, 30_000)]
    counted = [
        telemetry.read("fraud", start, end, START - MINUTE) for start, end in pairwise(edges)
    ]
    # No row is later than an hour, beyond which nobody looks.
    assert sum(one["v1"].requests for one in counted if "v1" in one) == 200


def test_what_began_before_the_split_changed_is_left_out(
    telemetry: LogAnalytics, workspace: Workspace
) -> None:
    workspace.add("v1", START + MINUTE, duration_ms=1000)
    window = (START, START + 5 * MINUTE)
    assert telemetry.read("fraud", *window, START)["v1"].requests == 1
    assert telemetry.read("fraud", *window, START + MINUTE) == {}


def test_numbers_and_labels_that_versions_report_are_read(
    telemetry: LogAnalytics, workspace: Workspace
) -> None:
    for value in ("0.5", "1.5"):
        workspace.add("v1", START, metrics=f"score={value}", labels="prediction=yes", count=2)
    found = read(telemetry, minutes=5)["v1"]
    assert (found.metrics["score"].n, found.metrics["score"].sum) == (4, 4.0)
    assert found.labels["prediction"] == {"yes": 4}


def test_a_metric_of_ones_own_is_read_by_its_query(
    azure: Double, workspace: Workspace, asking: Asking
) -> None:
    kql = (
        "AppRequests | where AppRoleName == endpoint and ingestion_time() >= windowStart"
        " | extend x = DurationMs | summarize sum_sq = sum(x * x), SUM = sum(x), n = count()"
        ' by version = tostring(Properties["service.version"])'
    )
    workspace.add("v1", START, duration_ms=3)
    workspace.add("v1", START, duration_ms=4)
    settings = LogSettings(WORKSPACE, custom_metrics={"pace": kql})
    found = read(LogAnalytics(asking, settings), minutes=5)["v1"]
    pace = found.metrics["pace"]
    assert (pace.n, pace.sum, pace.sum_sq) == (2, 7, 25)
    assert found.requests == 2


@pytest.mark.parametrize(
    ("kql", "words"),
    [
        ("AppRequests | summarize n = count() by version = AppVersion", "lacks sum and sum_sq"),
        (
            "AppRequests | summarize n = count(), sum = sum(DurationMs), sum_sq = sum(0.0)"
            " by version = AppVersion",
            "which no numbers have",
        ),
    ],
)
def test_a_metric_whose_query_gives_something_else_names_itself(
    workspace: Workspace, asking: Asking, kql: str, words: str
) -> None:
    workspace.add("v1", START)
    telemetry = LogAnalytics(asking, LogSettings(WORKSPACE, custom_metrics={"pace": kql}))
    with pytest.raises(TelemetryUnavailable, match=words) as refused:
        read(telemetry, minutes=5)
    assert refused.value.where == "custom metric pace"


def test_half_an_answer_is_not_counted(telemetry: LogAnalytics, workspace: Workspace) -> None:
    workspace.add("v1", START)
    workspace.partial = "There were some errors when processing your query."
    with pytest.raises(TelemetryUnavailable, match="some errors") as refused:
        read(telemetry, minutes=5)
    assert refused.value.reason == "telemetry.partial"
    assert "correlation id" in refused.value.message


def test_a_throttled_query_is_asked_again(
    telemetry: LogAnalytics, workspace: Workspace, azure: Double, slept: list[float]
) -> None:
    workspace.add("v1", START)
    azure.fail("/query", 429, "ThrottledError", retry_after="9")
    assert read(telemetry, minutes=5)["v1"].requests == 1
    assert slept == [9]


def test_a_query_that_took_too_long_is_told_and_counted_at_the_next_window(
    telemetry: LogAnalytics, workspace: Workspace, azure: Double
) -> None:
    workspace.add("v1", START)
    # Asked again at once it would take as long again: what it says goes beyond any patience.
    azure.fail("/query", 504, "GatewayTimeout", retry_after="300", times=1)
    with pytest.raises(TelemetryUnavailable, match="GatewayTimeout") as late:
        read(telemetry, minutes=5)
    assert "10 minutes: shorten window_seconds" in late.value.remedy
    assert read(telemetry, minutes=5)["v1"].requests == 1


def test_a_missing_role_is_named_with_its_command(
    telemetry: LogAnalytics, workspace: Workspace
) -> None:
    workspace.may_read = False
    with pytest.raises(TelemetryUnavailable) as refused:
        read(telemetry)
    assert refused.value.reason == "azure.role_missing"
    assert '--role "Log Analytics Reader"' in refused.value.remedy


def test_a_workspace_that_is_not_there_is_told(workspace: Workspace, asking: Asking) -> None:
    other = LogSettings("00000000-0000-4000-8000-000000000000")
    with pytest.raises(TelemetryUnavailable, match="could not be found"):
        read(LogAnalytics(asking, other))


def test_an_application_insights_is_asked_by_its_resource_id(
    workspace: Workspace, asking: Asking, azure: Double
) -> None:
    workspace.add("v1", START)
    telemetry = LogAnalytics(asking, LogSettings(resource_id=COMPONENT))
    assert read(telemetry, minutes=5)["v1"].requests == 1
    asked = azure.asked("POST", "components/app/query")
    assert asked[0].headers["prefer"] == "wait=600"
    assert asked[0].headers["user-agent"].startswith("weir/")


@pytest.mark.parametrize(
    "settings",
    [
        LogSettings(),
        LogSettings(WORKSPACE, COMPONENT),
        LogSettings("my-workspace"),
        LogSettings(resource_id="/subscriptions/x"),
        LogSettings(WORKSPACE, custom_metrics={"My metric": "x"}),
    ],
)
def test_half_a_setting_is_refused_before_anybody_is_asked(
    azure: Double, settings: LogSettings
) -> None:
    asking = Asking(credential(identity_at(azure), azure.cloud), azure.cloud)
    with pytest.raises(UserError):
        LogAnalytics(asking, settings)
    assert azure.requests == []


def test_an_answer_stays_below_200_kb_whatever_the_traffic(
    telemetry: LogAnalytics, workspace: Workspace
) -> None:
    """Six versions, each with five outcomes, and latencies over seven decades in each of them."""
    for version in range(6):
        for code in ("200", "404", "500", "504", "0"):
            for bucket in range(-60, 310):
                latency_ms = 2 ** ((bucket + 0.5) / 16)
                workspace.add(
                    f"version-{version}", START, code=code, duration_ms=latency_ms, count=10**6
                )
    found = read(telemetry, minute=-60 * 24, minutes=60 * 48)
    assert len(found) == 6
    assert max(workspace.answered_bytes) < 200_000
