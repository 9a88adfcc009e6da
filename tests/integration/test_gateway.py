"""What callers and the access log see of a gateway: a real Envoy, trivial replicas."""

from __future__ import annotations

import json
import math
import socket
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.eventually import eventually
from tests.gateway import Gateway, at_once, call, load
from weir import envoy
from weir.endpoint import Endpoint
from weir.local.gateway_files import FRONT_ROUTES, GatewayFiles
from weir.local.telemetry import LocalTelemetry

FIELDS = {
    *("start", "duration_us", "total_ms", "code", "flags", "details", "version", "host"),
    *("attempts", "id", "client", "forced", "method", "path", "metrics", "labels"),
}


def test_the_split_is_what_callers_get(shared: Gateway, fraud: Endpoint) -> None:
    send, count = shared.caller(fraud), 1000
    seen = Counter(send().version for _ in range(count))
    # Four standard deviations of a binomial.
    assert abs(seen["v2"] - 0.3 * count) < 4 * math.sqrt(count * 0.3 * 0.7)
    assert set(seen) == {"v1", "v2"}
    assert shared.traffic.split("fraud") == fraud.split


@pytest.mark.parametrize("key", [None, "wrong", ""])
def test_a_caller_without_a_valid_key_is_refused(fraud: Endpoint, key: str | None) -> None:
    reply = call(fraud.port or 0, key)
    assert (reply.status, reply.code) == (401, "gateway.key_missing_or_wrong")
    assert call(fraud.port or 0, key, {"x-weir-version": "v2"}).status == 401


def test_either_key_is_accepted_and_a_replaced_one_refused(
    shared: Gateway, fraud: Endpoint
) -> None:
    port, old = fraud.port or 0, shared.traffic.keys("fraud")
    assert call(port, old.primary).status == call(port, old.secondary).status == 200
    new = shared.traffic.rotate_key("fraud", "secondary")
    assert call(port, new.secondary).status == call(port, new.primary).status == 200
    assert call(port, old.secondary).status == 401
    assert new.primary == old.primary


def test_keys_change_under_load_without_a_failure(shared: Gateway, fraud: Endpoint) -> None:
    with load(shared.caller(fraud), clients=2) as replies:
        for _ in range(5):
            shared.traffic.rotate_key("fraud", "secondary")
    assert Counter(reply.status for reply in replies).keys() == {200}


def test_the_model_never_sees_the_key(shared: Gateway, fraud: Endpoint) -> None:
    assert "authorization" not in shared.caller(fraud)().json()["headers"]


def test_a_header_forces_a_version(shared: Gateway, fraud: Endpoint) -> None:
    send = shared.caller(fraud)
    replies = [send({"x-weir-version": "v2"}) for _ in range(20)]
    assert {(r.status, r.version, r.json()["name"]) for r in replies} == {(200, "v2", "v2")}


def test_forcing_an_unknown_version_gives_404(shared: Gateway, fraud: Endpoint) -> None:
    reply = shared.caller(fraud)({"x-weir-version": "v9"})
    assert (reply.status, reply.code) == (404, "gateway.version_unknown")


def test_a_request_longer_than_the_scoring_timeout_gets_504(
    shared: Gateway, fraud: Endpoint
) -> None:
    reply = shared.caller(fraud)(sleep_ms=3000)
    assert (reply.status, reply.code) == (504, "gateway.scoring_timeout")
    assert 0.6 < reply.seconds < 1.5
    assert reply.version in {"v1", "v2"}


def test_the_models_own_error_is_passed_on(shared: Gateway, fraud: Endpoint) -> None:
    reply = shared.caller(fraud)(status=500)
    assert (reply.status, reply.json()["length"] > 0) == (500, True)


def test_a_model_cannot_speak_for_the_gateway(shared: Gateway, fraud: Endpoint) -> None:
    send = shared.caller(fraud)
    reply = send(status=503, response_headers={"x-weir-wait": "1", "x-weir-flags": "UO"})
    assert reply.status == 503
    assert not {"x-weir-wait", "x-weir-flags", "x-weir-host"} & reply.headers.keys()
    request = _last(shared, "fraud")
    assert (request["flags"], request["details"]) == ("-", "via_upstream")
    assert request["attempts"] == 1, "nothing waited for a slot on the model's word"


def test_a_caller_cannot_steer_envoy(shared: Gateway, fraud: Endpoint) -> None:
    reply = shared.caller(fraud)({"x-envoy-upstream-rq-timeout-ms": "50"}, sleep_ms=300)
    assert reply.status == 200


