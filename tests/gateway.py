"""A gateway on this machine with trivial replicas, and a caller."""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.eventually import eventually
from tests.fakes import backend
from weir.endpoint import Endpoint
from weir.local.gateway import LocalTraffic
from weir.local.home import Home
from weir.local.processes import Probe, ProcessSpec, ProcessTable
from weir.local.supervisor import stop_everything


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def version(self) -> str | None:
        return self.headers.get("x-weir-version")

    @property
    def code(self) -> str:
        """The gateway's own error code."""
        return str(json.loads(self.body)["error"]["code"])

    def json(self) -> Any:
        return json.loads(self.body)


def call(
    port: int, key: str | None, headers: Mapping[str, str] | None = None, **body: object
) -> Reply:
    """One scoring request on a connection of its own; status 0 when the connection breaks."""
    sent = {"content-type": "application/json", **(headers or {})}
    if key is not None:
        sent["authorization"] = f"Bearer {key}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    began = time.monotonic()
    try:
        connection.request("POST", "/score?secret=1", json.dumps(body), sent)
        response = connection.getresponse()
        data = response.read()
    except (OSError, http.client.HTTPException) as error:
        return Reply(0, {}, repr(error).encode(), time.monotonic() - began)
    finally:
        connection.close()
    found = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, found, data, time.monotonic() - began)


class Gateway:
    """One home with gateways and replicas."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.table = ProcessTable(self.home)
        self.traffic = LocalTraffic(root)

    def replicas(self, endpoint: str, version: str, count: int = 1, single: bool = False) -> None:
        """``count`` ready replicas of ``version``; ``single`` ones score one request at a time."""
        kind = ("single",) if single else ()
        for number in range(count):
            self.table.put(
                ProcessSpec(
                    name=f"{endpoint}.{version}.{number}",
                    argv=(sys.executable, backend.__file__, version, "{port}", *kind),
                    needs_port=True,
                    readiness=Probe("http", "/", period_seconds=0.2, failure_threshold=1000),
                    labels={"endpoint": endpoint, "version": version},
                    grace_seconds=3,
                )
            )

    def serve(self, endpoint: Endpoint, single: bool = False) -> Endpoint:
        """The endpoint's gateway, with every replica of every version answering."""
        endpoint = self.traffic.ensure(endpoint)
        for version in endpoint.versions:
            count = version.deployment.initial_replicas()
            self.replicas(endpoint.name, version.name, count, single)
        self.traffic.apply(endpoint)
        for version in endpoint.versions:
            self.await_healthy(endpoint.name, version.name, version.deployment.initial_replicas())
        return endpoint

    def await_healthy(self, endpoint: str, version: str, count: int) -> None:
        from weir.local.admin import Admin
        from weir.local.gateway_files import GatewayFiles

        admin = Admin(GatewayFiles(self.home, endpoint).admin_socket)
        name = f"cluster.{version}.replicas.membership_healthy"
        eventually(lambda: admin.stats(name.replace(".", r"\.")).get(name) == count, 30)

    def caller(self, endpoint: Endpoint) -> Callable[..., Reply]:
        key = self.traffic.keys(endpoint.name).primary
        port = endpoint.port
        assert port is not None

        def send(headers: Mapping[str, str] | None = None, **body: object) -> Reply:
            return call(port, key, headers, **body)

        return send

    def log(self, endpoint: str, count: int) -> list[dict[str, Any]]:
        """The access log, once it has ``count`` lines or more, over all its files."""
        folder = self.home.gateway(endpoint)

        def read() -> list[dict[str, Any]] | None:
            files = [*sorted(folder.glob("access-*.log")), folder / "access.log"]
            lines = [x for f in files if f.exists() for x in f.read_text().splitlines()]
            return [json.loads(line) for line in lines] if len(lines) >= count else None

        return eventually(read) or []

    def close(self) -> None:
        stop_everything(self.home)


@contextmanager
def load(send: Callable[[], Reply], clients: int = 4) -> Iterator[list[Reply]]:
    """``clients`` threads calling as fast as they get answers, until the block ends."""
    replies: list[Reply] = []
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            replies.append(send())

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield replies
    finally:
        over.set()
        for thread in threads:
            thread.join()


def at_once(count: int, send: Callable[[], Reply]) -> list[Reply]:
    replies: list[Reply] = []
    threads = [threading.Thread(target=lambda: replies.append(send())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return replies
