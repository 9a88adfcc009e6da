"""A double of Application Insights' ingestion endpoint, and what is in the envelopes posted to it.

Its contract is read off the exporter's own client. What Azure does with an envelope was never seen.
"""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.fakes.telemetry import Request
from tests.listening import listening
from weir.telemetry.reports import LONGEST_HEADER_BYTES

_PATH = "/v2.1/track"
_DURATION = re.compile(r"(\d\d)\.(\d\d):(\d\d):(\d\d)\.(\d{6})")


@dataclass(frozen=True)
class Envelope:
    """One telemetry item as it was posted; ``arrived`` is when."""

    document: Mapping[str, Any]
    arrived: datetime

    @property
    def kind(self) -> str:
        return str(self.document["data"]["baseType"])

    @property
    def request(self) -> Mapping[str, Any]:
        """The fields of the schema RequestData."""
        found: Mapping[str, Any] = self.document["data"]["baseData"]
        return found

    @property
    def code(self) -> str:
        return str(self.request["responseCode"])

    @property
    def tags(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self.document["tags"]
        return found

    @property
    def properties(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self.request["properties"]
        return found

    @property
    def began(self) -> datetime:
        return datetime.fromisoformat(self.document["time"]).astimezone(UTC)

    @property
    def duration_ms(self) -> float:
        found = _DURATION.fullmatch(self.request["duration"])
        assert found is not None, self.request["duration"]
        days, hours, minutes, seconds, micros = map(int, found.groups())
        length = timedelta(days, seconds, micros, hours=hours, minutes=minutes)
        return length / timedelta(milliseconds=1)


def posted(request: Request, endpoint: str) -> Envelope:
    """What a collector posts for the guard's span of ``request``, on its way no time at all.

    The shape is that of a real one's envelopes (see tests/azure/test_collector.py), with the fields
    that become columns. A header that is not there is left out of the properties.
    """
    tags = {"ai.cloud.role": endpoint, "ai.cloud.roleInstance": "pod"}
    reports = {"metrics": request.metrics, "labels": request.labels}
    properties = {
        "service.name": endpoint,
        "details": request.details,
        "flags": request.flags,
        "http.response.status_code": str(request.code),
        **{name: said[: LONGEST_HEADER_BYTES + 1] for name, said in reports.items() if said},
    }
    if request.forced != "-":
        properties["forced"] = request.forced
    if request.version:
        tags["ai.application.ver"] = properties["service.version"] = request.version
    data = {
        "ver": 2,
        "name": f"POST {endpoint}",
        "duration": _duration(timedelta(microseconds=request.duration())),
        "responseCode": str(request.code),
        "success": 100 <= request.code < 400,
        "properties": properties,
    }
    document = {
        "ver": 1,
        "time": request.begun.astimezone(UTC).isoformat(),
        "sampleRate": 100,
        "tags": tags,
        "data": {"baseType": "RequestData", "baseData": data},
    }
    return Envelope(document, arrived=request.completed)


def _duration(length: timedelta) -> str:
    minutes, seconds = divmod(length.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{length.days:02}.{hours:02}:{minutes:02}:{seconds:02}.{length.microseconds:06}"


@dataclass
class Ingestion:
    """``refusals`` are the statuses of the next posts, before posts are taken again."""

    url: str
    envelopes: list[Envelope] = field(default_factory=list)
    posts: list[int] = field(default_factory=list)
    """How many items each post had that was taken."""
    refusals: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)

    def take(self, body: bytes) -> tuple[int, bytes]:
        items = [json.loads(line) for line in gzip.decompress(body).splitlines() if line]
        if self.refusals:
            self.refused.append(self.refusals.pop(0))
            return self.refused[-1], b""
        now = datetime.now(UTC)
        self.envelopes.extend(Envelope(item, now) for item in items)
        self.posts.append(len(items))
        counts = {"itemsReceived": len(items), "itemsAccepted": len(items), "errors": []}
        return 200, json.dumps(counts).encode()


@contextmanager
def ingestion() -> Iterator[Ingestion]:
    """Listening until the block ends."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            with lock:
                status, answer = found.take(body) if self.path == _PATH else (404, b"")
            self.send_response(status)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with listening(Handler) as port:
        found = Ingestion(f"http://127.0.0.1:{port}/")
        yield found
