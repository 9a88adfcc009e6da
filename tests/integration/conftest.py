"""Gateways with a real Envoy, a real supervisor and trivial replicas."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import endpoint
from tests.gateway import Gateway
from weir.endpoint import Endpoint
from weir.local.home import Home
from weir.local.supervisor import stop_everything


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


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home whose processes are gone afterwards."""
    home = Home(tmp_path / "home")
    try:
        yield home
    finally:
        stop_everything(home)
