"""A gateway that changes, or whose parts die, under the eyes of its callers: a real Envoy."""

from __future__ import annotations

import http.server
import itertools
import json
import os
import signal
import socket
import threading
import time
from collections import Counter
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


def test_a_version_that_is_withdrawn_answers_what_it_was_given_and_gets_no_more(
    shared: Gateway, fraud: Endpoint
) -> None:
    send = shared.caller(fraud)
    replies: list[Reply] = []
    named = {"x-weir-version": "v2"}
    long = threading.Thread(target=lambda: replies.append(send(named, sleep_ms=600)))
    long.start()
    try:
        eventually(lambda: shared.traffic.in_flight("fraud").get("v2"))
        shared.traffic.withdraw(fraud.with_split(Split.everything_to("v1")).without_version("v2"))
        refused = send(named)
        assert (refused.status, refused.code) == (404, "gateway.version_unknown")
        assert send().version == "v1"
    finally:
        long.join()
        shared.traffic.apply(fraud)
    assert [(reply.status, reply.version) for reply in replies] == [(200, "v2")]


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


def _answered(admin: Admin) -> list[dict[str, Any]]:
    """The route configurations in effect; none while Envoy is down."""
    try:
        return admin.route_configurations()
    except AdminUnavailableError:
        return []


def _ready_again(gateway: Gateway, name: str, other_than: int) -> bool:
    status = gateway.table.status(name)
    return status is not None and status.state == "ready" and status.pid != other_than
