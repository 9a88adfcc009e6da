"""A gateway's proxy, played: requests go where the namespace's HTTPRoute sends them.

It follows the route, the Services and the EndpointSlices by watches of its own, as a gateway's
controller does, and keeps connections to guards open. Nothing that was sent is sent twice.
"""

from __future__ import annotations

import random
import select
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedReader
from socket import IPPROTO_TCP, TCP_NODELAY, create_connection, socket
from socketserver import StreamRequestHandler, ThreadingTCPServer

from tests.kubernetes.at_hand import Place
from tests.kubernetes.node import Node
from weir.kubernetes.following import Following
from weir.kubernetes.kinds import ROUTE, SERVICE, Kind, Object, name_of
from weir.local.posting import Answer, BrokenAnswer, read_answer

ENDPOINT_SLICE = Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
OWN = "x-answered-by-gateway"
"""A header of the answers that no guard gave: why."""

_PATIENCE_SECONDS = 30.0
_LAG_SECONDS = 0.3


@dataclass(frozen=True)
class Asked:
    """A request. ``headers`` have lower-case names."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Proxy:
    """Listens on ``port`` of loopback within ``listening``. ``own`` counts its own answers.

    It follows what the API server tells ``lag_seconds`` late, as a proxy that a controller tells.
    """

    port: int = 0
    lag_seconds: float = _LAG_SECONDS
    own: Counter[str] = field(default_factory=Counter)
    _sources: _Sources | None = None
    _chance: random.Random = field(default_factory=lambda: random.Random(1))

    @contextmanager
    def listening(self) -> Iterator[Proxy]:
        proxy = self

        class Caller(StreamRequestHandler):
            disable_nagle_algorithm = True

            def handle(self) -> None:
                upstreams: dict[int, Upstream] = {}
                try:
                    while (asked := read_request(self.rfile)) is not None:
                        answer = proxy.answer(asked, upstreams)
                        self.wfile.write(as_bytes(answer))
                except OSError:
                    pass
                finally:
                    for upstream in upstreams.values():
                        upstream.close()

        class Server(ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 128

        with Server(("127.0.0.1", 0), Caller) as server:
            self.port = server.server_address[1]
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join(10)

    @contextmanager
    def following(self, place: Place, node: Node) -> Iterator[None]:
        with (
            Following(place.admin, ROUTE) as routes,
            Following(place.admin, SERVICE) as services,
            Following(place.admin, ENDPOINT_SLICE) as slices,
        ):
            ended = threading.Event()
            told = [_Late(one, self.lag_seconds, ended) for one in (routes, services, slices)]
            self._sources = _Sources(*told, node)
            try:
                yield
            finally:
                self._sources = None
                ended.set()

    def answer(self, asked: Asked, upstreams: dict[int, Upstream]) -> Answer:
        """What the route's backend answers, or why none does."""
        sources = self._sources
        if sources is None:
            return self._of_own(503, "it has not been told of any route")
        rule = rule_for(asked, [route["spec"] for route in sources.routes.objects()])
        if rule is None:
            return self._of_own(404, "no route matches")
        backends = [one for one in rule.get("backendRefs") or () if one.get("weight", 1)]
        if not backends:
            return self._of_own(500, "the rule has no backend")
        weights = [one.get("weight", 1) for one in backends]
        service = self._chance.choices(backends, weights)[0]["name"]
        if service not in {name_of(one) for one in sources.services.objects()}:
            return self._of_own(500, f"there is no Service {service}")
        ports = sources.ready_ports(service)
        self._chance.shuffle(ports)
        for port in ports:
            try:
                if port not in upstreams or not upstreams[port].is_usable():
                    upstreams[port] = Upstream(port)
            except ConnectionRefusedError:
                self.own["refused, so another one was asked"] += 1
                continue
            try:
                return upstreams[port].ask(asked)
            except OSError as error:
                upstreams.pop(port).close()
                return self._of_own(502, f"a guard of {service} broke off: {error!r}")
        why = "refuses connections" if ports else "has no ready endpoint"
        return self._of_own(503, f"{service} {why}")

    def _of_own(self, status: int, why: str) -> Answer:
        self.own[f"{status} {why}"] += 1
        return Answer(status, {OWN: why}, why.encode())


