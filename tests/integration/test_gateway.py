"""The gateway with a real Envoy, a real supervisor and trivial replicas."""

from __future__ import annotations

import http.server
import itertools
import json
import math
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.builders import endpoint
from tests.eventually import eventually
from tests.gateway import Gateway, Reply, at_once, call, load
from weir import envoy
from weir.endpoint import Endpoint, Split
from weir.errors import PermanentError, TemporaryError
from weir.local.acknowledgement import Acknowledged
from weir.local.admin import Admin, AdminUnavailableError
from weir.local.endpoints import active_requests, publish
from weir.local.gateway import LocalTraffic, rotate_access_log
from weir.local.gateway_files import CLUSTERS, FRONT_ROUTES, GatewayFiles
from weir.local.supervisor import ensure_supervisor

FIELDS = {
    *("start", "duration_us", "total_ms", "code", "flags", "details", "version", "host"),
    *("attempts", "id", "client", "forced", "method", "path"),
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path_factory.mktemp("gateway"))
    try:
        yield gateway
    finally:
        gateway.close()


@pytest.fixture(scope="module")
def fraud(shared: Gateway) -> Endpoint:
    """Two versions, 70 to 30, two replicas each that answer any number of requests."""
    plan = {"num_replicas": 2, "replica_max_concurrent_requests": 50, "scoring_timeout_ms": 700}
    return shared.serve(endpoint("fraud").control("v1", **plan).treatment("v2", 30, **plan).build())


@pytest.fixture(scope="module")
def busy(shared: Gateway) -> Endpoint:
    """One version with one single-threaded replica; a request may wait for 500 ms."""
    return shared.serve(endpoint("busy").control("v1", max_request_wait_time=500).build(), True)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path)
    try:
        yield gateway
    finally:
        gateway.close()


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


def test_what_envoy_refuses_leaves_the_last_good_configuration(
    shared: Gateway, fraud: Endpoint
) -> None:
    files = GatewayFiles(shared.home, "fraud")
    before = files.text(FRONT_ROUTES)
    bad = json.loads(json.dumps(files.resources(FRONT_ROUTES)))
    bad[0]["virtual_hosts"][0]["routes"][-1]["route"]["weighted_clusters"]["clusters"][0][
        "name"
    ] = "nowhere"
    acknowledged = Acknowledged(files, Admin(files.admin_socket))
    with pytest.raises(TemporaryError, match="nowhere") as raised:
        acknowledged.put(FRONT_ROUTES, bad)
    assert raised.value.reason == "gateway.rejected"
    assert files.text(FRONT_ROUTES) == before
    keys = shared.traffic.keys("fraud")
    assert keys.primary not in files.log.read_text()
    assert keys.primary not in str(raised.value)
    assert shared.traffic.split("fraud") == fraud.split
    assert shared.caller(fraud)().status == 200
    shared.traffic.apply(fraud)


def test_splits_change_under_load_without_a_failure(shared: Gateway, fraud: Endpoint) -> None:
    """And a request begun after the returned instant follows the new split."""
    assert fraud.split is not None
    changes: list[tuple[float, str]] = []
    with load(shared.caller(fraud), clients=3) as replies:
        for number in range(20):
            target = f"v{1 + number % 2}"
            at = shared.traffic.apply(fraud.with_split(Split.everything_to(target)))
            changes.append((at.timestamp(), target))
    shared.traffic.apply(fraud)
    assert Counter(reply.status for reply in replies).keys() == {200}
    lines = shared.log("fraud", len(replies))
    for (begin, target), (end, _) in itertools.pairwise(changes):
        # The next change is written at most 100 ms before it is acknowledged.
        sure = [x for x in lines if begin <= float(x["start"]) < end - 0.1]
        assert {x["version"] for x in sure} <= {target}


def test_applying_the_same_again_changes_nothing(shared: Gateway, fraud: Endpoint) -> None:
    folder = shared.home.gateway("fraud")
    shared.traffic.apply(fraud)
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.yaml")}
    shared.traffic.apply(fraud)
    assert shared.traffic.ensure(fraud) == fraud
    after = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.yaml")}
    assert after == before


def test_rotation_loses_no_line(shared: Gateway, fraud: Endpoint) -> None:
    # Lines of earlier tests may still be on their way into the log.
    began = time.time()
    rotated = 0
    with load(shared.caller(fraud), clients=3) as replies:
        for _ in range(8):
            sent = len(replies)
            eventually(lambda sent=sent: len(replies) > sent + 40)
            rotated += rotate_access_log(shared.home.root, "fraud", max_bytes=0, keep=50)
    assert rotated >= 4

    def written() -> list[dict[str, Any]]:
        return [x for x in shared.log("fraud", 1) if float(x["start"]) >= began]

    eventually(lambda: len(written()) >= len(replies), every_seconds=0.2)
    lines = written()
    assert len(lines) == len(replies)
    assert len({line["id"] for line in lines}) == len(lines)


