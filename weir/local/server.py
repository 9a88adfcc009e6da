"""The embedded Prefect server (and worker), supervised like every other process."""

from __future__ import annotations

import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from weir.errors import PermanentError, TemporaryError
from weir.local.home import Home
from weir.local.launching import INHERITS, PACKAGE_INDEX
from weir.local.processes import Probe, ProcessSpec, ProcessStatus, ProcessTable

SERVER = "prefect.server"
WORKER = "prefect.worker"
POOL = "weir"
USUAL_PORT = 4200
START_TIMEOUT_SECONDS = 120.0
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class ServerAddress:
    """Where the embedded server listens."""

    port: int

    @property
    def ui(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self) -> str:
        return f"{self.ui}/api"


def running_server(home: Path) -> ServerAddress | None:
    """The embedded server of this home if it runs and is ready, else None. Starts nothing."""
    status = ProcessTable(home).status(SERVER)
    if status is None or status.state != "ready" or not status.port:
        return None
    return ServerAddress(status.port)


def want_server(home: Path, port: int | None = None) -> None:
    """Ask for the embedded server; it may not be ready yet. Idempotent.

    A server that is there keeps its port unless another is given, or somebody else has taken the
    port since. Raises PermanentError ``server.port_taken`` for ``port`` itself.
    """
    table = ProcessTable(home)
    wanted = table.spec(SERVER)
    known = wanted.port if wanted is not None else None
    if known is not None and port in (None, known) and (_runs(table) or _is_free(known)):
        return
    table.put(server_spec(Home(home), _choose_port(port)))


def await_server(home: Path) -> ServerAddress:
    """The server that was asked for is ready. Raises TemporaryError ``server.not_ready``."""
    status = _await_ready(ProcessTable(home), SERVER)
    return ServerAddress(status.port or 0)


def start_worker(home: Path, server: ServerAddress) -> None:
    """A process worker for the pool ``weir`` is up; idempotent."""
    table = ProcessTable(home)
    table.put(worker_spec(Home(home), server))
    _await_ready(table, WORKER)


def wants_worker(home: Path) -> bool:
    """Whether a worker was asked for, running or not."""
    return ProcessTable(home).spec(WORKER) is not None


def server_spec(home: Home, port: int) -> ProcessSpec:
    """The Prefect server on SQLite, listening on loopback only.

    It asks nobody who they are, so of all web pages only its own may read it.
    """
    data = home.root / "prefect"
    return ProcessSpec(
        name=SERVER,
        argv=(
            *(sys.executable, "-m", "prefect", "server", "start"),
            *("--host", "127.0.0.1", "--port", "{port}"),
        ),
        env={
            **_common_settings(data),
            "PREFECT_API_DATABASE_TIMEOUT": "60",
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": (
                "http://127.0.0.1:{port},http://localhost:{port}"
            ),
            # Its pages ask at Prefect's usual port unless they are told.
            "PREFECT_UI_API_URL": "http://127.0.0.1:{port}/api",
        },
        cwd=str(home.root),
        port=port,
        readiness=Probe(kind="http", target="/api/health", period_seconds=0.5, timeout_seconds=5),
        liveness=Probe(
            kind="http",
            target="/api/health",
            period_seconds=5,
            timeout_seconds=10,
            initial_delay_seconds=START_TIMEOUT_SECONDS,
            failure_threshold=6,
        ),
        grace_seconds=10.0,
    )


def worker_spec(home: Home, server: ServerAddress) -> ProcessSpec:
    """A worker that runs flows as processes of this machine.

    Its builds need the package index settings, its releases to a cluster KUBECONFIG. They come
    from the environment that the supervisor was started in, not from the spec: an index URL may
    hold a password.
    """
    return ProcessSpec(
        name=WORKER,
        argv=(
            *(sys.executable, "-m", "prefect", "worker", "start"),
            *("--pool", POOL, "--type", "process", "--name", "weir-local"),
        ),
        env={
            **_common_settings(home.root / "prefect"),
            "PREFECT_API_URL": server.api,
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",
            "WEIR_HOME": str(home.root),
        },
        cwd=str(home.root),
        grace_seconds=10.0,
        labels={INHERITS: PACKAGE_INDEX},
    )


def ensure_pool(server: ServerAddress) -> None:
    """The process pool ``weir`` exists on the server."""
    found = requests.get(f"{server.api}/work_pools/{POOL}", timeout=10)
    if found.status_code == 200:
        return
    pool = {"name": POOL, "type": "process", "base_job_template": _process_template(server)}
    answer = requests.post(f"{server.api}/work_pools/", json=pool, timeout=10)
    if answer.status_code not in (200, 201, 409):
        raise PermanentError(
            "server.no_pool",
            f"the work pool {POOL} could not be made: the server answered {answer.status_code}.",
            remedy=f"Make it by hand: prefect work-pool create {POOL} --type process.",
            where=server.api,
        )


def _process_template(server: ServerAddress) -> dict[str, Any]:
    """What a process worker lets be set for each run, as the server itself knows it."""
    known = requests.get(f"{server.api}/collections/views/aggregate-worker-metadata", timeout=10)
    known.raise_for_status()
    template: dict[str, Any] = known.json()["prefect"]["process"]["default_base_job_configuration"]
    return template


def _runs(table: ProcessTable) -> bool:
    status = table.status(SERVER)
    return status is not None and status.pid is not None and status.state != "backing_off"


def _common_settings(data: Path) -> dict[str, str]:
    return {
        "PREFECT_HOME": str(data),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLI_COLORS": "false",
        "PREFECT_CLI_PROMPT": "false",
        "DO_NOT_TRACK": "1",
    }


def _choose_port(port: int | None) -> int:
    if port is not None:
        if not _is_free(port):
            raise PermanentError(
                "server.port_taken",
                f"port {port} is taken by another process.",
                remedy="Choose another: weir up --port PORT.",
                where="--port",
            )
        return port
    if _is_free(USUAL_PORT):
        return USUAL_PORT
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _await_ready(table: ProcessTable, name: str) -> ProcessStatus:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    status = None
    while time.monotonic() < deadline:
        status = table.status(name)
        if status is not None and status.state == "ready":
            return status
        if status is not None and status.failed_starts >= 3:
            break
        time.sleep(POLL_SECONDS)
    raise TemporaryError(
        "server.not_ready",
        f"{name} did not become ready: {status.message if status else 'it was never started'}.",
        remedy=f"See {table.home.log(name)}.",
        where=name,
    )
