"""Bad weather between weir and its API server: a proxy that answers, breaks off and forgets.

Plain HTTP on loopback towards weir, TLS and the caller's own token towards the server. Watches are
passed on line by line as they come.
"""

from __future__ import annotations

import http.client
import json
import random
import socket
import ssl
import threading
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import yaml

from weir.kubernetes.connection import Access


class Fault(StrEnum):
    TOO_MANY = "429, with Retry-After"
    BROKEN = "500"
    UNAVAILABLE = "503"
    NOT_SENT = "the connection breaks off before the server has heard of it"
    LOST_ANSWER = "the server has done it, and the connection breaks off before it says so"
    GONE = "410 to a watch"
    GONE_EVENT = "410 as an event of a watch"
    ENDED = "a watch that ends after its first line, without a word"


OF_CALLS = (
    Fault.TOO_MANY,
    Fault.BROKEN,
    Fault.UNAVAILABLE,
    Fault.NOT_SENT,
    Fault.LOST_ANSWER,
)
OF_WATCHES = (*OF_CALLS[:-1], Fault.GONE, Fault.GONE_EVENT, Fault.ENDED)
_STATUSES = {Fault.TOO_MANY: 429, Fault.BROKEN: 500, Fault.UNAVAILABLE: 503, Fault.GONE: 410}
_PASSED_ON = ("authorization", "content-type", "accept")

Choice = Callable[[str, str], Fault | None]
"""The fault of a request, by its method (WATCH for a watch) and path; None for none."""


class Weather:
    """``access`` leads through it. ``happened`` counts what went wrong."""

    def __init__(self, access: Access) -> None:
        document = yaml.safe_load(access.kubeconfig_text)
        cluster = document["clusters"][0]["cluster"]
        self._server = urlsplit(cluster["server"])
        authority = b64decode(cluster["certificate-authority-data"]).decode()
        self._tls = ssl.create_default_context(cadata=authority)
        self._choice: Choice = _fine
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self.happened: Counter[Fault] = Counter()
        self.is_cut = False
        self._http = _server_of(self)
        cluster.clear()
        cluster["server"] = f"http://127.0.0.1:{self._http.server_address[1]}"
        self.access = Access(kubeconfig_text=yaml.safe_dump(document))

    def clear(self) -> None:
        with self._lock:
            self._choice = _fine
            self.is_cut = False

    def is_bad(self, choice: Choice) -> None:
        with self._lock:
            self._choice = choice

    def once(self, fault: Fault, method: str, part: str = "") -> None:
        """The next request with that method, and ``part`` in its path, meets the fault."""
        left = [fault]

        def choice(asked: str, path: str) -> Fault | None:
            return left.pop() if left and asked == method and part in path else None

        self.is_bad(choice)

    def seeded(self, seed: int, share: float) -> None:
        """A share of all requests meets a fault; the same seed gives the same row of them."""
        chance = random.Random(seed)

        def choice(method: str, _: str) -> Fault | None:
            faults = OF_WATCHES if method == "WATCH" else OF_CALLS
            return chance.choice(faults) if chance.random() < share else None

        self.is_bad(choice)

    def cut(self) -> None:
        """Nothing goes through any more, and what is open breaks off."""
        with self._lock:
            self.is_cut = True
            broken, self._open = self._open, set()
        for one in broken:
            _break(one)

    def fault(self, method: str, path: str) -> Fault | None:
        with self._lock:
            if self.is_cut:
                return Fault.NOT_SENT
            found = self._choice(method, path)
            if found is not None:
                self.happened[found] += 1
            return found

    def upstream(self) -> http.client.HTTPSConnection:
        host, port = self._server.hostname, self._server.port
        return http.client.HTTPSConnection(host or "", port, timeout=120, context=self._tls)

    @contextmanager
    def opened(self, connection: socket.socket) -> Iterator[None]:
        """Known while it is open, to be broken off by ``cut``."""
        with self._lock:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(connection)

    def close(self) -> None:
        self.cut()
        self._http.shutdown()
        self._http.server_close()


@contextmanager
def weather(access: Access) -> Iterator[Weather]:
    made = Weather(access)
    try:
        yield made
    finally:
        made.close()


def _fine(_: str, __: str) -> Fault | None:
    return None


def _server_of(sky: Weather) -> ThreadingHTTPServer:
    class Handler(_Handler):
        weather = sky

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    weather: Weather

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def do_PATCH(self) -> None:
        self._pass_on()

    def do_PUT(self) -> None:
        self._pass_on()

    def do_DELETE(self) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        is_watch = "watch=true" in self.path
        fault = self.weather.fault("WATCH" if is_watch else self.command, self.path)
        if fault is Fault.NOT_SENT:
            self._break_off()
        elif fault in _STATUSES:
            self._refuse(_STATUSES[fault])
        else:
            with suppress(OSError, http.client.HTTPException), self.weather.opened(self.connection):
                self._carry_out(body, fault)

    def _carry_out(self, body: bytes, fault: Fault | None) -> None:
        upstream = self.weather.upstream()
        try:
            headers = {name: self.headers[name] for name in _PASSED_ON if name in self.headers}
            upstream.request(self.command, self.path, body or None, headers)
            answer = upstream.getresponse()
            if "watch=true" in self.path:
                self._stream(answer, fault)
                return
            text = answer.read()
            if fault is Fault.LOST_ANSWER:
                self._break_off()
                return
            self._answer(answer.status, text, answer.getheader("content-type") or "")
        finally:
            upstream.close()

    def _stream(self, answer: http.client.HTTPResponse, fault: Fault | None) -> None:
        """A watch, until the server or the fault ends it."""
        self.close_connection = True
        self.send_response(answer.status)
        self.send_header("content-type", "application/json")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        if fault is Fault.GONE_EVENT:
            event = {"type": "ERROR", "object": _status(410)}
            self._chunk(json.dumps(event).encode() + b"\n")
            self._chunk(b"")
            return
        while line := answer.readline():
            self._chunk(line)
            if fault is Fault.ENDED:
                break
        self._chunk(b"")

    def _chunk(self, line: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))

    def _refuse(self, status: int) -> None:
        text = json.dumps(_status(status)).encode()
        self._answer(
            status, text, "application/json", {"Retry-After": "1"} if status == 429 else {}
        )

    def _answer(
        self, status: int, text: bytes, kind: str, more: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text)))
        for name, value in (more or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def _break_off(self) -> None:
        self.close_connection = True
        _break(self.connection)

    def log_message(self, *_: object) -> None:
        pass


def _break(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _status(code: int) -> dict[str, Any]:
    return {"kind": "Status", "code": code, "message": "bad weather", "reason": "Weather"}