def test_rotation_keeps_the_newest_files(shared: Gateway, fraud: Endpoint) -> None:
    folder = shared.home.gateway("fraud")
    for _ in range(4):
        shared.caller(fraud)()
        eventually(lambda: rotate_access_log(shared.home.root, "fraud", max_bytes=0, keep=2))
    assert len(list(folder.glob("access-*.log"))) == 2


def test_replicas_that_are_killed_cost_no_request(shared: Gateway, fraud: Endpoint) -> None:
    with load(shared.caller(fraud), clients=4) as replies:
        for _ in range(3):
            status = shared.table.status("fraud.v1.0")
            assert status is not None
            assert status.pid is not None
            sent = len(replies)
            eventually(lambda sent=sent: len(replies) > sent + 30)
            os.kill(status.pid, signal.SIGKILL)
            pid = status.pid
            eventually(lambda pid=pid: _ready_again(shared, "fraud.v1.0", pid), 30)
    assert Counter(reply.status for reply in replies).keys() == {200}


def test_draining_waits_for_the_request_and_takes_no_new_one(
    shared: Gateway, busy: Endpoint
) -> None:
    root, send = shared.home.root, shared.caller(busy)
    status = shared.table.status("busy.v1.0")
    assert status is not None
    address = status.address
    replies: list[Reply] = []
    long = threading.Thread(target=lambda: replies.append(send(sleep_ms=1500)))
    long.start()
    try:
        eventually(lambda: active_requests(root, "busy", "v1", address) == 1)
        publish(root, "busy", "v1", [(address, "DRAINING")])
        assert active_requests(root, "busy", "v1", address) >= 1
        eventually(lambda: active_requests(root, "busy", "v1", address) == 0)
        long.join()
        assert [reply.status for reply in replies] == [200]
        assert send().status == 503
    finally:
        long.join()
        publish(root, "busy", "v1", [(address, "HEALTHY")])
        shared.await_healthy("busy", "v1", 1)
    assert send().status == 200


def test_a_version_is_added_and_removed_without_a_failure(shared: Gateway, fraud: Endpoint) -> None:
    extra = endpoint("x").control("v3", replica_max_concurrent_requests=50).build().versions[0]
    shared.replicas("fraud", "v3")
    eventually(lambda: (s := shared.table.status("fraud.v3.0")) and s.state == "ready")
    with load(shared.caller(fraud), clients=2) as replies:
        shared.traffic.apply(fraud.with_version(extra))
        shared.await_healthy("fraud", "v3", 1)
        for _ in range(3):
            everything = fraud.with_version(extra).with_split(Split.everything_to("v3"))
            shared.traffic.apply(everything)
            shared.traffic.apply(fraud)
    shared.table.remove("fraud.v3.0")
    assert Counter(reply.status for reply in replies).keys() == {200}
    assert "v3" in {reply.version for reply in replies}
    assert "v3.replicas" not in (GatewayFiles(shared.home, "fraud").text(CLUSTERS) or "")


def test_authentication_can_be_switched_off_and_on(shared: Gateway, busy: Endpoint) -> None:
    open_to_all = busy.model_copy(update={"auth_enabled": False})
    shared.traffic.apply(open_to_all)
    assert call(busy.port or 0, None).status == 200
    shared.traffic.apply(busy)
    assert call(busy.port or 0, None).status == 401


def test_a_taken_port_is_named_with_who_has_it(alone: Gateway) -> None:
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), http.server.BaseHTTPRequestHandler
    ) as other:
        port = other.server_port
        with pytest.raises(PermanentError, match=f"port {port}") as raised:
            alone.traffic.ensure(endpoint("fraud").on_port(port).build())
    assert raised.value.reason == "gateway.port_taken"
    assert str(os.getpid()) in raised.value.message
    assert alone.traffic.split("fraud") is None


def test_a_killed_envoy_comes_back_on_the_same_port_with_the_same_split(alone: Gateway) -> None:
    plan = endpoint("fraud").control("v1", replica_max_concurrent_requests=9)
    fraud = alone.serve(plan.treatment("v2", 0.25).build())
    key = alone.traffic.keys("fraud").primary
    status = alone.table.status("fraud.gateway")
    assert status is not None
    assert status.pid is not None
    os.kill(status.pid, signal.SIGKILL)
    assert alone.traffic.split("fraud") == fraud.split, "read from the files meanwhile"
    eventually(lambda: call(fraud.port or 0, key).status == 200, 30)
    assert alone.traffic.split("fraud") == fraud.split
    # A new command with the endpoint as it was written before its port was known.
    again = LocalTraffic(alone.home.root).ensure(plan.build())
    assert again.port == fraud.port
    assert alone.traffic.keys("fraud").primary == key


