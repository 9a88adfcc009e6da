"""What the API server and the kubelets behind it do for logs: list pods, give a container's log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.fakes.telemetry import Request
from tests.listening import listening

BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
_NUMBERS = count(1)
_FLUSH_SECONDS = 0.1

Entry = tuple[float, str]
"""When the container runtime read a line, and the line with its end."""


@dataclass
class GuardRun:
    began: datetime = BEGAN
    ended: datetime | None = None
    entries: list[Entry] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        began = {"startedAt": _text(self.began)}
        if self.ended is None:
            return {"running": began}
        return {"terminated": {**began, "finishedAt": _text(self.ended), "exitCode": 1}}


@dataclass
class GuardPod:
    """A pod of an endpoint. ``refusal`` is answered in place of a log: status and message."""

    name: str
    endpoint: str = "fraud"
    runs: list[GuardRun] = field(default_factory=lambda: [GuardRun()])
    is_waiting: bool = False
    refusal: tuple[int, str] | None = None
    has_previous: bool = True
    breaks_off: str = ""
    uid: str = field(default_factory=lambda: f"uid-{next(_NUMBERS)}")

    def log(self, *requests: Request) -> None:
        self.write(*(one.line() for one in requests), stamps=[one.completed for one in requests])

    def write(self, *lines: str, stamps: Iterable[datetime]) -> None:
        entries = zip((one.timestamp() + _FLUSH_SECONDS for one in stamps), lines, strict=True)
        self.runs[-1].entries += entries

    def rotate(self) -> None:
        self.runs[-1].entries.clear()

    def restart(self, ended: datetime, began: datetime) -> None:
        self.runs[-1].ended = ended
        self.runs.append(GuardRun(began))

    def object(self) -> dict[str, Any]:
        *before, latest = self.runs
        guard = {"name": "guard", "restartCount": len(before), "state": latest.state()}
        guard["lastState"] = before[-1].state() if before else {}
        if self.is_waiting:
            guard["lastState"] = guard["state"] if latest.ended else {}
            guard["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}
        return {
            "metadata": {
                "name": self.name,
                "uid": self.uid,
                "labels": {"weir/endpoint": self.endpoint},
            },
            "status": {
                "initContainerStatuses": [guard],
                "containerStatuses": [{"name": "model", "state": {"running": {}}}],
            },
        }

    def run(self, is_previous: bool) -> GuardRun | None:
        if not is_previous:
            return self.runs[-1]
        return self.runs[-2] if len(self.runs) > 1 and self.has_previous else None


class PodLogs:
    """The server's side: ``pods`` as a test wants them, and ``asked``, the logs' queries."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.pods: list[GuardPod] = []
        self.list_refusal: tuple[int, str] | None = None
        self.asked: list[dict[str, str]] = []

    def kubeconfig(self, folder: Path) -> Path:
        path = folder / "kubeconfig"
        cluster = {"server": f"http://127.0.0.1:{self.port}"}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "users": [{"name": "test", "user": {}}],
        }
        path.write_text(yaml.safe_dump(document))
        return path

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, bytes]:
        match path.split("/"):
            case ["", "api", "v1", "namespaces", "models", "pods"]:
                if self.list_refusal:
                    return _status(*self.list_refusal)
                wanted = query["labelSelector"].removeprefix("weir/endpoint=")
                items = [pod.object() for pod in self.pods if pod.endpoint == wanted]
                found = {"metadata": {"resourceVersion": "1"}, "items": items}
                return 200, json.dumps(found).encode()
            case ["", "api", "v1", "namespaces", "models", "pods", name, "log"]:
                self.asked.append({"pod": name, **query})
                return self._log(name, query)
        return _status(404, "404 page not found")

    def _log(self, name: str, query: dict[str, str]) -> tuple[int, bytes]:
        pod = next((one for one in self.pods if one.name == name), None)
        if pod is None:
            return _status(404, f'pods "{name}" not found')
        if pod.refusal:
            return _status(*pod.refusal)
        if query["container"] != "guard":
            return _status(400, f"container {query['container']} is not valid for pod {name}")
        run = pod.run(query.get("previous") == "true")
        if run is None:
            return _status(400, f'previous terminated container "guard" in pod "{name}" not found')
        since = datetime.strptime(query["sinceTime"], "%Y-%m-%dT%H:%M:%S%z").timestamp()
        text = "".join(line for stamp, line in run.entries if stamp >= since) + pod.breaks_off
        return 200, text.encode()[: int(query["limitBytes"])]


@contextmanager
def pod_logs() -> Iterator[PodLogs]:
    """A server on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(asked.query).items()}
            status, body = served.answer(asked.path, query)
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if status == 200 else "application/json")
            # As a kubelet does, which cannot know how long it will be.
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for begin in range(0, len(body), 10_000):
                part = body[begin : begin + 10_000]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with listening(Handler) as port:
        served = PodLogs(port)
        yield served


def _status(code: int, message: str) -> tuple[int, bytes]:
    status = {"kind": "Status", "status": "Failure", "message": message, "code": code}
    return code, json.dumps(status).encode()


def _text(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"
