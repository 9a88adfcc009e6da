"""A platform of its own for tests: home, supervisor, Prefect server, cheap models, traffic.

Every test takes an endpoint name of its own (``lab.name("fraud")``); what it leaves of the
endpoint is removed after it.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import story
from tests.fakes import model_server
from weir.document import EndpointDocument, Outcome
from weir.local.disk import write_atomically
from weir.local.platform import local_platform
from weir.local.server import ServerAddress, await_server, ensure_pool, want_server
from weir.local.supervisor import ensure_supervisor, stop_everything
from weir.local.traffic import TrafficPlan
from weir.local.traffic_counts import TrafficCounts, read_counts
from weir.spec.load import load_release

REPOSITORY = Path(__file__).parents[2]
WEIR = str(Path(sys.executable).with_name("weir"))
QUICK: Mapping[str, Any] = {
    "steps": [50, 100],
    "window_seconds": 0.5,
    "lag_seconds": 0.4,
    "minimum_requests": 10,
    "guardrails": [{"metric": "failures", "slack": 0.05}],
}
"""A policy that decides within four seconds under 100 requests a second."""


class Lab:
    """``home`` is the WEIR_HOME; ``work`` holds models, release files, and a clean PREFECT_HOME."""

    def __init__(self, folder: Path, *, with_server: bool = True) -> None:
        self.home = folder / "home"
        self.work = folder / "work"
        self.home.mkdir(parents=True)
        (self.work / "server").mkdir(parents=True)
        shutil.copy(model_server.__file__, self.work / "server" / "serve.py")
        rows = [json.dumps({"n": number}) for number in range(100)]
        (self.work / "rows.ndjson").write_text("\n".join(rows))
        (self.work / "samples.ndjson").write_text(rows[-1])
        self.platform = local_platform(self.home)
        self._numbers = itertools.count(1)
        self.named: set[str] = set()
        self._server: ServerAddress | None = None
        ensure_supervisor(self.home)
        if with_server:
            want_server(self.home, free_port())

    @property
    def server(self) -> ServerAddress:
        """The embedded Prefect server, ready; the first call waits for its start."""
        if self._server is None:
            self._server = await_server(self.home)
            ensure_pool(self._server)
        return self._server

    def name(self, word: str) -> str:
        """An endpoint name that no other test has."""
        name = f"{word}-{next(self._numbers)}"
        self.named.add(name)
        return name

    def remove(self, endpoints: Iterable[str]) -> None:
        """What tests left of these endpoints: their processes would cost the next ones time."""
        for endpoint in endpoints:
            self.platform.traffic.remove(endpoint)
            for version in self.platform.workloads.versions(endpoint):
                self.platform.workloads.remove(endpoint, version)
            document = self.platform.state.read(endpoint)
            if document is not None:
                self.platform.state.remove(document)

    def environment(self, **more: str) -> dict[str, str]:
        """What a user of this home has in the environment; no Prefect settings but a clean home."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "WEIR_"))}
        own = {"WEIR_HOME": str(self.home), "PREFECT_HOME": str(self.work / "prefect")}
        return {**inherited, **own, "DO_NOT_TRACK": "1", **more}

    def weir(self, *arguments: str | Path, timeout_seconds: float = 120) -> Finished:
        """Run the command ``weir`` to its end."""
        return subprocess.run(
            [WEIR, *map(str, arguments)],
            env=self.environment(),
            cwd=self.work,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )

    @contextmanager
    def weir_running(self, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
        """``weir`` in the background, its output in pipes; killed when the block ends."""
        with self.running(WEIR, *arguments, cwd=self.work) as process:
            yield process

    @contextmanager
    def running(self, *command: str | Path, cwd: Path) -> Iterator[subprocess.Popen[str]]:
        """Any command like ``weir_running``, with SIGINT ignored as in a shell's background job."""
        process = subprocess.Popen(
            [*map(str, command)],
            env=self.environment(),
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def model(self, **behaviour: Any) -> Path:
        """A model file, for example ``model(fails=0.5)``; see tests/fakes/model_server.py."""
        path = self.work / "models" / f"{next(self._numbers)}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(behaviour))
        return path

    def release_file(
        self, endpoint: str, version: str, model: Path | None = None, **rollout: Any
    ) -> Path:
        """A release file of ``model`` (a good one when left out); ``rollout`` changes QUICK."""
        path = self.work / f"{endpoint}-{version}.yaml"
        path.write_text(json.dumps(self.release(endpoint, version, model, **rollout)))
        return path

    def release(
        self, endpoint: str, version: str, model: Path | None = None, **rollout: Any
    ) -> dict[str, Any]:
        """The content of ``release_file``, to be changed and written by a test."""
        return {
            "endpoint": endpoint,
            "version_name": version,
            "model": {"name": endpoint, "version": "1", "path": str(model or self.model())},
            "inference": {
                "command": [sys.executable, "-I", "-S", "{source_dir}/serve.py", "{port}"],
                "source_directory": str(self.work / "server"),
                "health_path": "/",
            },
            "deployment": {
                "num_replicas": 1,
                "replica_max_concurrent_requests": 50,
                "liveness": {"initial_delay_seconds": 0.5, "period_seconds": 0.5},
            },
            "check": {"samples": str(self.work / "samples.ndjson")},
            "rollout": {**QUICK, **rollout},
        }

    def in_service(self, endpoint: str, version: str = "v1") -> str:
        """The endpoint, new, with a good ``version`` that takes all its traffic.

        Made in this process to save the time of a Prefect run.
        """
        past = story.release(self.platform, load_release(self.release_file(endpoint, version)))
        assert past.outcome is Outcome.PROMOTED
        return endpoint

    def document(self, endpoint: str) -> EndpointDocument:
        document = self.platform.state.read(endpoint)
        assert document is not None, f"there is no endpoint {endpoint}"
        return document

    @contextmanager
    def traffic(self, endpoint: str, rate: float = 100, clients: int = 2) -> Iterator[Traffic]:
        """Scoring requests with the key from a process of their own, until the block ends."""
        uri = self.platform.traffic.scoring_uri(endpoint)
        assert uri is not None
        key = self.work / f"{endpoint}.key"
        write_atomically(key, self.platform.traffic.keys(endpoint).primary)
        plan = TrafficPlan(
            uri=uri,
            requests=self.work / "rows.ndjson",
            counters=self.work / f"{endpoint}-{next(self._numbers)}-traffic.json",
            key_file=key,
            rate=rate,
            clients=clients,
            duration_seconds=300,
        )
        process = subprocess.Popen(plan.command(), cwd=REPOSITORY)
        traffic = Traffic(plan.counters)
        try:
            yield traffic
        finally:
            process.terminate()
            process.wait(10)

    def close(self) -> None:
        stop_everything(self.home)


Finished = subprocess.CompletedProcess[str]


def printed_by(finished: Finished, status: int, *, without: str = "Traceback") -> str:
    """What a command printed, which ended with ``status`` and wrote nothing of ``without``."""
    printed = finished.stdout + finished.stderr
    assert finished.returncode == status, printed
    assert without not in printed
    return printed


class Traffic:
    def __init__(self, counters: Path) -> None:
        self._counters = counters

    def counts(self) -> TrafficCounts:
        """The newest counts, complete after the block has ended."""
        return read_counts(self._counters) or TrafficCounts(started_at="", updated_at="")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
