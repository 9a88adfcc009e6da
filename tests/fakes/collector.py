"""A collector that takes OTLP over HTTP and understands as much of it as the tests ask for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.listening import listening

SERVER_KIND = 2


@dataclass(frozen=True)
class Span:
    name: str
    kind: int
    resource: Mapping[str, str]
    attributes: Mapping[str, str]
    start_ns: int
    end_ns: int


@dataclass
class Collector:
    port: int
    spans: list[Span] = field(default_factory=list)


@contextmanager
def collector() -> Iterator[Collector]:
    """Listening until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self._body()
            if self.path == "/v1/traces":
                found.spans.extend(_spans(body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def _body(self) -> bytes:
            # Envoy does not say how long its body is.
            assert self.headers["transfer-encoding"] == "chunked"
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def log_message(self, *_: object) -> None:
            pass

    with listening(Handler) as port:
        found = Collector(port)
        yield found


_Message = Mapping[int, list[bytes | int]]


def _spans(request: bytes) -> Iterator[Span]:
    for resource_spans in _fields(request)[1]:
        (resource,) = _fields(resource_spans)[1]
        for scope in _fields(resource_spans)[2]:
            for one in _fields(scope)[2]:
                span = _fields(one)
                yield Span(
                    name=_text(span[5][0]),
                    kind=int(span[6][0]),
                    resource=_attributes(_fields(resource)[1]),
                    attributes=_attributes(span[9]),
                    start_ns=int(span[7][0]),
                    end_ns=int(span[8][0]),
                )


def _attributes(pairs: list[bytes | int]) -> Mapping[str, str]:
    found = {}
    for pair in map(_fields, pairs):
        (value,) = [x for values in _fields(pair[2][0]).values() for x in values]
        name = _text(pair[1][0])
        assert name not in found, f"{name} is there twice"
        found[name] = _text(value)
    return found


def _text(value: bytes | int) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _fields(message: bytes | int) -> _Message:
    """The fields of a protobuf message by number: texts and messages as bytes, numbers as int."""
    assert isinstance(message, bytes)
    found: dict[int, list[bytes | int]] = defaultdict(list)
    at = 0
    while at < len(message):
        tag, at = _number(message, at)
        kind = tag & 7
        if kind == 0:
            value, at = _number(message, at)
            found[tag >> 3].append(value)
            continue
        if kind == 2:
            length, at = _number(message, at)
        else:
            length = {1: 8, 5: 4}[kind]
        part = message[at : at + length]
        found[tag >> 3].append(part if kind == 2 else int.from_bytes(part, "little"))
        at += length
    return found


def _number(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