def test_a_gateway_whose_port_was_taken_says_so_and_comes_back(alone: Gateway) -> None:
    fraud = alone.serve(endpoint("fraud").control("v1").build())
    assert alone.traffic.trouble("fraud") == ""
    alone.close()
    assert "weir up" in alone.traffic.trouble("fraud")
    with socket.create_server(("127.0.0.1", fraud.port or 0)):
        ensure_supervisor(alone.home)
        taken = f"port {fraud.port} is taken"
        eventually(lambda: alone.traffic.trouble("fraud") == taken)
        with pytest.raises(PermanentError, match=str(os.getpid())):
            alone.traffic.ensure(fraud)
    eventually(lambda: alone.traffic.trouble("fraud") == "")
    eventually(lambda: alone.caller(fraud)().status == 200)


def test_a_gateway_of_a_home_with_a_long_path_starts_again_after_everything_was_ended(
    tmp_path: Path,
) -> None:
    """Its admin socket is in a folder below /tmp, which goes when everything ends."""
    gateway = Gateway(tmp_path / ("long" * 20))
    try:
        fraud = gateway.serve(endpoint("fraud").control("v1").build())
        folder = gateway.home.run
        assert not folder.is_relative_to(gateway.home.root)
        gateway.close()
        assert not folder.exists()
        ensure_supervisor(gateway.home)
        eventually(lambda: gateway.traffic.trouble("fraud") == "")
        eventually(lambda: gateway.caller(fraud)().status == 200)
    finally:
        gateway.close()


def test_apply_while_envoy_restarts_waits_for_it(alone: Gateway) -> None:
    fraud = alone.serve(endpoint("fraud").control("v1").treatment("v2").build())
    status = alone.table.status("fraud.gateway")
    assert status is not None
    assert status.pid is not None
    os.kill(status.pid, signal.SIGKILL)
    wanted = Split.of({"v1": 40, "v2": 60})
    alone.traffic.apply(fraud.with_split(wanted))
    assert alone.traffic.split("fraud") == wanted


def test_a_split_applied_while_the_gateway_is_down_is_in_effect_when_it_is_back(
    alone: Gateway,
) -> None:
    fraud = alone.traffic.ensure(endpoint("fraud").control("v1").treatment("v2").build())
    alone.traffic.apply(fraud)
    alone.close()
    impatient = LocalTraffic(alone.home.root, timeout_seconds=0.3)
    with pytest.raises(TemporaryError) as raised:
        impatient.apply(fraud.with_split(Split.everything_to("v2")))
    assert raised.value.reason == "gateway.down"
    ensure_supervisor(alone.home)
    admin = Admin(GatewayFiles(alone.home, "fraud").admin_socket)
    configurations = eventually(lambda: _answered(admin), 30)
    assert envoy.split_of(configurations) == Split.everything_to("v2")


def test_limits_that_change_are_effective_without_a_failure(alone: Gateway) -> None:
    fraud = alone.serve(endpoint("fraud").control("v1", max_request_wait_time=300).build())
    send = alone.caller(fraud)
    assert sorted(r.status for r in at_once(2, lambda: send(sleep_ms=900))) == [200, 503]
    more = endpoint("x").control("v1", replica_max_concurrent_requests=2).build().versions[0]
    with load(lambda: send(), clients=1) as replies:
        alone.traffic.apply(fraud.with_version(more))
    assert Counter(reply.status for reply in replies).keys() == {200}
    assert [r.status for r in at_once(2, lambda: send(sleep_ms=900))] == [200, 200]


def _last(gateway: Gateway, name: str) -> dict[str, Any]:
    """The newest line, once the flush interval has passed."""
    known = -1
    while True:
        lines = gateway.log(name, 1)
        if len(lines) == known:
            return lines[-1]
        known = len(lines)
        time.sleep(2.5 * envoy.FLUSH_SECONDS)


def _answered(admin: Admin) -> list[dict[str, Any]]:
    """The route configurations in effect; none while Envoy is down."""
    try:
        return admin.route_configurations()
    except AdminUnavailableError:
        return []


def _ready_again(gateway: Gateway, name: str, other_than: int) -> bool:
    status = gateway.table.status(name)
    return status is not None and status.state == "ready" and status.pid != other_than
