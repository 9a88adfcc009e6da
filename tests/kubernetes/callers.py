"""Callers and a gateway's proxy, played: requests go where the HTTPRoute sends them.

Of every request the pod that it reaches logs a line, as its guard would; kwok shows that as the
pod's log. Samples that weir scores itself are answered by a small server at the gateway's address.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Protocol

from kubernetes import client

from tests.kubernetes.at_hand import Place
from tests.listening import listening
from weir.kubernetes import names
from weir.kubernetes.following import Following
from weir.kubernetes.kinds import POD, ROUTE, Object, name_of
from weir.kubernetes.route_manifests import split_of

TICK_SECONDS = 0.05


class Journal(Protocol):
    """Where it is written what became of requests."""

    def ensure(self, pod: Object) -> None:
        """The pod may be written of."""

    def write(self, pod: Object, version: str, failed: bool) -> None: ...


@dataclass
class Callers:
    """``rate`` requests a second to ``endpoint``; a version fails the share in ``failing``.

    They are written to ``journal``; without one, to the logs of the pods' guards.
    """

    endpoint: str
    rate: float = 400
    failing: Mapping[str, float] = field(default_factory=dict)
    sent: Counter[str] = field(default_factory=Counter)
    journal: Journal | None = None

    @contextmanager
    def calling(self, place: Place, folder: Path) -> Iterator[None]:
        """Requests flow until the block ends, whenever the endpoint has a split."""
        ended = threading.Event()
        with (
            Following(place.admin, ROUTE, labels={names.ENDPOINT: self.endpoint}) as routes,
            Following(place.admin, POD, labels={names.ENDPOINT: self.endpoint}) as pods,
        ):
            journal = self.journal or PodLogs(place, folder)
            thread = threading.Thread(
                target=self._call, args=(routes, pods, journal, ended), daemon=True
            )
            thread.start()
            try:
                yield
            finally:
                ended.set()
                thread.join(10)

    def _call(
        self, routes: Following, pods: Following, journal: Journal, ended: threading.Event
    ) -> None:
        chance = random.Random(1)
        debt, before = 0.0, time.monotonic()
        while not ended.wait(TICK_SECONDS):
            now = time.monotonic()
            debt, before = debt + (now - before) * self.rate, now
            requests, debt = int(debt), debt % 1
            route = next(iter(routes.objects()), None)
            split = None if route is None else split_of(self.endpoint, route)
            ready = [pod for pod in pods.objects() if _version(pod) and _is_ready(pod)]
            for pod in ready:
                journal.ensure(pod)
            if split is None:
                continue
            names_, weights = zip(*split.hundredths.items(), strict=True)
            for version in chance.choices(names_, weights, k=requests):
                serving = [pod for pod in ready if _version(pod) == version]
                if serving:
                    failed = chance.random() < self.failing.get(version, 0)
                    journal.write(chance.choice(serving), version, failed)
                    self.sent[version] += 1


class PodLogs:
    """Files that kwok shows as the logs of pods' guards."""

    def __init__(self, place: Place, folder: Path) -> None:
        self._place, self._folder = place, folder
        self._known: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)

    def ensure(self, pod: Object) -> None:
        """The pod's guard has a log of its own."""
        name = name_of(pod)
        if name in self._known:
            return
        self._known.add(name)
        self.path(name).touch()
        manifest = {
            "apiVersion": "kwok.x-k8s.io/v1alpha1",
            "kind": "Logs",
            "metadata": {"name": name, "namespace": self._place.namespace},
            "spec": {"logs": [{"containers": ["guard"], "logsFile": str(self.path(name))}]},
        }
        client.CustomObjectsApi(self._place.connection).create_namespaced_custom_object(
            "kwok.x-k8s.io", "v1alpha1", self._place.namespace, "logs", manifest
        )

    def write(self, pod: Object, version: str, failed: bool) -> None:
        now = datetime.now(UTC)
        line = {
            "start": f"{now.timestamp() - 0.004:.6f}",
            "duration_us": 4000,
            "total_ms": 4,
            "code": 500 if failed else 200,
            "flags": "-",
            "details": "via_upstream",
            "version": version,
            "host": "127.0.0.1:9000",
            "attempts": 1,
            "id": "r",
            "client": "192.0.2.1",
            "forced": "-",
            "method": "POST",
            "path": "/score",
            "metrics": None,
            "labels": None,
        }
        stamp = now.strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
        with self.path(name_of(pod)).open("a") as log:
            log.write(f"{stamp} stdout F {json.dumps(line)}\n")

    def path(self, pod: str) -> Path:
        return self._folder / f"{pod}.log"


class _Scores(BaseHTTPRequestHandler):
    """Answers as the version that the caller names."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(200)
        self.send_header("x-weir-version", self.headers.get("x-weir-version", ""))
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def scoring_server() -> Iterator[int]:
    """A server on loopback that scores samples; gives its port."""
    with listening(_Scores) as port:
        yield port


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    is_leaving = "deletionTimestamp" in pod["metadata"]
    return not is_leaving and any(
        one["type"] == "Ready" and one["status"] == "True" for one in conditions
    )


def _version(pod: Object) -> str:
    return str(pod["metadata"]["labels"].get(names.VERSION, ""))
