"""POST over one kept-alive HTTP/1.1 connection, at a fifth of http.client's processor time.

A load generator that shares its two cores with what it measures has to be cheap; most of
http.client's cost is parsing headers that nobody reads here.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader
from urllib.parse import urlsplit

from weir.errors import UserError


class BrokenAnswer(OSError):
    """The other end closed the connection or sent something that is not HTTP."""


@dataclass(frozen=True)
class Target:
    """Where to POST. Only plain HTTP: the gateway listens on this machine."""

    host: str
    port: int
    path: str

    @classmethod
    def of(cls, uri: str) -> Target:
        """Raises UserError ``traffic.uri`` for anything but http://HOST[:PORT]/PATH."""
        try:
            parts = urlsplit(uri)
            port = parts.port or 80
        except ValueError:
            parts, port = urlsplit(""), 80
        if parts.scheme != "http" or not parts.hostname:
            raise UserError(
                "traffic.uri",
                "the address has to look like http://127.0.0.1:8080/score.",
                remedy="Take it from weir status.",
                where=uri,
            )
        path = parts.path or "/"
        return cls(parts.hostname, port, f"{path}?{parts.query}" if parts.query else path)


@dataclass(frozen=True)
class Answer:
    """``headers`` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """One connection to ``target``, opened when needed and again after it was closed."""

    def __init__(
        self, target: Target, headers: Mapping[str, str], *, timeout_seconds: float
    ) -> None:
        self._target = target
        self._timeout_seconds = timeout_seconds
        fixed = {"Host": f"{target.host}:{target.port}", **headers}
        lines = [f"POST {target.path} HTTP/1.1", *(f"{k}: {v}" for k, v in fixed.items())]
        self._head = ("\r\n".join(lines) + "\r\nContent-Length: ").encode("latin-1")
        self._socket: socket.socket | None = None
        self._stream: BufferedReader | None = None

    def post(self, body: bytes) -> Answer:
        """The answer to ``body``. Never sends it twice.

        Raises TimeoutError when the other end is silent for ``timeout_seconds``, and OSError
        (BrokenAnswer among them) when the connection fails; the next call opens a new one.
        """
        try:
            sender, stream = self._opened()
            sender.sendall(self._head + b"%d\r\n\r\n" % len(body) + body)
            answer, keep = read_answer(stream)
        except BaseException:
            self.close()
            raise
        if not keep:
            self.close()
        return answer

    def close(self) -> None:
        for each in (self._stream, self._socket):
            if each is not None:
                each.close()
        self._stream = self._socket = None

    def _opened(self) -> tuple[socket.socket, BufferedReader]:
        if self._socket is None or self._stream is None:
            self._socket = socket.create_connection(
                (self._target.host, self._target.port), timeout=self._timeout_seconds
            )
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._stream = self._socket.makefile("rb")
        return self._socket, self._stream


def read_answer(stream: BufferedReader) -> tuple[Answer, bool]:
    """The answer, and whether the connection may be used again."""
    status_line = stream.readline()
    try:
        protocol, code = status_line.split(None, 2)[:2]
        status = int(code)
    except ValueError:
        what = "closed without an answer" if not status_line else "no HTTP answer"
        raise BrokenAnswer(what) from None
    headers: dict[str, str] = {}
    while line := stream.readline().rstrip(b"\r\n"):
        name, _, value = line.partition(b":")
        headers[name.decode("latin-1").lower()] = value.strip().decode("latin-1")
    keep = protocol == b"HTTP/1.1" and headers.get("connection", "").lower() != "close"
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return Answer(status, headers, _read_chunks(stream)), keep
    if "content-length" in headers:
        return Answer(status, headers, _exactly(stream, headers["content-length"], 10)), keep
    if status in (204, 304):
        return Answer(status, headers, b""), keep
    return Answer(status, headers, stream.read()), False


def _read_chunks(stream: BufferedReader) -> bytes:
    body = b""
    while chunk := _exactly(stream, stream.readline().split(b";")[0].decode("latin-1"), 16):
        body += chunk
        stream.readline()
    while stream.readline().strip():
        pass
    return body


def _exactly(stream: BufferedReader, size: str, base: int) -> bytes:
    try:
        wanted = int(size, base)
    except ValueError:
        raise BrokenAnswer("no HTTP answer") from None
    body = stream.read(wanted)
    if len(body) < wanted:
        raise BrokenAnswer("closed in the middle of an answer")
    return body