def test_a_log_line_has_the_agreed_fields(shared: Gateway, fraud: Endpoint) -> None:
    before = time.time()
    shared.caller(fraud)({"x-weir-version": "v1"})
    line = _last(shared, "fraud")
    assert line.keys() == FIELDS
    assert (line["code"], line["flags"], line["details"]) == (200, "-", "via_upstream")
    assert (line["version"], line["forced"], line["attempts"]) == ("v1", "v1", 1)
    assert (line["method"], line["path"], line["client"]) == ("POST", "/score", "127.0.0.1")
    assert (line["metrics"], line["labels"]) == (None, None)
    assert line["host"].startswith("127.0.0.1:")
    assert before - 0.001 <= float(line["start"]) <= time.time()
    assert 0 < line["duration_us"] < 5_000_000


def test_a_rejected_caller_is_in_the_log_as_such(shared: Gateway, fraud: Endpoint) -> None:
    call(fraud.port or 0, "wrong")
    line = _last(shared, "fraud")
    assert line.keys() == FIELDS
    assert (line["code"], line["details"], line["host"]) == (401, "unknown_api_key", "-")
    assert line["forced"] == "-"


def test_a_timeout_is_in_the_log_as_such(shared: Gateway, fraud: Endpoint) -> None:
    shared.caller(fraud)({"x-weir-version": "v2"}, sleep_ms=2000)
    line = _last(shared, "fraud")
    assert (line["code"], line["flags"], line["version"]) == (504, "UT", "v2")
    assert line["duration_us"] > 600_000


def test_a_response_that_breaks_off_is_marked(shared: Gateway, fraud: Endpoint) -> None:
    reply = shared.caller(fraud)({"x-weir-version": "v2"}, **{"break": True})
    assert reply.status == 0
    line = _last(shared, "fraud")
    assert (line["code"], line["version"]) == (200, "v2")
    assert line["flags"] != "-"


def test_no_secret_is_in_a_log(shared: Gateway, fraud: Endpoint) -> None:
    keys = shared.traffic.keys("fraud")
    shared.caller(fraud)()
    _last(shared, "fraud")
    logs = [*shared.home.logs.iterdir(), *shared.home.gateway("fraud").glob("access*.log")]
    text = "".join(path.read_text() for path in logs)
    assert keys.primary not in text
    assert keys.secondary not in text
    assert "secret=1" not in text


def test_files_with_keys_are_private(shared: Gateway, fraud: Endpoint) -> None:
    folder = shared.home.gateway(fraud.name)
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in (folder / FRONT_ROUTES, shared.home.keys("fraud")):
        assert path.stat().st_mode & 0o777 == 0o600
    socket_path = GatewayFiles(shared.home, "fraud").admin_socket
    assert socket_path.stat().st_mode & 0o777 == 0o600


def test_a_request_that_finds_no_slot_waits_and_then_gets_503(
    shared: Gateway, busy: Endpoint
) -> None:
    send = shared.caller(busy)
    replies = at_once(4, lambda: send(sleep_ms=2500))
    refused = [reply for reply in replies if reply.status == 503]
    (served,) = (reply for reply in replies if reply.status == 200)
    assert {reply.code for reply in refused} == {"gateway.overloaded"}
    assert {reply.version for reply in refused} == {"v1"}
    # Below 500 ms by seven standard deviations of the wait.
    assert all(0.3 < reply.seconds < served.seconds for reply in refused)
    lines = [x for x in shared.log("busy", 4)[-4:] if x["code"] == 503]
    assert {(x["flags"], x["version"]) for x in lines} == {("UO", "v1")}
    assert all(x["attempts"] > 1 for x in lines)
    assert len(lines) == 3


def test_a_waiting_request_is_served_when_a_slot_frees(shared: Gateway, busy: Endpoint) -> None:
    send = shared.caller(busy)
    replies = at_once(2, lambda: send(sleep_ms=200))
    assert [reply.status for reply in replies] == [200, 200]
    assert max(reply.seconds for reply in replies) > 0.38


def test_a_replica_that_scores_for_long_stays_healthy(shared: Gateway, busy: Endpoint) -> None:
    """Health checks come every 0.5 s; the replica cannot answer any of them meanwhile."""
    assert shared.caller(busy)(sleep_ms=2500).status == 200
    assert shared.caller(busy)().status == 200


def test_a_caller_who_sends_slowly_keeps_no_slot_busy(shared: Gateway, busy: Endpoint) -> None:
    key = shared.traffic.keys("busy").primary
    head = f"POST /score HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    with socket.create_connection(("127.0.0.1", busy.port or 0)) as slow:
        slow.sendall(f"{head}Content-Length: 2\r\n\r\n{{".encode())
        assert [shared.caller(busy)().status for _ in range(3)] == [200] * 3
        slow.sendall(b"}")
        assert slow.recv(1000).startswith(b"HTTP/1.1 200")


def test_requests_in_flight_include_those_that_wait_for_a_slot(
    shared: Gateway, busy: Endpoint
) -> None:
    send = shared.caller(busy)
    callers = [threading.Thread(target=lambda: send(sleep_ms=400)) for _ in range(3)]
    for caller in callers:
        caller.start()
    seen = eventually(lambda: shared.traffic.in_flight("busy").get("v1", 0), 5)
    assert seen >= 1
    while any(caller.is_alive() for caller in callers):
        seen = max(seen, shared.traffic.in_flight("busy").get("v1", 0))
        time.sleep(0.01)
    assert seen >= 2
    eventually(lambda: shared.traffic.in_flight("busy") == {"v1": 0})


