"""What an OpenTelemetry collector sees of a guard, and callers of a collector that fails."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import version
from tests.eventually import eventually
from tests.fakes.collector import SERVER_KIND, Collector, Span, collector
from tests.gateway import load
from tests.guard import Guard, free_ports
from weir.envoy.guard import GuardSettings, guard_environment

PLAN = {"replica_max_concurrent_requests": 50, "scoring_timeout_ms": 500}


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[tuple[Guard, Collector]]:
    environment = {
        name: value.replace("$(POD_NAME)", "fraud-v1-abc")
        for name, value in guard_environment().items()
    }
    with collector() as found:
        settings = GuardSettings("fraud", collector=f"localhost:{found.port}")
        plan = version("v1", **PLAN)
        with Guard(tmp_path, plan, settings=settings, environment=environment) as guard:
            yield guard, found


def test_a_request_is_a_span_that_says_what_its_line_in_the_log_says(
    traced: tuple[Guard, Collector],
) -> None:
    guard, found = traced
    report = {"x-weir-metrics": "score=0.5", "x-weir-labels": "prediction=approve"}
    guard({"x-weir-version": "v1"}, response_headers=report)
    guard(sleep_ms=2000)
    guard(key="wrong")
    eventually(lambda: len(found.spans) == 3)
    spans = {span.attributes["http.response.status_code"]: span for span in found.spans}
    lines = {str(line["code"]): line for line in guard.log(3)}
    assert spans.keys() == lines.keys() == {"200", "504", "401"}
    for code, span in spans.items():
        line = lines[code]
        for name in ("flags", "details", "forced", "metrics", "labels"):
            assert span.attributes.get(name, "-") in (line[name] or "-", "-"), (code, name)
            assert (span.attributes.get(name, "-") == "-") is (line[name] in ("-", None))
        assert span.kind == SERVER_KIND
        assert span.start_ns / 1e9 == pytest.approx(float(line["start"]), abs=0.001)
        length_us = (span.end_ns - span.start_ns) / 1000
        assert length_us == pytest.approx(line["duration_us"], abs=5000)
    assert spans["200"].attributes["metrics"] == "score=0.5"
    assert spans["504"].attributes["flags"] == "UT"


def test_a_span_says_which_endpoint_version_and_pod_it_is_from(
    traced: tuple[Guard, Collector],
) -> None:
    span = _of_one_request(*traced)
    assert (span.name, span.attributes["http.request.method"]) == ("fraud", "POST")
    assert span.resource.items() >= {
        ("service.name", "fraud"),
        ("service.version", "v1"),
        ("service.instance.id", "fraud-v1-abc"),
    }
    assert "service.namespace" not in span.resource
    assert "secret=1" not in str(span), "the query is the caller's own business"


def test_a_callers_own_trace_does_not_keep_his_request_from_being_counted(
    traced: tuple[Guard, Collector],
) -> None:
    unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    b3 = {"x-b3-sampled": "0", "x-envoy-force-trace": "0", "x-client-trace-id": "1"}
    _of_one_request(*traced, {"traceparent": unsampled, **b3})


def test_no_span_is_lost_under_load(traced: tuple[Guard, Collector]) -> None:
    guard, found = traced
    with load(guard, clients=2) as replies:
        eventually(lambda: len(replies) > 500)
    eventually(lambda: len(found.spans) == len(replies))
    assert len(guard.log(len(replies))) == len(replies)


def test_a_collector_that_is_not_there_costs_no_request(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    settings = GuardSettings("fraud", collector=f"127.0.0.1:{port}")
    with Guard(tmp_path, version("v1", **PLAN), settings=settings) as guard:
        _serves_well(guard)


def test_a_collector_whose_name_is_unknown_costs_no_request(tmp_path: Path) -> None:
    settings = GuardSettings("fraud", collector="collector.invalid:4318")
    with Guard(tmp_path, version("v1", **PLAN), settings=settings) as guard:
        _serves_well(guard)


def test_a_collector_that_never_answers_costs_no_request(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = GuardSettings("fraud", collector=f"127.0.0.1:{silent.getsockname()[1]}")
        with Guard(tmp_path, version("v1", **PLAN), settings=settings) as guard:
            _serves_well(guard)


def _of_one_request(guard: Guard, found: Collector, headers: dict[str, str] | None = None) -> Span:
    assert guard(headers).status == 200
    return eventually(lambda: found.spans)[0]


def _serves_well(guard: Guard) -> None:
    with load(guard, clients=2) as replies:
        eventually(lambda: len(replies) > 500)
    assert {reply.status for reply in replies} == {200}
    # Far below what any of the collector's timeouts would add.
    assert sorted(reply.seconds for reply in replies)[len(replies) // 2] < 0.1
    assert max(reply.seconds for reply in replies) < 1
    assert len(guard.log(len(replies))) == len(replies)
