"""What every adapter of ports.Telemetry does. All but the fake run the real query on DuckDB.

Windows of Azure's adapter are of rows that arrived in them (docs/decisions/11). Here every row
arrives when its request completes, so that they are windows by completion as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.azure.conftest import identity_at
from tests.azure.double import Double
from tests.azure.ingestion import posted
from tests.azure.log_analytics import WORKSPACE
from tests.azure.log_analytics import LogAnalytics as Workspace
from tests.fakes.pod_logs import GuardPod, PodLogs, pod_logs
from tests.fakes.telemetry import FakeTelemetry, Request
from weir.azure.asking import Asking
from weir.azure.identity import credential
from weir.azure.log_analytics import LogAnalytics, LogSettings
from weir.kubernetes.api import Api
from weir.kubernetes.connection import Access, connect
from weir.kubernetes.telemetry import GuardLogs
from weir.local.telemetry import LocalTelemetry
from weir.ports import Telemetry
from weir.window import MOST_VALUES, OTHER, Metric, VersionCounts

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
Serve = Callable[[Sequence[Request]], Telemetry]


@pytest.fixture(scope="module")
def local_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def one_local_telemetry(local_home: Path) -> LocalTelemetry:
    return LocalTelemetry(local_home)


@pytest.fixture(scope="module")
def one_server() -> Iterator[PodLogs]:
    with pod_logs() as server:
        yield server


@pytest.fixture(scope="module")
def guard_logs(one_server: PodLogs, tmp_path_factory: pytest.TempPathFactory) -> GuardLogs:
    folder = tmp_path_factory.mktemp("guards")
    connection = connect(Access(kubeconfig=str(one_server.kubeconfig(folder))))
    return GuardLogs(Api(connection, "models"), folder / "cache")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("translations"))


@pytest.fixture(scope="module")
def log_analytics(
    workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LogAnalytics]:
    with Double(tmp_path_factory.mktemp("azure"), workspace) as azure:
        asking = Asking(credential(identity_at(azure), azure.cloud), azure.cloud)
        yield LogAnalytics(asking, LogSettings(WORKSPACE))


@pytest.fixture(params=["local", "fake", "kubernetes", "azure"])
def served(
    request: pytest.FixtureRequest,
    local_home: Path,
    one_local_telemetry: LocalTelemetry,
    one_server: PodLogs,
    guard_logs: GuardLogs,
    workspace: Workspace,
    log_analytics: LogAnalytics,
) -> Serve:
    """Telemetry of endpoint fraud after these requests."""

    def local(requests: Sequence[Request]) -> Telemetry:
        folder = local_home / "endpoints" / "fraud" / "gateway"
        folder.mkdir(parents=True, exist_ok=True)
        lines = (one.line() for one in sorted(requests, key=lambda one: one.completed))
        (folder / "access.log").write_text("".join(lines))
        return one_local_telemetry

    def fake(requests: Sequence[Request]) -> Telemetry:
        telemetry = FakeTelemetry()
        telemetry.requests["fraud"] = list(requests)
        return telemetry

    def kubernetes(requests: Sequence[Request]) -> Telemetry:
        # A guard serves one version; the pods of another example are gone.
        pods = {one.version: GuardPod(f"pod-{one.version}") for one in requests}
        for one in sorted(requests, key=lambda one: one.completed):
            pods[one.version].log(one)
        one_server.pods = list(pods.values())
        return guard_logs

    def azure(requests: Sequence[Request]) -> Telemetry:
        workspace.rows.clear()
        workspace.take(posted(one, "fraud") for one in requests)
        return log_analytics

    serves = {"local": local, "fake": fake, "kubernetes": kubernetes, "azure": azure}
    return serves[request.param]


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def read(telemetry: Telemetry, start: float = 0, end: float = 60, begun_after: float = -60):
    return telemetry.read("fraud", at(start), at(end), at(begun_after))


def only(telemetry: Telemetry) -> VersionCounts:
    (counts,) = read(telemetry).values()
    return counts


def test_requests_are_counted_for_the_version_that_served_them(served: Serve):
    telemetry = served([Request(at(1)), Request(at(2), version="v2"), Request(at(3))])
    assert {v: c.requests for v, c in read(telemetry).items()} == {"v1": 2, "v2": 1}


def test_an_endpoint_without_requests_has_no_counts(served: Serve):
    assert served([]).read("unknown", at(0), at(60), at(0)) == {}


@pytest.mark.parametrize(
    ("request_", "outcome"),
    [
        (Request(at(1), code=500), "server_error"),
        (Request(at(1), code=503), "server_error"),
        (
            Request(at(1), None, flags="UPE", details="upstream_reset", total_ms=7),
            "server_error",
        ),
        (Request(at(1), code=502, flags="URX,UPE", details="upstream_reset"), "server_error"),
        (Request(at(1), code=504, flags="UT", details="response_timeout"), "timeout"),
        (Request(at(1), code=504), "timeout"),
        (Request(at(1), code=503, flags="UF", details="upstream_reset"), "connection"),
        (Request(at(1), code=503, flags="URX,UC", details="upstream_reset"), "connection"),
        (Request(at(1), code=503, flags="UH", details="no_healthy_upstream"), "connection"),
        (Request(at(1), None, flags="UC", details="upstream_reset", total_ms=7), "connection"),
        (Request(at(1), code=0, details=""), "connection"),
        # No status: Azure's exporter then writes that of the span, which is 0, 1 or 2.
        (Request(at(1), code=1, details=""), "connection"),
        (Request(at(1), code=2, details=""), "connection"),
        (Request(at(1), code=503, flags="UO", details="overflow"), "overloaded"),
        (Request(at(1), code=422), "client_error"),
        (Request(at(1), code=413, details="request_payload_too_large"), "client_error"),
        (Request(at(1), code=401), "client_error"),
    ],
)
def test_a_failure_has_a_class(served: Serve, request_: Request, outcome: str):
    counts = only(served([request_]))
    assert (counts.requests, dict(counts.failures_by_class)) == (1, {outcome: 1})


def test_the_policy_and_not_telemetry_says_which_classes_are_failures(served: Serve):
    assert only(served([Request(at(1), code=500)])).failures == 0


@pytest.mark.parametrize("code", [200, 204, 302])
def test_an_answer_below_400_is_no_failure(served: Serve, code: int):
    counts = only(served([Request(at(1), code=code)]))
    assert (counts.requests, dict(counts.failures_by_class)) == (1, {})


@pytest.mark.parametrize(
    "request_",
    [
        Request(at(1), forced="v1"),
        Request(at(1), code=401, details="missing_api_key"),
        Request(at(1), code=401, details="unknown_api_key"),
        Request(at(1), code=403, details="jwt_authn_access_denied{Audiences_not_allowed}"),
        Request(at(1), None, code=0, flags="DC", details="downstream_remote_disconnect"),
        Request(at(1), code=200, flags="UC,DC", details="downstream_remote_disconnect"),
        Request(at(1), version="-", code=404, details="route_not_found"),
        Request(at(1), version="", code=503, details="direct_response"),
    ],
)
def test_what_says_nothing_of_a_version_is_not_counted(served: Serve, request_: Request):
    assert read(served([request_])) == {}


def test_a_request_belongs_to_the_window_in_which_it_completed(served: Serve):
    late = Request(at(1), duration_us=9_000_000)
    telemetry = served([late, Request(at(2))])
    assert read(telemetry, 0, 5)["v1"].requests == 1
    assert read(telemetry, 5, 15)["v1"].latency_ms.counts == {late.bucket(): 1}


def test_a_window_includes_its_start_and_not_its_end(served: Serve):
    telemetry = served([Request(at(4), duration_us=1_000_000)])
    assert read(telemetry, 0, 5) == {}
    assert read(telemetry, 5, 10)["v1"].requests == 1


def test_requests_begun_before_the_last_split_change_are_left_out(served: Serve):
    telemetry = served([Request(at(9.999), 2_000_000), Request(at(10), 2_000_000)])
    assert read(telemetry, 0, 60, begun_after=10)["v1"].requests == 1


@pytest.mark.parametrize(
    ("duration_us", "bucket"), [(1000, -1), (1001, 0), (2000, 15), (2001, 16), (500, -17)]
)
def test_a_duration_falls_into_its_exponential_bucket(served: Serve, duration_us: int, bucket: int):
    histogram = only(served([Request(at(1), duration_us)])).latency_ms
    assert (histogram.scale, dict(histogram.counts)) == (4, {bucket: 1})
    assert 2 ** (bucket / 16) < duration_us / 1000 <= 2 ** ((bucket + 1) / 16)


def test_a_duration_of_nothing_is_counted_as_zero(served: Serve):
    histogram = only(served([Request(at(1), 0)])).latency_ms
    assert (histogram.zero, dict(histogram.counts)) == (1, {})


def test_the_latency_of_failed_requests_is_counted_too(served: Serve):
    telemetry = served([Request(at(1), 1_000_000, code=504, flags="UT"), Request(at(2))])
    assert only(telemetry).latency_ms.total() == 2


def test_numbers_that_a_version_reports_are_added_up(served: Serve):
    telemetry = served(
        [
            Request(at(1), metrics="score=0.5, amount=12.5"),
            Request(at(2), metrics="score=-1.5"),
            Request(at(3), metrics="score=1e1", version="v2"),
            Request(at(4)),
        ]
    )
    counts = read(telemetry)
    assert counts["v1"].metrics == {
        "amount": Metric(n=1, sum=12.5, sum_sq=156.25),
        "score": Metric(n=2, sum=-1, sum_sq=2.5),
    }
    assert counts["v2"].metrics == {"score": Metric(n=1, sum=10, sum_sq=100)}
    assert counts["v1"].requests == 3


def test_labels_that_a_version_reports_are_counted_by_value(served: Serve):
    telemetry = served(
        [
            Request(at(1), labels="prediction=approve,route=a b=c"),
            Request(at(2), labels=" prediction = approve "),
            Request(at(3), labels="prediction=1", metrics="score=1"),
            Request(at(4), labels="prediction=reject", version="v2"),
        ]
    )
    counts = read(telemetry)
    assert counts["v1"].labels == {"prediction": {"1": 1, "approve": 2}, "route": {"a b=c": 1}}
    assert counts["v2"].labels == {"prediction": {"reject": 1}}


@pytest.mark.parametrize(
    "number", ["nan", "inf", "-inf", "1e300", "1e16", "", "one", "0x10", "1_000", "1e5.5", "1 2"]
)
def test_a_number_outside_reason_is_ignored_and_the_others_are_not(served: Serve, number: str):
    found = only(served([Request(at(1), metrics=f"score={number},amount=2")]))
    assert (found.requests, found.metrics) == (1, {"amount": Metric(n=1, sum=2, sum_sq=4)})


@pytest.mark.parametrize(
    "entry",
    [
        *("prediction", "prediction=", "=approve", "Prediction=a", "1st=a", "_x=a", "x y=a"),
        *("n" * 41 + "=a", "prediction=" + "v" * 65, "prediction==", ",", " , "),
    ],
)
def test_an_entry_that_is_not_as_agreed_is_ignored_alone(served: Serve, entry: str):
    found = only(served([Request(at(1), labels=f"{entry},route=a", metrics=entry)]))
    assert found.labels["route"] == {"a": 1}
    assert set(found.labels) <= {"route", "prediction"}
    assert found.labels.get("prediction", {"=": 1}) == {"=": 1}
    assert found.metrics == {}


@pytest.mark.parametrize("header", ["a=1," * 64 + "b=1", "b=1,c=ü", "b=1,c=\t2"])
def test_a_header_too_long_or_not_printable_is_ignored_as_a_whole(served: Serve, header: str):
    found = only(served([Request(at(1), metrics=header, labels=header)]))
    assert (found.requests, found.metrics, found.labels) == (1, {}, {})


def test_what_one_answer_says_twice_is_not_counted(served: Serve):
    found = only(served([Request(at(1), metrics="a=1,b=2, a = 1", labels="p=x,p=y,q=x")]))
    assert found.metrics == {"b": Metric(n=1, sum=2, sum_sq=4)}
    assert found.labels == {"q": {"x": 1}}


@pytest.mark.parametrize(
    ("request_", "counts"),
    [
        (Request(at(1), code=500), True),
        (Request(at(1), code=401), True),
        (Request(at(1), forced="v1"), False),
        (Request(at(1), code=401, details="missing_api_key"), False),
        (Request(at(1), code=200, flags="UC,DC"), False),
        (Request(at(1), version="-"), False),
        (Request(at(70)), False),
        (Request(at(-70), 71_000_000), False),
        (Request(at(-1), 2_000_000), True),
        (Request(at(59), 1_000_000), False),
    ],
)
def test_reports_are_of_the_same_requests_as_the_counts(
    served: Serve, request_: Request, counts: bool
):
    found = read(served([replace(request_, metrics="a=1", labels="p=x")]))
    assert [one.requests for one in found.values()] == [1] * counts
    assert [one.metrics["a"].n for one in found.values()] == [1] * counts
    assert [one.labels["p"]["x"] for one in found.values()] == [1] * counts


def test_rare_values_of_a_label_are_other_for_every_version(served: Serve):
    common = [
        Request(at(1), labels=f"p=c{number}") for number in range(MOST_VALUES) for _ in range(3)
    ]
    rare = [
        Request(at(2), labels=f"p=r{number}", version=version)
        for number, version in ((1, "v1"), (2, "v2"), (3, "v2"))
    ]
    counts = read(served([*common, *rare]))
    assert len(counts["v1"].labels["p"]) == MOST_VALUES + 1
    assert (counts["v1"].labels["p"]["c7"], counts["v1"].labels["p"][OTHER]) == (3, 1)
    assert counts["v2"].labels["p"] == {OTHER: 2}


def test_a_label_with_a_value_of_its_own_for_every_request_costs_no_other_its_values(
    served: Serve,
):
    asked = [
        Request(at(number / 100), labels=f"id=request {number},p={'yn'[number % 2]}")
        for number in range(3000)
    ]
    found = only(served(asked))
    assert found.labels["p"] == {"n": 1500, "y": 1500}
    assert sum(found.labels["id"].values()) == 3000
    assert found.labels["id"][OTHER] == 3000 - MOST_VALUES


headers = st.one_of(
    st.none(),
    st.text(st.sampled_from("ab1=, .eE-+_~\\\"'%ü"), max_size=40),
    st.lists(
        st.builds(
            "{}={}".format,
            st.sampled_from(["a", "b", " c ", "A"]),
            st.one_of(
                st.floats().map(str),
                st.integers(-(10**18), 10**18).map(str),
                st.text(st.characters(codec="latin-1"), max_size=6),
            ),
        ),
        max_size=4,
    ).map(",".join),
)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(said=st.lists(st.tuples(headers, headers), min_size=1, max_size=8))
def test_whatever_a_version_reports_its_requests_are_counted(
    served: Serve, said: list[tuple[str | None, str | None]]
):
    asked = [Request(at(1), metrics=metrics, labels=labels) for metrics, labels in said]
    fake = FakeTelemetry()
    fake.requests["fraud"] = asked
    found, expected = only(served(asked)), only(fake)
    assert found.requests == len(said)
    assert found.labels == expected.labels
    assert found.metrics.keys() == expected.metrics.keys()
    for name, metric in expected.metrics.items():
        assert found.metrics[name].n == metric.n
        assert found.metrics[name].sum == pytest.approx(metric.sum, rel=1e-9, abs=1e-3)
        assert found.metrics[name].sum_sq == pytest.approx(metric.sum_sq, rel=1e-9)
