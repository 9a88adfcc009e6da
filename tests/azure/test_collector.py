"""A real guard, a real collector with the manifest's configuration, and a double of the ingestion.

The collector is built by scripts/get-collector; without it these tests are skipped.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.azure.collector import KEY, Collector, binary
from tests.azure.double import Double
from tests.azure.ingestion import Ingestion, ingestion
from tests.azure.log_analytics import WORKSPACE
from tests.azure.log_analytics import LogAnalytics as Workspace
from tests.builders import version
from tests.eventually import eventually
from tests.gateway import load
from tests.guard import KEYS, Guard
from weir.azure.asking import Asking
from weir.azure.log_analytics import LogAnalytics, LogSettings
from weir.envoy.guard import GuardSettings, guard_environment

PLAN = {"replica_max_concurrent_requests": 50, "scoring_timeout_ms": 500}
POD = "fraud--v1-abc"


@pytest.fixture(scope="module")
def built() -> Path:
    return binary()


@pytest.fixture
def sink() -> Iterator[Ingestion]:
    with ingestion() as found:
        yield found


@pytest.fixture
def collector(built: Path, sink: Ingestion, tmp_path: Path) -> Iterator[Collector]:
    with Collector(tmp_path, sink.url, built) as found:
        yield found


@pytest.fixture
def guard(collector: Collector, tmp_path: Path) -> Iterator[Guard]:
    environment = {
        name: value.replace("$(POD_NAME)", POD) for name, value in guard_environment().items()
    }
    settings = GuardSettings("fraud", collector=f"127.0.0.1:{collector.port}")
    plan = version("v1", **PLAN)
    with Guard(tmp_path / "pod", plan, settings=settings, environment=environment) as found:
        yield found


def test_the_collector_finds_the_configuration_good(collector: Collector) -> None:
    assert collector.validate() == ""
    collector.file.write_text(collector.file.read_text().replace("timeout: 1s", "tiemout: 1s"))
    assert "tiemout" in collector.validate()


def test_a_request_becomes_a_row_of_its_endpoint_version_and_pod(
    guard: Guard, sink: Ingestion
) -> None:
    report = {"x-weir-metrics": "score=0.5", "x-weir-labels": "prediction=approve"}
    guard({"x-weir-version": "v1"}, response_headers=report)
    (found,) = eventually(lambda: sink.envelopes)
    (line,) = guard.log()
    assert found.kind == "RequestData"
    assert found.document["iKey"] == KEY
    assert found.document["sampleRate"] == 100
    assert found.tags.items() >= {
        ("ai.cloud.role", "fraud"),
        ("ai.cloud.roleInstance", POD),
        ("ai.application.ver", "v1"),
    }
    assert (found.code, found.request["success"]) == ("200", True)
    assert found.request["name"] == "POST fraud"
    assert found.began.timestamp() == pytest.approx(float(line["start"]), abs=0.001)
    assert found.duration_ms == pytest.approx(line["duration_us"] / 1000, abs=5)
    assert found.properties.items() >= {
        ("service.version", "v1"),
        ("details", "via_upstream"),
        ("flags", "-"),
        ("forced", line["forced"]),
        ("metrics", "score=0.5"),
        ("labels", "prediction=approve"),
    }


def test_a_row_says_how_a_request_failed(guard: Guard, sink: Ingestion) -> None:
    guard(status=503)
    guard(status=418)
    guard(sleep_ms=2000)
    guard(key="wrong")
    _hang_up(guard)
    found = {
        one.code: one for one in eventually(lambda: len(sink.envelopes) == 5 and sink.envelopes)
    }
    assert found.keys() == {"503", "418", "504", "401", "0"}
    assert not any(found[code].request["success"] for code in ("503", "418", "504", "401"))
    details = {code: one.properties["details"] for code, one in found.items()}
    assert details["503"] == details["418"] == "via_upstream"
    assert details["401"] != "via_upstream"
    assert found["504"].properties["flags"] == "UT"
    assert found["504"].duration_ms == pytest.approx(500, abs=100)
    assert found["0"].properties["flags"] == "DC", "whoever hangs up is not counted"


def test_a_row_holds_nothing_twice_and_nothing_that_a_caller_asked(
    guard: Guard, sink: Ingestion
) -> None:
    guard.send("GET", "/score?secret=1")
    (found,) = eventually(lambda: sink.envelopes)
    envoys = {"component", "http.status_code", "http.url", "response_flags", "upstream_cluster"}
    assert not envoys & found.properties.keys()
    assert "secret" not in json.dumps(found.document)
    assert len(json.dumps(found.document)) < 1600


def test_weir_counts_of_the_rows_what_the_guard_answered(
    guard: Guard, sink: Ingestion, azure: Double, asking: Asking, tmp_path: Path
) -> None:
    before = datetime.now(UTC) - timedelta(minutes=1)
    for _ in range(3):
        guard(response_headers={"x-weir-metrics": "score=0.5"})
    guard({"x-weir-version": "v1"})
    guard(status=500)
    guard(sleep_ms=2000)
    guard(key="wrong")
    _hang_up(guard)
    eventually(lambda: len(sink.envelopes) == 8)
    workspace = Workspace(tmp_path)
    azure.serve(workspace)
    workspace.take(sink.envelopes)
    telemetry = LogAnalytics(asking, LogSettings(WORKSPACE))
    found = telemetry.read("fraud", before, datetime.now(UTC) + timedelta(minutes=1), before)
    assert found.keys() == {"v1"}
    assert found["v1"].requests == 5
    assert found["v1"].failures_by_class == {"server_error": 1, "timeout": 1}
    assert found["v1"].metrics["score"].n == 3


def test_no_row_is_lost_or_doubled_under_load(guard: Guard, sink: Ingestion) -> None:
    with load(guard, clients=2) as replies:
        eventually(lambda: len(replies) > 500)
    eventually(lambda: len(sink.envelopes) >= len(replies))
    assert len({one.request["id"] for one in sink.envelopes}) == len(replies)
    assert len(sink.envelopes) == len(replies)
    assert max(sink.posts) <= 1000


def test_a_guard_is_told_to_connect_anew_for_its_next_spans(collector: Collector) -> None:
    """So a replica that is about to end gets no more of them once it is out of the Service."""
    with socket.create_connection(("127.0.0.1", collector.port), 10) as connection:
        head = "POST /v1/traces HTTP/1.1\r\nhost: collector\r\ncontent-type: application/json"
        connection.sendall(f"{head}\r\ncontent-length: 2\r\n\r\n{{}}".encode())
        received = b""
        while part := connection.recv(4096):
            received += part
    assert received.startswith(b"HTTP/1.1 200 ")


@pytest.mark.slow
def test_rows_that_were_refused_are_posted_again(
    guard: Guard, collector: Collector, sink: Ingestion
) -> None:
    sink.refusals = [503]
    guard()
    eventually(lambda: sink.refused)
    assert sink.envelopes == []
    eventually(lambda: sink.envelopes)
    assert "Waiting 10s to retry submission" in collector.log()


def test_a_collector_ends_when_it_is_told_to(collector: Collector) -> None:
    began = time.monotonic()
    assert collector.terminate() == 0
    assert time.monotonic() - began < 10


def _hang_up(guard: Guard) -> None:
    """A caller that goes while the model is at work."""
    body = b'{"sleep_ms": 300}'
    lines = len(guard.log(0))
    with socket.create_connection(("127.0.0.1", guard.port)) as connection:
        head = f"POST /score HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEYS.primary}\r\n"
        connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        eventually(lambda: guard.stat("http.front.downstream_rq_active") >= 1)
    guard.log(lines + 1)
