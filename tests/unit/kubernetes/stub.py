"""An API server that answers as a test says, over plain HTTP on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import yaml

from tests.listening import listening
from weir.kubernetes.api import Api
from weir.kubernetes.connection import Access, connect


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Said:
    status: int = 200
    body: object = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


def status(code: int, reason: str = "", **more: object) -> Said:
    """In the API server's own words."""
    body = {"kind": "Status", "code": code, "reason": reason, "message": "words", **more}
    return Said(code, body)


@dataclass
class Stub:
    """``answer`` is asked for each request; ``asked`` has them all."""

    answer: Callable[[Asked], Said]
    asked: list[Asked] = field(default_factory=list)
    address: str = ""

    def access(self, user: Mapping[str, Any]) -> Access:
        kubeconfig = {
            "clusters": [{"name": "c", "cluster": {"server": self.address}}],
            "users": [{"name": "u", "user": dict(user)}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        return Access(kubeconfig_text=yaml.safe_dump(kubeconfig))

    def api(self, patience_seconds: float = 20, **user: Any) -> Api:
        given = user or {"token": "good"}
        return Api(connect(self.access(given)), "models", patience_seconds)


@contextmanager
def serving(answer: Callable[[Asked], Said]) -> Iterator[Stub]:
    stub = Stub(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            asked = Asked(self.command, self.path, self.headers, self.rfile.read(length))
            stub.asked.append(asked)
            said = stub.answer(asked)
            self.send_response_only(said.status)
            self.send_header("content-length", str(len(said.data)))
            for name, value in said.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said.data)

        def __getattr__(self, name: str) -> Any:
            if name.startswith("do_"):
                return self._answer
            raise AttributeError(name)

        def log_message(self, *_: object) -> None:
            pass

    with listening(Handler) as port:
        stub.address = f"http://127.0.0.1:{port}"
        yield stub
