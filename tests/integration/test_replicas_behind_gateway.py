"""Replicas that come and go behind a real gateway: callers must not notice."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders import endpoint
from tests.eventually import eventually
from tests.gateway import Gateway, Reply, load
from weir.endpoint import Endpoint
from weir.local.endpoints import active_requests
from weir.local.processes import ProcessSpec
from weir.local.supervisor import ensure_supervisor, running_supervisor

PLAN = {"num_replicas": 2, "replica_max_concurrent_requests": 20, "scoring_timeout_ms": 5000}


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path)
    try:
        yield gateway
    finally:
        gateway.close()


@pytest.fixture
def fraud(gateway: Gateway) -> Endpoint:
    return gateway.serve(endpoint("fraud").control("v1", **PLAN).build())


def spec(gateway: Gateway, name: str) -> ProcessSpec:
    found = gateway.table.spec(name)
    assert found is not None
    return found


def test_removing_a_replica_waits_for_its_requests(gateway: Gateway, fraud: Endpoint) -> None:
    send = gateway.caller(fraud)
    replies: list[Reply] = []
    slow = [threading.Thread(target=lambda: replies.append(send(sleep_ms=1500))) for _ in range(4)]
    for thread in slow:
        thread.start()
    status = gateway.table.status("fraud.v1.1")
    assert status is not None
    root = gateway.home.root
    eventually(lambda: active_requests(root, "fraud", "v1", status.address) > 0)
    gateway.table.remove("fraud.v1.1")
    gateway.table.wait_gone("fraud.v1.1", 15)
    for thread in slow:
        thread.join()
    assert Counter(reply.status for reply in replies) == {200: 4}


def test_a_new_supervisor_goes_on_draining_where_the_killed_one_was(
    gateway: Gateway, fraud: Endpoint
) -> None:
    send = gateway.caller(fraud)
    replies: list[Reply] = []
    slow = [threading.Thread(target=lambda: replies.append(send(sleep_ms=2500))) for _ in range(4)]
    for thread in slow:
        thread.start()
    status = gateway.table.status("fraud.v1.1")
    assert status is not None
    root = gateway.home.root
    eventually(lambda: active_requests(root, "fraud", "v1", status.address) > 0)
    gateway.table.remove("fraud.v1.1")
    eventually(lambda: (now := gateway.table.recorded("fraud.v1.1")) and now.state == "stopping")
    supervisor = running_supervisor(gateway.home)
    assert supervisor is not None
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: running_supervisor(gateway.home) is None)
    ensure_supervisor(gateway.home)
    gateway.table.wait_gone("fraud.v1.1", 15)
    for thread in slow:
        thread.join()
    assert Counter(reply.status for reply in replies) == {200: 4}
    assert {reply.seconds < 4 for reply in replies} == {True}, "none was scored twice"


def test_replacing_every_replica_costs_no_request(gateway: Gateway, fraud: Endpoint) -> None:
    names = ("fraud.v1.0", "fraud.v1.1")
    old = {name: gateway.table.recorded(name) for name in names}

    def replaced(name: str) -> bool:
        before, now = old[name], gateway.table.status(name)
        return bool(before and now and now.state == "ready" and now.pid != before.pid)

    with load(gateway.caller(fraud)) as replies:
        for name in names:
            gateway.table.put(replace(spec(gateway, name), env={"COLOUR": "green"}))
        eventually(lambda: all(replaced(name) for name in names), 30)
    assert len(replies) > 100
    assert set(Counter(reply.status for reply in replies)) == {200}
