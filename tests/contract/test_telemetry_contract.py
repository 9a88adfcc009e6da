"""What every adapter of ports.Telemetry does. The local one runs the real query on DuckDB."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.fakes.telemetry import FakeTelemetry, Request
from weir.local.telemetry import LocalTelemetry
from weir.ports import Telemetry
from weir.window import VersionCounts

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
Serve = Callable[[Sequence[Request]], Telemetry]


@pytest.fixture(scope="module")
def local_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def one_local_telemetry(local_home: Path) -> LocalTelemetry:
    return LocalTelemetry(local_home)


@pytest.fixture(params=["local", "fake"])
def served(
    request: pytest.FixtureRequest, local_home: Path, one_local_telemetry: LocalTelemetry
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

    return {"local": local, "fake": fake}[request.param]


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