class _Late:
    """What was followed, as it was some time ago."""

    def __init__(self, followed: Following, lag_seconds: float, ended: threading.Event) -> None:
        self._followed, self._lag_seconds, self._ended = followed, lag_seconds, ended
        self._told = deque([(0.0, followed.objects())])
        self._lock = threading.Lock()
        threading.Thread(target=self._note, daemon=True).start()

    def objects(self) -> tuple[Object, ...]:
        until = time.monotonic() - self._lag_seconds
        with self._lock:
            while len(self._told) > 1 and self._told[1][0] <= until:
                self._told.popleft()
            return self._told[0][1]

    def _note(self) -> None:
        seen = -1
        while not self._ended.is_set():
            seen = self._followed.wait(seen, 0.5)
            with self._lock:
                self._told.append((time.monotonic(), self._followed.objects()))


@dataclass(frozen=True)
class _Sources:
    routes: _Late
    services: _Late
    slices: _Late
    node: Node

    def ready_ports(self, service: str) -> list[int]:
        """Of pods that are ready and not being deleted: so says the endpoint controller."""
        pods = [
            endpoint["targetRef"]["name"]
            for one in self.slices.objects()
            if one["metadata"]["labels"].get("kubernetes.io/service-name") == service
            for endpoint in one.get("endpoints") or ()
            if endpoint["conditions"].get("ready")
        ]
        return [port for pod in pods if (port := self.node.port(pod)) is not None]


class Upstream:
    """A connection to a guard, kept."""

    def __init__(self, port: int) -> None:
        self._socket: socket = create_connection(("127.0.0.1", port), timeout=_PATIENCE_SECONDS)
        self._socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        self._stream: BufferedReader = self._socket.makefile("rb")
        self._is_kept = True

    def is_usable(self) -> bool:
        """Whether the guard has kept it too, as far as is known here."""
        if self._is_kept and not select.select([self._socket], [], [], 0)[0]:
            return True
        self.close()
        return False

    def ask(self, asked: Asked) -> Answer:
        """Raises OSError."""
        lines = [f"{asked.method} {asked.path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in asked.headers.items()]
        lines.append(f"content-length: {len(asked.body)}")
        head = "\r\n".join(lines).encode("latin-1")
        self._socket.sendall(head + b"\r\n\r\n" + asked.body)
        answer, self._is_kept = read_answer(self._stream)
        return answer

    def close(self) -> None:
        self._stream.close()
        self._socket.close()


def rule_for(asked: Asked, routes: Sequence[Object]) -> Object | None:
    """The rule that the Gateway API wants to win.

    The exact path first, then the longest prefix, a method, the most headers; then the first one.
    """
    best: tuple[tuple[bool, int, bool, int], Object] | None = None
    for route in routes:
        for rule in route.get("rules") or ():
            for match in rule.get("matches") or ({},):
                rank = _rank(asked, match)
                if rank is not None and (best is None or rank > best[0]):
                    best = rank, rule
    return None if best is None else best[1]


def _rank(asked: Asked, match: Object) -> tuple[bool, int, bool, int] | None:
    """None where it does not match."""
    path = asked.path.split("?")[0]
    wanted = match.get("path") or {"type": "PathPrefix", "value": "/"}
    value, is_exact = wanted["value"], wanted["type"] == "Exact"
    if is_exact:
        is_there = path == value
    else:
        # Whole elements of the path: /abc is no prefix of /abcd.
        is_there = path == value or path.startswith(value.rstrip("/") + "/")
    method, headers = match.get("method"), match.get("headers") or ()
    if not is_there or (method and method != asked.method):
        return None
    for header in headers:
        assert header.get("type", "Exact") == "Exact"
        if asked.headers.get(header["name"].lower()) != header["value"]:
            return None
    return is_exact, len(value), bool(method), len(headers)


def read_request(stream: BufferedReader) -> Asked | None:
    """The next request of a connection; None at its end. Raises BrokenAnswer."""
    line = stream.readline().decode("latin-1")
    if not line:
        return None
    method, path, _ = line.split()
    headers: dict[str, str] = {}
    while line := stream.readline().decode("latin-1").rstrip("\r\n"):
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if "transfer-encoding" in headers:
        raise BrokenAnswer("chunks are not read here")
    body = stream.read(int(headers.pop("content-length", "0")))
    headers.pop("connection", None)
    return Asked(method, path, headers, body)


def as_bytes(answer: Answer) -> bytes:
    hidden = ("connection", "content-length", "transfer-encoding", "keep-alive")
    lines = [f"HTTP/1.1 {answer.status} -"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items() if name not in hidden]
    lines.append(f"content-length: {len(answer.body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + answer.body
