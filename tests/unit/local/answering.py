"""A small HTTP server that answers as told, and remembers what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.listening import listening


@dataclass(frozen=True)
class Asked:
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """``hang_up`` closes the connection unanswered; ``wait`` holds the answer back."""

    status: int = 200
    body: bytes = b"[]"
    version: str | None = "v1"
    headers: dict[str, str] = field(default_factory=dict)
    hang_up: bool = False
    chunked: bool = False
    wait: threading.Event | None = None


@dataclass
class Server:
    uri: str
    asked: list[Asked]
    connections: list[object]


@contextmanager
def answering(reply: Callable[[Asked, int], Reply] = lambda *_: Reply()) -> Iterator[Server]:
    """Serves ``reply(request, its number from 0)`` on a free port of 127.0.0.1."""
    asked: list[Asked] = []
    connections: list[object] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def setup(self) -> None:
            super().setup()
            connections.append(self.client_address)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = Asked({k.lower(): v for k, v in self.headers.items()}, body)
            with lock:
                number = len(asked)
                asked.append(request)
            answer = reply(request, number)
            if answer.wait is not None:
                answer.wait.wait(10)
            if answer.hang_up:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.version is not None:
                self.send_header("x-weir-version", answer.version)
            if answer.chunked:
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(answer.body), answer.body))
                return
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            pass

    with listening(Handler) as port:
        yield Server(f"http://127.0.0.1:{port}/score", asked, connections)