def test_a_body_beyond_what_is_taken_in_gets_413(shared: Gateway, fraud: Endpoint) -> None:
    reply = shared.caller(fraud)(text="x" * envoy.LARGEST_BODY_BYTES)
    assert (reply.status, reply.code) == (413, "gateway.body_too_large")


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", ""])
def test_the_case_of_the_scheme_is_the_callers_choice(
    shared: Gateway, fraud: Endpoint, scheme: str
) -> None:
    key = shared.traffic.keys("fraud").primary
    assert call(fraud.port or 0, None, {"authorization": f"{scheme}{key}"}).status == 200


def test_a_caller_may_speak_http_1_0(shared: Gateway, fraud: Endpoint) -> None:
    key = shared.traffic.keys("fraud").primary
    with socket.create_connection(("127.0.0.1", fraud.port or 0)) as old:
        old.sendall(
            f"POST /score HTTP/1.0\r\nAuthorization: Bearer {key}\r\n"
            "Content-Length: 2\r\n\r\n{}".encode()
        )
        assert b" 200 " in old.recv(1000).split(b"\r\n")[0]


def test_a_caller_cannot_make_a_line_of_the_log_grow(shared: Gateway, fraud: Endpoint) -> None:
    call(fraud.port or 0, None, {"x-weir-version": "v" * 20_000})
    line = _last(shared, "fraud")
    assert line["code"] == 401
    assert len(json.dumps(line)) < 1000


def test_two_endpoints_side_by_side_have_their_own_keys(
    shared: Gateway, fraud: Endpoint, busy: Endpoint
) -> None:
    assert fraud.port != busy.port
    assert call(fraud.port or 0, shared.traffic.keys("busy").primary).status == 401
    assert call(busy.port or 0, shared.traffic.keys("busy").primary).status == 200


def test_what_a_version_reports_reaches_telemetry_and_no_caller(
    shared: Gateway, fraud: Endpoint
) -> None:
    before = datetime.now(UTC)
    report = {"x-weir-metrics": "score=0.5, amount=3", "X-Weir-Labels": "prediction=approve"}
    replies = [shared.caller(fraud)(response_headers=report) for _ in range(20)]
    assert not {name.lower() for name in report} & {n for r in replies for n in r.headers}
    _last(shared, "fraud")
    telemetry = LocalTelemetry(shared.home.root)
    found = telemetry.read("fraud", before, datetime.now(UTC), before)
    count = Counter(reply.version or "" for reply in replies)
    assert {name: one.metrics["score"].n for name, one in found.items()} == dict(count)
    assert {name: one.metrics["amount"].sum for name, one in found.items()} == {
        name: 3 * number for name, number in count.items()
    }
    assert {name: one.labels for name, one in found.items()} == {
        name: {"prediction": {"approve": number}} for name, number in count.items()
    }


def test_a_header_given_twice_is_read_as_one(shared: Gateway, fraud: Endpoint) -> None:
    shared.caller(fraud)(response_headers={"x-weir-metrics": "a=1", "X-Weir-Metrics": "b=2"})
    assert _last(shared, "fraud")["metrics"] == "a=1,b=2"


@pytest.mark.parametrize("length", [256, 257, 9000, 40_000])
def test_a_model_cannot_make_a_line_of_the_log_grow(
    shared: Gateway, fraud: Endpoint, length: int
) -> None:
    header = "a=1," + "9" * (length - 4)
    reply = shared.caller(fraud)(response_headers={"x-weir-metrics": header})
    assert reply.status == 200
    assert "x-weir-metrics" not in reply.headers
    line = _last(shared, "fraud")
    assert len(json.dumps(line)) < 1000
    assert line["metrics"] in (header[:257], None)


@pytest.mark.parametrize("header", ["a=\xfc", "a=\xff\xfe\x80", 'a="\\"', "a=\x7f\t"])
def test_no_byte_that_a_model_reports_hides_its_request(
    shared: Gateway, fraud: Endpoint, header: str
) -> None:
    before = datetime.now(UTC)
    replies = shared.caller(fraud)(response_headers={"x-weir-labels": header})
    _last(shared, "fraud")
    telemetry = LocalTelemetry(shared.home.root)
    found = telemetry.read("fraud", before, datetime.now(UTC), before)
    assert [one.requests for one in found.values()] == [1], replies


def _last(gateway: Gateway, name: str) -> dict[str, Any]:
    """The newest line, once the flush interval has passed."""
    known = -1
    while True:
        lines = gateway.log(name, 1)
        if len(lines) == known:
            return lines[-1]
        known = len(lines)
        time.sleep(2.5 * envoy.FLUSH_SECONDS)
